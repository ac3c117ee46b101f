"""How much a journal holds."""

from __future__ import annotations

from functools import partial
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.records import Kind, KindUsage, Usage
from jeeves_journal.stores.dialects import Database, Size
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.operations.finding import LATEST
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES

# Rows of a table. Counted in a few milliseconds.
_MOST_COUNTED: Final = 20_000


async def usage(lanes: Lanes, database: Database) -> Usage:
    """Return how much the journal holds; see ``OperableJournalStore``."""
    return await lanes.attempt(partial(_usage, database))


async def _usage(database: Database) -> Usage:
    async with database.looking() as connection:
        counted = [await _counted(connection, kind) for kind in KINDS]
        steps, streams = [
            KindUsage(*(size or await database.estimated_size(connection, kind)), await _oldest(connection, kind))
            for kind, size in zip(KINDS, counted, strict=True)
        ]
    return Usage(steps, streams, is_exact=None not in counted)


async def _counted(connection: AsyncConnection, kind: Kind) -> Size | None:
    """Return a table's size, or ``None`` if to count takes too long."""
    sizes = select(func.length(TABLES[kind].c[PAYLOADS[kind]]).label("size")).limit(_MOST_COUNTED + 1).subquery()
    rows, size = (await connection.execute(select(func.count(), func.sum(sizes.c.size)).select_from(sizes))).one()
    return None if rows > _MOST_COUNTED else Size(rows, int(size or 0))


async def _oldest(connection: AsyncConnection, kind: Kind) -> float | None:
    created_at = TABLES[kind].c.created_at
    times = select(created_at).where(created_at.between(-LATEST, LATEST)).order_by(created_at).limit(1)
    found = await connection.scalar(times)
    return None if found is None else float(found)
