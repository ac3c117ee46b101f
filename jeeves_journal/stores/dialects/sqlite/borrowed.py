"""SQLite on a caller's engine."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import aiosqlite
from sqlalchemy import StaticPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

from jeeves_journal.errors import StoreClosedError
from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import BorrowedConnections, Connections
from jeeves_journal.stores.dialects.sqlite.database import FULL, SqliteDatabase, never_terminated
from jeeves_journal.stores.dialects.sqlite.errors import SharedTransactionError
from jeeves_journal.stores.dialects.sqlite.records import Batches, commit, plain_rows
from jeeves_journal.stores.dialects.sqlite.thread import on_thread


class BorrowedSqlite(SqliteDatabase):
    """SQLite on a caller's engine."""

    reopens = False

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        """Borrow the engine; its connections are taken for one batch each."""
        super().__init__(settings)
        self._engine = engine

    def describe(self) -> str:
        return f"SQLite {self._engine.url.database or ':memory:'} of the caller's engine"

    @property
    def _is_shared(self) -> bool:
        """Whether tasks share the one connection that SQLAlchemy gives out for ":memory:"."""
        return isinstance(self._engine.sync_engine.pool, StaticPool)

    async def _connect(self, *, create: bool) -> Connections[aiosqlite.Connection]:
        if self._is_shared:
            return _SharedConnection(self._engine, never_terminated)
        return BorrowedConnections(self._engine, never_terminated)

    def _commit(self, connection: sqlite3.Connection, batches: Batches) -> None:
        with nullcontext() if self._is_shared else _transactions_of_ours(connection):
            if connection.in_transaction:
                raise SharedTransactionError
            before = _sync_at_least(FULL, connection)
            try:
                commit(connection, batches)
            finally:
                _sync(before, connection)

    @asynccontextmanager
    async def _synced(self, driver: aiosqlite.Connection) -> AsyncGenerator[None]:
        before = await on_thread(driver, partial(_sync_at_least, FULL))
        try:
            yield
        finally:
            # SQLAlchemy closes a connection that was interrupted.
            with suppress(StoreClosedError):
                await on_thread(driver, partial(_sync, before))


class _SharedConnection(BorrowedConnections[aiosqlite.Connection]):
    """The one connection that a caller's engine has for ``:memory:``.

    It is used without asking SQLAlchemy's pool for it: the pool rolls back when it is given back, and with it what
    another task has under way.
    """

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[aiosqlite.Connection]:
        pool: Any = self._engine.sync_engine.pool
        record = await greenlet_spawn(getattr, pool, "connection")
        yield record.driver_connection

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[AsyncConnection]:
        async with self.lease() as driver:
            if driver.in_transaction:
                raise SharedTransactionError
        async with super().lend() as connection:
            yield connection


@contextmanager
def _transactions_of_ours(connection: Any) -> Generator[None]:
    """Keep the driver from beginning transactions by itself, which it does on a caller's ``autocommit=False``.

    https://docs.python.org/3/library/sqlite3.html#sqlite3.Connection.autocommit, new in Python 3.12. Nothing is lost of
    the one that it has begun: the connection was lent just now, and nobody has used it since.
    """
    if getattr(connection, "autocommit", None) is not False:
        yield
        return
    connection.autocommit = True
    try:
        yield
    finally:
        connection.autocommit = False


def _sync_at_least(level: int, connection: sqlite3.Connection) -> int:
    """Sync commits as ``PRAGMA synchronous`` says, or more; return what was set before."""
    with plain_rows(connection):
        (before,) = connection.execute("PRAGMA synchronous").fetchone()
    if before < level:
        connection.execute(f"PRAGMA synchronous = {level}")
    return int(before)


def _sync(level: int, connection: sqlite3.Connection) -> None:
    # It cannot be changed in the middle of a transaction, which has failed if it has not ended by now.
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute(f"PRAGMA synchronous = {level}")
