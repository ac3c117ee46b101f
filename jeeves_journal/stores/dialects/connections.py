"""Where a store gets its connections: its own engine's, which it keeps, or a caller's, which it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Driver = TypeVar("Driver")
"""aiosqlite's or asyncpg's own connection."""


class Lease(NamedTuple, Generic[Driver]):
    """A connection, as SQLAlchemy and as its driver know it."""

    connection: AsyncConnection
    driver: Driver


class Connections(ABC, Generic[Driver]):
    """Lends connections, within one event loop."""

    are_autocommit: bool = False
    """Whether SQLAlchemy begins no transactions on them."""

    @abstractmethod
    def lease(self) -> AbstractAsyncContextManager[Driver]:
        """Lend the driver's connection, for compiled text."""

    @abstractmethod
    def lend(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend SQLAlchemy's connection, for what is not hot."""

    @asynccontextmanager
    async def lend_kept(self) -> AsyncGenerator[tuple[AsyncConnection, Driver]]:
        """Lend both, of a connection that is kept if there are any: to connect takes its time."""
        async with self.lend() as connection:
            yield connection, await driver_of(connection)

    @abstractmethod
    async def close(self) -> None:
        """Close what is the store's own."""

    def forget(self) -> list[Driver]:
        """Return the drivers' connections that are kept, and keep them no more: their event loop is gone."""
        return []


class EngineConnections(Connections[Driver]):
    """Connections of a SQLAlchemy engine."""

    def __init__(self, engine: AsyncEngine, terminated: Callable[[Driver, BaseException], bool]) -> None:
        """Prepare; nothing is opened yet.

        Args:
            engine: What opens them.
            terminated: Terminates a driver's connection that cannot be trusted any more after this error, and returns
                whether it did.
        """
        self._engine = engine
        self._terminated = terminated


class BorrowedConnections(EngineConnections[Driver]):
    """Connections of a caller's engine: taken for one batch, so that the caller is never short of them."""

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Driver]:
        async with self.lend() as connection:
            yield await driver_of(connection)

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[AsyncConnection]:
        async with self._engine.connect() as connection:
            # Now, since SQLAlchemy tells it no more of a connection that it has given up.
            driver: Driver = await driver_of(connection)
            try:
                yield connection
            except BaseException as error:
                # It knows of no transaction that was begun without it, and would lend it to the next caller.
                if self._terminated(driver, error):
                    await discard(connection)
                raise

    async def close(self) -> None:
        """Leave the engine to the caller."""


async def driver_of(connection: AsyncConnection) -> Any:
    """Return the driver's own connection, also of one that was taken out of its pool."""
    raw = await connection.get_raw_connection()
    return connection.dialect.get_driver_connection(cast("Any", raw.dbapi_connection))


async def discard(connection: AsyncConnection) -> None:
    """Close a connection that is of no more use."""
    if connection.sync_connection is not None:
        # Not in a greenlet of SQLAlchemy's, where it says goodbye first: when that is interrupted, 2.0 leaves the
        # connection in the pool, and lends it again.
        connection.sync_connection.invalidate()
    await connection.close()
