"""From a store's first call to its end: which event loop and process it belongs to, and how it is closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from jeeves_journal.codecs import record_codec
from jeeves_journal.errors import ConfigurationError, JournalError, StoreClosedError
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.tracebacks import without_locals

P = ParamSpec("P")
T = TypeVar("T")


class StoreLifetime:
    """The part of a SQL store that opens and closes it."""

    _lanes: Lanes | None = None

    def _use(self, database: Database) -> None:
        self._database = database
        self._codec = record_codec(database.settings)
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.describe()})"

    @without_locals
    async def aclose(self) -> None:
        lanes = self._lanes
        if lanes is not None and lanes.process == os.getpid() and not lanes.loop.is_closed():
            if lanes.loop is not _running_loop():
                raise StoreClosedError("the store belongs to another event loop", "close it there")
            # Again if something cancelled it, as the end of a loop does with every task.
            if self._closing is None or self._closing.cancelled():
                self._closed = True
                self._closing = lanes.loop.create_task(self._close(lanes), name="jeeves-journal close")
            # Whoever is cancelled meanwhile leaves the closing itself to go on.
            await asyncio.shield(self._closing)
        elif not self._closed:
            self._closed = True
            if lanes is not None and lanes.process == os.getpid():
                lanes.abandon()
            await self._database.finish()

    async def __aenter__(self) -> Self:
        if self._closed:
            raise self._closed_error()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        lanes = self._lanes
        if lanes is None or self._closing is not None or lanes.process != os.getpid():
            return
        # In its loop, since the garbage collector may run in any thread. A loop that is closed by now has closed them.
        with suppress(RuntimeError):
            lanes.loop.call_soon_threadsafe(lanes.let_go)

    async def _close(self, lanes: Lanes) -> None:
        await lanes.close()
        await self._database.finish()

    async def _operate(
        self, work: Callable[Concatenate[Lanes, Database, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do what operators ask."""
        lanes = self._lanes_here()
        async with self._database.translating():
            with lanes.operation():
                return await work(lanes, self._database, *args, **kwargs)

    def _lanes_here(self, session_id: str | None = None, step_name: str | None = None) -> Lanes:
        """Return the lanes of this process and event loop.

        Raises:
            StoreClosedError: The store is closed, or belongs to another process or to another live event loop.
            ConfigurationError: No asyncio event loop is running.
        """
        lanes = self._lanes
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            remedy = "run under asyncio, or use the in-memory store"
            raise ConfigurationError("the SQL stores need asyncio", remedy, session_id, step_name) from None
        if lanes is None or lanes.loop is not loop or self._closed or lanes.process != os.getpid():
            refusal = self._refusal(lanes)
            if refusal is not None:
                raise refusal.about(session_id, step_name)
            if lanes is not None:
                lanes.abandon()
            lanes = self._lanes = Lanes(self._database)
        return lanes

    def _refusal(self, lanes: Lanes | None) -> JournalError | None:
        if self._closed:
            return self._closed_error()
        if lanes is None:
            return None
        if lanes.process != os.getpid():
            return StoreClosedError("the store was opened before a fork", "make one in each process, after the fork")
        if not lanes.loop.is_closed():
            return StoreClosedError("the store is in use in another live event loop", "make one for each event loop")
        if not self._database.reopens:
            remedy = "make one, and a store, in this loop"
            return StoreClosedError("the event loop that the caller's engine or pool belongs to was closed", remedy)
        return None

    def _closed_error(self) -> StoreClosedError:
        return StoreClosedError("the store is closed", "open a new one")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
