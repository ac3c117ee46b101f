"""Recording a session as another store has it. What is sent at a time is a few MiB, or one record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, cast

from anyio.lowlevel import checkpoint
from sqlalchemy import func, insert, select, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from jeeves_journal.arguments import each_record
from jeeves_journal.records import Kind, StoredRecord
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.operations.moving import part_by_part
from jeeves_journal.stores.operations.reading import count_of
from jeeves_journal.stores.refusals import has_other_records
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES


class Restoring:
    """A session on its way into the database."""

    def __init__(self, session_id: str, records: Iterable[StoredRecord]) -> None:
        """Take records, which are read several times. An iterator gives them once: they are kept."""
        self._session_id = session_id
        self._records: Iterable[StoredRecord] = tuple(records) if isinstance(records, Iterator) else records
        self._was_sent = False

    async def check(self) -> int:
        """See whether these are the records of one session; return how many times the usual time they may take.

        Raises:
            ConfigurationError: They are not.
            InvalidKeyError: No store accepts a step's name.
        """
        parts = 0
        for _ in self._parts():
            parts += 1
            # They may come out of a file, which takes its time.
            await checkpoint()
        return max(parts, 1)

    async def restore(self, lanes: Lanes, database: Database, shares: int) -> bool:
        """Record the session; return whether that was needed.

        Raises:
            AlreadyRecordedError: It is there with other records.
        """
        deadline = lanes.loop.time() + database.settings.timeout * shares
        return await lanes.attempt(partial(self._attempt, database), deadline)

    async def _attempt(self, database: Database) -> bool:
        try:
            return await self._try(database)
        except IntegrityError:
            # Somebody has recorded a step of it since they were counted: now it can be seen which.
            return await self._try(database)

    async def _try(self, database: Database) -> bool:
        async with database.operating() as connection:
            await database.lock_session(connection, self._session_id)
            count = await count_of(connection, self._session_id)
            if count == 0:
                return await self._insert(connection, database.settings.timeout)
            if not await self._are_there(connection, count, database.settings.timeout):
                raise has_other_records(self._session_id)
            # A commit whose answer was lost has recorded them.
            return self._was_sent

    async def _insert(self, connection: AsyncConnection, seconds: float) -> bool:
        has_any = False
        for part in self._parts():
            has_any = True
            async with asyncio.timeout(seconds):
                for kind, rows in _by_kind(part):
                    payload = PAYLOADS[kind]
                    values = [
                        {
                            "session_id": r.session_id,
                            "step_name": r.step_name,
                            payload: r.data,
                            "created_at": r.created_at,
                        }
                        for r in rows
                    ]
                    await connection.execute(insert(TABLES[kind]), values)
        self._was_sent = has_any
        return has_any

    async def _are_there(self, connection: AsyncConnection, count: int, seconds: float) -> bool:
        for part in self._parts():
            async with asyncio.timeout(seconds):
                for kind, rows in _by_kind(part):
                    if not await self._are_alike(connection, kind, rows):
                        return False
            count -= len(part)
        return count == 0

    async def _are_alike(self, connection: AsyncConnection, kind: Kind, rows: Sequence[StoredRecord]) -> bool:
        columns = TABLES[kind].c
        payload = columns[PAYLOADS[kind]]
        names = [row.step_name for row in rows]
        # The sizes first: what is there may be far larger than what is expected.
        for column, expected in (
            (func.length(payload), {row.step_name: len(row.data) for row in rows}),
            (columns.created_at, {row.step_name: row.created_at for row in rows}),
            # As the driver has it: SQLite keeps whatever was put into a column.
            (type_coerce(payload, NullType()), {row.step_name: row.data for row in rows}),
        ):
            query = select(columns.step_name, column)
            query = query.where(columns.session_id == self._session_id, columns.step_name.in_(names))
            if dict(cast("Any", (await connection.execute(query)).all())) != expected:
                return False
        return True

    def _parts(self) -> Iterator[list[StoredRecord]]:
        return part_by_part(each_record(self._session_id, self._records), lambda record: len(record.data))


def _by_kind(records: list[StoredRecord]) -> Iterator[tuple[Kind, list[StoredRecord]]]:
    for kind in KINDS:
        if of_kind := [record for record in records if record.kind == kind]:
            yield kind, of_kind
