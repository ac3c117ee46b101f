"""Deleting whole sessions that nobody has added to for long.

As many sessions as can be deleted in a moment are deleted in one transaction, each of them whole. One that takes longer
goes in parts, the latest records first. What is put meanwhile stays: a session that wakes up is left as it is, and one
whose end is gone by then keeps its beginning.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice, takewhile
from typing import Final, TypeVar

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.records import Pruned
from jeeves_journal.stores.clock import timestamp
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.operations.pace import Pace, Sized
from jeeves_journal.stores.operations.parts import MOST_NAMED
from jeeves_journal.stores.operations.sleeping import (
    Listed,
    Sleeper,
    Walk,
    asleep,
    is_old,
    latest,
    left_of,
    woke_up,
)
from jeeves_journal.stores.operations.transactions import in_one_transaction
from jeeves_journal.stores.statements import KINDS, TABLES

T = TypeVar("T")

_LOGGER: Final = logging.getLogger("jeeves_journal")

# Seconds, well below the 100 ms for which locks may be held: a disk takes longer now and then.
_TRANSACTION: Final = 0.03


class _ChangedError(Exception):
    """The records are not those that were looked at: nothing of them was deleted."""


class Pruning:
    """One pruning, step by step.

    Attributes:
        pruned: What was pruned so far, or would be.
    """

    def __init__(self, age: float, keep: tuple[str, ...], batch: int, *, dry_run: bool) -> None:
        """Prepare; see ``OperableJournalStore.prune``.

        Args:
            age: In seconds.
            keep: Prefixes.
            batch: How many records one transaction deletes at most.
            dry_run: Only count.
        """
        self.pruned = Pruned(0, 0, 0)
        self._cutoff = timestamp() - age
        self._dry_run = dry_run
        self._walk = Walk(self._cutoff, keep)
        self._pace = Pace(_TRANSACTION, batch)
        self._sleepers = deque[Sleeper]()
        self._doubtful = set[str]()
        # Of the first sleeper, if it goes in parts.
        self._listed = deque[Listed]()
        self._is_all_listed = False

    async def advance(self, lanes: Lanes, database: Database) -> bool:
        """Look a bit further, or delete for a moment; return whether there may be more to do."""
        if self._listed:
            await self._delete_end(lanes, database)
        elif self._sleepers:
            if together := list(self._pace.fitting(self._next())):
                await self._delete_whole(lanes, database, together)
            else:
                await self._list_end(lanes, database)
        else:
            found = await self._walk.advance(lanes, database)
            if found is None:
                return False
            if self._dry_run:
                self._add(len(found), found)
            else:
                self._sleepers.extend(found)
        return True

    def log(self, where: str) -> None:
        """Say what was pruned."""
        if not self._dry_run:
            counts = self.pruned.sessions, self.pruned.records, self.pruned.bytes
            _LOGGER.info("%s: pruned %d sessions, %d records, %d bytes", where, *counts)

    def _next(self) -> list[Sleeper]:
        """Return the sessions that may go at once, of which those that changed once go alone."""
        if self._sleepers[0].session_id in self._doubtful:
            return [self._sleepers[0]]
        trusted = takewhile(lambda sleeper: sleeper.session_id not in self._doubtful, self._sleepers)
        return list(islice(trusted, MOST_NAMED))

    async def _delete_whole(self, lanes: Lanes, database: Database, sleepers: list[Sleeper]) -> None:
        """Delete sessions at once."""
        session_ids = [each.session_id for each in sleepers]

        async def work(connection: AsyncConnection) -> None:
            deletions = [
                delete(TABLES[kind]).where(TABLES[kind].c.session_id.in_(session_ids), is_old(kind, self._cutoff))
                for kind in KINDS
            ]
            deleted = sum(await database.together(connection, deletions))
            # Looked at last, so that what was put until now is seen.
            if deleted != sum(each.records for each in sleepers) or await left_of(connection, session_ids):
                raise _ChangedError

        for _ in sleepers:
            self._sleepers.popleft()
        try:
            await self._measured(lanes, database, work, sleepers)
        except _ChangedError:
            await self._look_again(lanes, database, session_ids)
        else:
            self._add(len(sleepers), sleepers)

    async def _list_end(self, lanes: Lanes, database: Database) -> None:
        """List what goes first of a session that goes in parts."""
        listed, self._is_all_listed = await latest(lanes, database, self._sleepers[0].session_id)
        if listed and listed[0].created_at < self._cutoff:
            self._listed.extend(listed)
        else:
            self._sleepers.popleft()

    async def _delete_end(self, lanes: Lanes, database: Database) -> None:
        """Delete the latest records of a session."""
        session_id = self._sleepers[0].session_id
        # A single record cannot be deleted in parts.
        part = list(self._pace.fitting(self._listed)) or [self._listed[0]]
        is_last = self._is_all_listed and len(part) == len(self._listed)

        async def work(connection: AsyncConnection) -> None:
            if await woke_up(connection, session_id, self._cutoff):
                raise _ChangedError
            deleted = 0
            for kind in KINDS:
                columns, names = TABLES[kind].c, [record.step_name for record in part if record.kind == kind]
                its_own = delete(TABLES[kind]).where(columns.session_id == session_id, is_old(kind, self._cutoff))
                for first in range(0, len(names), MOST_NAMED):
                    named = its_own.where(columns.step_name.in_(names[first : first + MOST_NAMED]))
                    deleted += (await connection.execute(named)).rowcount
            if deleted != len(part) or (is_last and await left_of(connection, [session_id])):
                raise _ChangedError

        try:
            await self._measured(lanes, database, work, part)
        except _ChangedError:
            self._listed.clear()
            self._sleepers.popleft()
            await self._look_again(lanes, database, [session_id])
            return
        for _ in part:
            self._listed.popleft()
        if is_last:
            self._sleepers.popleft()
        self._add(int(is_last), part)

    async def _look_again(self, lanes: Lanes, database: Database, session_ids: list[str]) -> None:
        """Look once more at sessions of which one changed, and leave one for another time that does so again."""
        again = [session_id for session_id in session_ids if session_id not in self._doubtful]
        self._doubtful.update(again)
        self._sleepers.extendleft(reversed(await asleep(lanes, database, self._cutoff, again)))

    async def _measured(
        self, lanes: Lanes, database: Database, work: Callable[[AsyncConnection], Awaitable[T]], done: Sequence[Sized]
    ) -> None:
        started = time.monotonic()

        async def timed(connection: AsyncConnection) -> T:
            nonlocal started
            # Not how long a lock was waited for.
            started = time.monotonic()
            return await work(connection)

        await in_one_transaction(lanes, database, timed)
        seconds = time.monotonic() - started
        self._pace.took(seconds, done)
        records = sum(each.records for each in done)
        _LOGGER.debug("%s: deleted %d records in %.3f s", database.describe(), records, seconds)

    def _add(self, sessions: int, done: Sequence[Sized]) -> None:
        before = self.pruned
        records, size = sum(each.records for each in done), sum(each.bytes for each in done)
        self.pruned = Pruned(before.sessions + sessions, before.records + records, before.bytes + size)
