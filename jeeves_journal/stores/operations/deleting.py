"""Deleting sessions, steps, and the end of a session.

Each is done on one snapshot: all that was there at that moment is deleted and counted, and what comes later stays. A
put that has not returned yet, also one of this process that was called before, may turn out to be either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy import ColumnElement, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.operations.reading import time_of
from jeeves_journal.stores.operations.transactions import in_one_transaction
from jeeves_journal.stores.refusals import no_step
from jeeves_journal.stores.statements import KINDS, TABLES

_Which: TypeAlias = Callable[[Table], ColumnElement[bool]]


async def delete_session(lanes: Lanes, database: Database, session_id: str) -> int:
    """Delete all that a session recorded."""

    async def work(connection: AsyncConnection) -> int:
        return await _delete(database, connection, lambda table: table.c.session_id == session_id)

    return await in_one_transaction(lanes, database, work)


async def delete_step(lanes: Lanes, database: Database, session_id: str, step_name: str) -> int:
    """Delete a step, and a stream of the same name."""

    def named(table: Table) -> ColumnElement[bool]:
        return (table.c.session_id == session_id) & (table.c.step_name == step_name)

    async def work(connection: AsyncConnection) -> int:
        return await _delete(database, connection, named)

    return await in_one_transaction(lanes, database, work)


async def rewind(lanes: Lanes, database: Database, session_id: str, to: str) -> int:
    """Delete a step or stream and all that was recorded with it or after it."""

    async def work(connection: AsyncConnection) -> int:
        # Locked, so that nobody gives it another time before the rest is deleted.
        since = await recorded_at(connection, session_id, to, lock=True)

        def later(table: Table) -> ColumnElement[bool]:
            return (table.c.session_id == session_id) & (table.c.created_at >= since)

        return await _delete(database, connection, later)

    return await in_one_transaction(lanes, database, work)


async def recorded_at(connection: AsyncConnection, session_id: str, step_name: str, *, lock: bool = False) -> float:
    """Return when a step or a stream of this name was recorded, the earlier one where there are both.

    Raises:
        NotRecordedError: There is neither.
        DecodeError: One has no time: nobody knows what came after it.
    """
    times = list[float]()
    for kind in KINDS:
        columns = TABLES[kind].c
        wanted = select(columns.created_at).where(columns.session_id == session_id, columns.step_name == step_name)
        for created_at in await connection.scalars(wanted.with_for_update() if lock else wanted):
            times.append(time_of(created_at, session_id, step_name))
    if not times:
        raise no_step(session_id, step_name)
    return min(times)


async def _delete(database: Database, connection: AsyncConnection, which: _Which) -> int:
    tables = [TABLES[kind] for kind in KINDS]
    return sum(await database.together(connection, [delete(table).where(which(table)) for table in tables]))
