"""A store's lanes into its database: writes, reads, and reads of whole sessions, each in batches."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from typing import Any, Final, TypeVar

from jeeves_journal.codecs import Place
from jeeves_journal.errors import (
    ConfigurationError,
    JournalError,
    SchemaError,
    StoreClosedError,
    StoreUnavailableError,
)
from jeeves_journal.migrations import ensure_schema, look, upgrade_database
from jeeves_journal.records import Kind
from jeeves_journal.stores.batch_queue import BatchQueue
from jeeves_journal.stores.batching import Batcher
from jeeves_journal.stores.clock import timestamp
from jeeves_journal.stores.dialects import Database, Key, Row, SessionQuery, SessionRow, Stored, driver_error
from jeeves_journal.stores.isolating import isolated
from jeeves_journal.stores.time_limits import TimeLimits

T = TypeVar("T")

_LOGGER: Final = logging.getLogger("jeeves_journal")

# Enough to spread one sync over many callers, few enough that the next batch does not wait long behind it.
_MOST_PER_BATCH: Final = 256

# Beyond these, callers wait before their values are encoded.
_MOST_PUTS: Final = 1024
_MOST_PUT_BYTES: Final = 64 * 1024 * 1024

_FIRST_PAUSE: Final = 0.01
# Short enough that a server which is back is used again within a second, connecting included.
_LONGEST_PAUSE: Final = 0.5


class Lanes:
    """The lanes of one store in one process and one event loop."""

    def __init__(self, database: Database) -> None:
        """Bind to the running event loop; the first call opens the database."""
        self.loop = asyncio.get_running_loop()
        self.process = os.getpid()
        self._database = database
        self._opening = asyncio.Lock()
        self._is_closed = False
        self._closer: AsyncGenerator[None] | None = None
        # Holds on to the database until these lanes are gone, so that a store that nobody closed is taken apart in
        # order: first the closing that asyncio does, then the connections.
        self._last_resort = weakref.finalize(self, _abandon_after, self.loop, database)
        timeout = database.settings.timeout
        self._writes: Batcher[Row, None] = Batcher(
            self._write,
            self._fail,
            BatchQueue(
                most=_MOST_PER_BATCH,
                at_once=database.writes_at_once,
                key_of=itemgetter(0, 1, 2),
                size_of=_bytes_of,
                most_under_way=_MOST_PUTS,
                most_bytes_under_way=_MOST_PUT_BYTES,
            ),
            timeout=timeout,
        )
        self.reads: Batcher[Key, Stored | None] = Batcher(
            self._read,
            self._fail,
            BatchQueue(most=_MOST_PER_BATCH, at_once=database.reads_at_once, splits=database.splits_reads),
            timeout=timeout,
        )
        self.sessions: Batcher[SessionQuery, list[SessionRow]] = Batcher(
            self._read_session, self._fail, BatchQueue(most=1), timeout=timeout
        )
        self._all = (self._writes, self.reads, self.sessions)
        self._time_limits = TimeLimits(self.loop)
        self._operations = set[asyncio.Future[None]]()

    @contextmanager
    def operation(self) -> Generator[None]:
        """Surround what an operator asks, for which closing is to wait."""
        end: asyncio.Future[None] = self.loop.create_future()
        self._operations.add(end)
        try:
            yield
        finally:
            self._operations.discard(end)
            end.set_result(None)

    async def write(
        self, kind: Kind, session_id: str, step_name: str, encode: Callable[[Place, Any], bytes], value: Any
    ) -> None:
        """Record what ``encode`` makes of a value and where its record will stand, once there is room for it."""
        if self._writes.has_room:
            deadline = self._deadline()
        else:
            try:
                deadline = await self._writes.room()
            except TimeoutError as error:
                raise self._database.translate(error).about(session_id, step_name) from error
        created_at = timestamp()
        data = encode((kind, session_id, step_name, created_at), value)
        await self._writes.submit((kind, session_id, step_name, data, created_at), deadline)

    def abandon(self) -> None:
        """Forget the connections, without waiting for anything; other lanes may use the database now."""
        self._last_resort.detach()
        self._database.abandon()

    def let_go(self) -> None:
        """Close the connections of a store that nobody can use any more; leave them to the loop's end if one is in use.

        At once and not in a task, which the end of the loop would interrupt half-way.
        """
        if not self._opening.locked() and all(lane.is_idle for lane in self._all):
            self.abandon()

    async def close(self) -> None:
        """Wait until every call has its answer, then close the database."""
        # At the same time: of lanes that wait for a database that hangs, each takes the whole timeout.
        await asyncio.gather(self._end_of_operations(), *(lane.drain() for lane in self._all))
        # What operations have asked of them since.
        await asyncio.gather(*(lane.drain() for lane in self._all))
        self._time_limits.close()
        try:
            async with asyncio.timeout(self._database.settings.timeout), self._opening:
                self._is_closed = True
                if self._closer is not None:
                    await self._closer.aclose()
                await self._database.close()
        except Exception:
            self._is_closed = True
            # Everything is durable already, and a connection that cannot even be closed is of no more use.
            self.abandon()

    async def _end_of_operations(self) -> None:
        while self._operations:
            await asyncio.wait(self._operations)

    async def open(self) -> None:
        """Open the database unless it is open, and see that its schema can be used."""
        async with self._opening:
            if not self._database.is_ready:
                await self._open_and(ensure_schema, create=self._database.may_create)
                self._database.is_ready = True

    async def upgrade(self) -> None:
        """Bring the schema to the newest revision."""
        upgrade = partial(self._open_here_and, upgrade_database, create=not self._database.only_looks)
        await self.attempt(upgrade, opens=False)
        self._database.is_ready = True

    async def connect(self) -> None:
        """See that the database is there, whatever stands in it."""
        await self.attempt(partial(self._open_here_and, look, create=self._database.may_create), opens=False)

    async def _open_here_and(self, see_to_schema: Callable[[Database], Awaitable[object]], *, create: bool) -> None:
        async with self._opening:
            await self._open_and(see_to_schema, create=create)

    async def _open_and(self, see_to_schema: Callable[[Database], Awaitable[object]], *, create: bool) -> None:
        if self._is_closed:
            raise StoreClosedError("the store was closed meanwhile", "open a new one")
        if not self._database.is_open:
            # asyncio closes the generator with the loop, and with it the connections of a store that nobody closed.
            self._closer = _closing(self._database)
            await anext(self._closer)
        try:
            if not self._database.is_open:
                await self._database.open(create=create)
                _LOGGER.info("opened %s", self._database.describe())
            await see_to_schema(self._database)
        except BaseException:
            if self._closer is not None and not self._database.is_ready:
                await self._closer.aclose()
            raise

    async def attempt(
        self, work: Callable[[], Awaitable[T]], deadline: float | None = None, *, opens: bool = True
    ) -> T:
        """Do work, again if a passing fault ends it, until the deadline or within the timeout.

        Args:
            work: What to do.
            deadline: When to give up, in the event loop's time.
            opens: Whether the database is opened for the work, and the work interrupted at the deadline. Otherwise it
                sees to both by itself.
        """
        if deadline is None:
            deadline = self._deadline()
        pause = _FIRST_PAUSE
        while True:
            try:
                if not opens:
                    return await work()
                if not self._database.is_ready:
                    await self.open()
                with self._time_limits.until(deadline):
                    return await work()
            except Exception as error:
                if not self._passes(error, deadline - pause):
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _passes(self, error: Exception, latest: float) -> bool:
        if self.loop.time() > latest or not self._database.is_passing(driver_error(error)):
            return False
        # By its type: what a driver says may quote a value.
        _LOGGER.info("%s: trying again after %s", self._database.describe(), type(driver_error(error)).__name__)
        return True

    async def _write(self, rows: Sequence[Row]) -> Sequence[Exception | None]:
        # One deadline for all tries: by then every caller has been told something, and others wait for this way.
        return await isolated(rows, partial(self._write_until, self._deadline()), self._is_shared)

    async def _write_until(self, deadline: float, rows: Sequence[Row]) -> Sequence[None]:
        if self.loop.time() >= deadline:
            raise TimeoutError
        await self.attempt(partial(self._database.write, rows, deadline), deadline)
        return [None] * len(rows)

    async def _read(self, keys: Sequence[Key]) -> Sequence[Stored | Exception | None]:
        deadline = self._deadline()
        return await isolated(
            keys, lambda some: self.attempt(partial(self._database.read, some), deadline), self._is_shared
        )

    def _is_shared(self, error: Exception) -> bool:
        return isinstance(self._database.translate(error), _SHARED_ERRORS)

    async def _read_session(self, queries: Sequence[SessionQuery]) -> Sequence[list[SessionRow]]:
        return [await self.attempt(partial(self._database.read_session, *query)) for query in queries]

    def _deadline(self) -> float:
        return self.loop.time() + self._database.settings.timeout

    def _fail(self, error: Exception, call: Row | Key | SessionQuery) -> Exception:
        session_id, step_name = (call.session_id, None) if isinstance(call, SessionQuery) else call[1:3]
        return self._database.translate(error).about(session_id, step_name)


# What is wrong with the database and not with one row.
_SHARED_ERRORS: Final[tuple[type[JournalError], ...]] = (StoreUnavailableError, SchemaError, ConfigurationError)


def _bytes_of(row: Row) -> int:
    _, _, _, data, _ = row
    return len(data)


def _abandon_after(loop: asyncio.AbstractEventLoop, database: Database) -> None:
    if loop.is_closed():
        database.abandon()


async def _closing(database: Database) -> AsyncGenerator[None]:
    process = os.getpid()
    try:
        yield
    finally:
        # In the child of a fork they are the parent's, and the thread that would close a file is not there.
        if process == os.getpid():
            await database.close()
