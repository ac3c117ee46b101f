"""How large a table in SQLite is, by looking at a few parts of it.

SQLite keeps no count of rows; ``sqlite_stat1`` is there only if somebody ran ANALYZE, and ``dbstat`` reads every page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, cast

from sqlalchemy import Integer, Table, func, literal, literal_column, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.stores.dialects.database import Size

# At most 500, the terms that SQLite takes in one compound SELECT.
_PARTS: Final = 50
_ROWS_OF_PART: Final = 20

# Apart by no whole share of anything, since what a run records repeats itself.
_GOLDEN: Final = (5**0.5 - 1) / 2

_ROW_ID: Final = literal_column("rowid", Integer)


async def estimated_size(connection: AsyncConnection, table: Table, payload: str) -> Size:
    """Estimate a table's rows by how close together their row ids are, and their bytes by those of the same rows."""
    first, last = await _ends(connection, table)
    if first is None:
        return Size(0, 0)
    span = last + 1 - first
    parts = [_Part(first + int(span * (part + part * _GOLDEN % 1) / _PARTS)) for part in range(_PARTS)]
    looked_at = union_all(*(_rows(table, payload, number, part.start) for number, part in enumerate(parts)))
    for row in await connection.execute(looked_at):
        number, row_id, size = cast("tuple[int, int, int | None]", row)
        parts[number].row_ids.append(row_id)
        parts[number].bytes += size or 0
    rows = sum(part.density(last) for part in parts) / len(parts) * span
    return Size(round(rows), round(rows * sum(part.bytes for part in parts) / sum(len(part.row_ids) for part in parts)))


@dataclass
class _Part:
    start: int
    row_ids: list[int] = field(default_factory=list[int])
    bytes: int = 0

    def density(self, last: int) -> float:
        """Return which share of the row ids are those of rows, from its start to its end or to the last of all."""
        end = self.row_ids[-1] if len(self.row_ids) == _ROWS_OF_PART else last
        return len(self.row_ids) / (end + 1 - self.start)


async def _ends(connection: AsyncConnection, table: Table) -> tuple[int | None, int]:
    # Two questions: for both ends in one, SQLite reads the whole table.
    least, most = (select(end(_ROW_ID)).select_from(table).scalar_subquery() for end in (func.min, func.max))
    found: Any = (await connection.execute(select(least, most))).one()
    return found[0], found[1]


def _rows(table: Table, payload: str, number: int, start: int) -> Any:
    size = func.length(table.c[payload])
    rows = select(literal(number).label("number"), _ROW_ID.label("row_id"), size.label("size")).select_from(table)
    rows = rows.where(start <= _ROW_ID).order_by(_ROW_ID).limit(_ROWS_OF_PART)
    return select(rows.subquery())
