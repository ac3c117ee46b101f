"""How Postgres is looked into by who operates a journal, and what it knows of its tables."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Table, func, literal_column, select, tablesample, text
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.stores.dialects.rows import Size

# So that what several statements read belongs together. They read the ends of indexes, and stop when they have enough.
# A planner that has no statistics of a table yet takes a part for most of it or for next to nothing: it would read and
# sort all that there is, and compile machine code beforehand.
SNAPSHOT: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
    "SET LOCAL jit = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
)

_PAGES_LOOKED_AT: Final = 300

# As the planner does: what the last VACUUM or ANALYZE has counted grew as the table did; -1 before the first.
# https://www.postgresql.org/docs/current/row-estimation-examples.html
_STATISTICS: Final = text(
    "SELECT pages, CASE WHEN relpages > 0 AND reltuples >= 0 THEN reltuples / relpages * pages END "
    "FROM (SELECT reltuples::float8, relpages::float8, "
    "pg_relation_size(oid)::float8 / current_setting('block_size')::integer AS pages "
    "FROM pg_catalog.pg_class WHERE oid = to_regclass(:table)) known"
)
_HAVE_KEYS_BY_BYTES: Final = text(
    "SELECT count(*) = 2 FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_collation c ON c.oid = attcollation "
    "WHERE attrelid IN (to_regclass(:one), to_regclass(:other)) AND attname = 'session_id' AND collname = 'C'"
)


async def estimated_size(connection: AsyncConnection, table: Table, payload: str, qualified: str) -> Size:
    """Estimate a table's rows by its statistics, and their bytes by those in some of its pages."""
    pages, known = await _one(connection, _STATISTICS, table=qualified)
    percent = min(100.0, 100 * _PAGES_LOOKED_AT / max(pages, 1))
    # No parameter, which Postgres takes for a number of another type.
    some = tablesample(table, func.system(literal_column(f"{percent:.6f}")))
    sizes = select(func.count(), func.sum(func.length(some.c[payload]))).select_from(some)
    found, size = await _one(connection, sizes)
    rows = found * 100 / percent if known is None else known
    return Size(round(rows), round(rows * float(size or 0) / max(found, 1)))


async def have_keys_by_bytes(connection: AsyncConnection, one: str, other: str) -> bool:
    """Return whether the keys of two tables are in the order of their bytes.

    Those that JeevesAgent made have the database's collation until they are upgraded.
    """
    return bool((await _one(connection, _HAVE_KEYS_BY_BYTES, one=one, other=other))[0])


async def _one(connection: AsyncConnection, statement: Any, **parameters: str) -> Any:
    return (await connection.execute(statement, parameters)).one()
