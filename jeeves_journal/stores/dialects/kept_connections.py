"""The connections of the store's own engine, which it keeps between calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from jeeves_journal.stores.dialects.connections import Driver, EngineConnections, Lease, discard, driver_of

# Seconds after which what should take none is given up.
_PATIENCE: Final = 1.0


class KeptConnections(EngineConnections[Driver]):
    """Connections of the store's own engine, kept between calls.

    A trip through SQLAlchemy's pool costs more than a statement does, so it is made once for each connection and not
    once for each call. They are taken out of the pool for good, so its kind and size do not matter.
    """

    are_autocommit = True

    def __init__(
        self,
        engine: AsyncEngine,
        terminated: Callable[[Driver, BaseException], bool],
        end: Callable[[Driver], Coroutine[Any, Any, object]],
        *,
        timeout: float,
        keep: int,
        most: int,
        prepare: Callable[[Driver], Awaitable[object]] | None = None,
    ) -> None:
        """Prepare; see ``EngineConnections``.

        Args:
            engine: See ``EngineConnections``; in AUTOCOMMIT.
            terminated: See ``EngineConnections``.
            end: Closes a driver's connection.
            timeout: Seconds that connecting may take.
            keep: How many connections are kept while nobody uses them.
            most: How many may be in use at once. Who comes later waits.
            prepare: Sets up a connection that is about to be kept.
        """
        super().__init__(engine, terminated)
        self._end = end
        self._timeout = timeout
        self._keep = keep
        self._most = most
        self._prepare = prepare
        self._in_use = 0
        self._free = asyncio.Semaphore(most)
        self._idle: list[Lease[Driver]] = []

    def lease(self) -> AbstractAsyncContextManager[Driver]:
        return _KeptLoan(self)

    async def take(self) -> Lease[Driver]:
        """Return a connection that is nobody else's until it is given back."""
        await self._free.acquire()
        self._in_use += 1
        try:
            return self._idle.pop() if self._idle else await self._open()
        except BaseException:
            self._one_less()
            raise

    async def give_back(self, lease: Lease[Driver], error: BaseException | None, *, is_at_rest: bool = True) -> None:
        """Keep a connection for the next one to use it, unless an error made it useless, or left it at work."""
        try:
            if error is not None and self._terminated(lease.driver, error):
                # A server that restarted or fell silent did so for the others too: no call must find that out again.
                lost = [lease, *(other for other in self._idle if self._terminated(other.driver, error))]
                self._idle = [other for other in self._idle if other not in lost]
                for each in lost:
                    await discard(each.connection)
            elif is_at_rest and len(self._idle) < self._keep:
                self._idle.append(lease)
            else:
                await self._close(lease)
        finally:
            self._one_less()

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[AsyncConnection]:
        await self._free.acquire()
        self._in_use += 1
        try:
            if len(self._idle) + self._in_use > self._most:
                await self._close(self._idle.pop())
            lease = await self._connected()
            try:
                yield lease.connection
            finally:
                await self._close(lease)
        finally:
            self._one_less()

    @asynccontextmanager
    async def lend_kept(self) -> AsyncGenerator[tuple[AsyncConnection, Driver]]:
        lease = await self.take()
        error: BaseException | None = None
        try:
            yield lease
        except BaseException as raised:
            error = raised
            raise
        finally:
            is_at_rest = False
            try:
                if isinstance(error, Exception | None):
                    with suppress(Exception):
                        await lease.connection.rollback()
                        is_at_rest = not lease.connection.invalidated
            finally:
                await self.give_back(lease, error, is_at_rest=is_at_rest)

    async def close(self) -> None:
        while self._idle:
            # Kept until it is closed, so that an interruption leaves it to be forgotten.
            await self._close(self._idle[-1])
            self._idle.pop()
        await self._engine.dispose()

    def forget(self) -> list[Driver]:
        idle, self._idle = self._idle, []
        return [lease.driver for lease in idle]

    def _one_less(self) -> None:
        self._in_use -= 1
        self._free.release()

    async def _connected(self) -> Lease[Driver]:
        """Return a new connection of the engine.

        Connecting is not interrupted at once: a driver that is cancelled on the way loses the connection that it has
        half made, and nobody closes it.
        """
        connecting = asyncio.ensure_future(self._start())
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            try:
                await _see_to_end(connecting)
            finally:
                if not connecting.cancelled() and connecting.exception() is None:
                    await self._close(connecting.result())
            raise

    async def _start(self) -> Lease[Driver]:
        # SQLAlchemy asks a few things of its own over the first connection, and waits for the answers without a bound.
        async with asyncio.timeout(self._timeout):
            connection = await self._engine.connect()
            return Lease(connection, await driver_of(connection))

    async def _close(self, lease: Lease[Driver]) -> None:
        """Close a connection, or terminate it where nobody answers to that."""
        _detach(lease.connection)
        closing = asyncio.ensure_future(self._end(lease.driver))
        try:
            await asyncio.wait([closing], timeout=_PATIENCE)
        finally:
            if not closing.done():
                self._terminated(lease.driver, asyncio.CancelledError())
            await _see_to_end(closing)

    async def _open(self) -> Lease[Driver]:
        lease = await self._connected()
        # The pool would complain about a connection that is still lent when a store is never closed.
        _detach(lease.connection)
        if self._prepare is not None:
            try:
                await self._prepare(lease.driver)
            except BaseException:
                await self._close(lease)
                raise
        return lease


class _KeptLoan(AbstractAsyncContextManager[Driver]):
    """The loan of a kept connection. A class, since a generator takes as long as a read does on the server."""

    __slots__ = ("_connections", "_lease")

    def __init__(self, connections: KeptConnections[Driver]) -> None:
        self._connections = connections

    async def __aenter__(self) -> Driver:
        self._lease = await self._connections.take()
        return self._lease.driver

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connections.give_back(self._lease, error)


async def _see_to_end(work: asyncio.Future[Any]) -> None:
    """Wait until work has ended, however often this is cancelled; cancel it if it does not end soon.

    Raises:
        asyncio.CancelledError: This was cancelled meanwhile. The work has ended all the same.
    """
    # Counted once, since a scope of AnyIO's cancels again in every turn of the loop.
    impatient = asyncio.get_running_loop().call_later(_PATIENCE, work.cancel)
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    impatient.cancel()
    if cancelled is not None:
        raise cancelled


def _detach(connection: AsyncConnection) -> None:
    """Take a connection from SQLAlchemy's pool, unless that has given it up already."""
    kept = connection.sync_connection
    if kept is not None and not kept.invalidated and not kept.connection.is_detached:
        kept.detach()
