"""How large a table in SQLite is, by looking at a few parts of it.

SQLite keeps no count of rows; ``sqlite_stat1`` is there only if somebody ran ANALYZE, and ``dbstat`` reads every page.
"""

from __future__ import annotations

from typing import Any, Final, cast

from sqlalchemy import Integer, Table, bindparam, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.stores.dialects.rows import Size

_PARTS: Final = 30
_ROWS_OF_PART: Final = 40
# Parts are apart by no whole share of anything, since what a run records repeats itself.
_GOLDEN: Final = (5**0.5 - 1) / 2

_row_id: Final = literal_column("rowid", Integer)


async def estimated_size(connection: AsyncConnection, table: Table, payload: str) -> Size:
    """Estimate a table's rows by how close together their row ids are, and their bytes by those of the same rows."""
    first, last = await _ends(connection, table)
    if first is None:
        return Size(0, 0)
    span, some = last + 1 - first, _some_rows(table, payload)
    densities, sizes = list[float](), list[int]()
    for part in range(_PARTS):
        start = first + int(span * (part + part * _GOLDEN % 1) / _PARTS)
        found = [cast("tuple[int, int | None]", row) for row in await connection.execute(some, {"start": start})]
        # Up to its last row, these are all; fewer than a whole part are all that follow.
        end = found[-1][0] if len(found) == _ROWS_OF_PART else last
        densities.append(len(found) / (end + 1 - start))
        sizes += [size or 0 for _, size in found]
    rows = sum(densities) / _PARTS * span
    return Size(round(rows), round(rows * sum(sizes) / len(sizes)))


async def _ends(connection: AsyncConnection, table: Table) -> tuple[int | None, int]:
    # Two questions: for both ends in one, SQLite reads the whole table.
    least, most = (select(end(_row_id)).select_from(table).scalar_subquery() for end in (func.min, func.max))
    found: Any = (await connection.execute(select(least, most))).one()
    return found[0], found[1]


def _some_rows(table: Table, payload: str) -> Any:
    """Return the SELECT of a part's rows from ``start`` on: row id, bytes."""
    rows = select(_row_id, func.length(table.c[payload])).select_from(table)
    return rows.where(_row_id >= bindparam("start")).order_by(_row_id).limit(_ROWS_OF_PART)
