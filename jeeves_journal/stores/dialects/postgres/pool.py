"""Postgres on a caller's ``asyncpg.Pool``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs] (it ships none)
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from jeeves_journal.errors import StoreClosedError
from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import Connections
from jeeves_journal.stores.dialects.postgres.database import PostgresDatabase
from jeeves_journal.stores.dialects.postgres.driver import terminated
from jeeves_journal.stores.dialects.postgres.protocols import Driver, Pool


class PooledPostgres(PostgresDatabase):
    """Postgres on a caller's pool, whose connections are neither closed nor given SQLAlchemy's codecs."""

    reopens = False

    def __init__(self, pool: Pool, settings: Settings, *, close_pool: bool) -> None:
        """Borrow the pool; its connections are taken for one batch each."""
        super().__init__(settings)
        self._pool = pool
        self._close_pool = close_pool
        self._process = os.getpid()

    def describe(self) -> str:
        return "Postgres of the caller's pool"

    async def finish(self) -> None:
        # In the child of a fork, closing would write on the parent's sockets.
        if not self._close_pool or self._process != os.getpid():
            return
        try:
            async with asyncio.timeout(self.settings.timeout):
                await self._pool.close()
        # A caller keeps a connection; the pool's loop is closed; or the pool was never opened.
        except (TimeoutError, RuntimeError, asyncpg.InterfaceError):
            with suppress(Exception):
                self._pool.terminate()

    async def _connect(self, *, create: bool) -> Connections[Driver]:
        return _PoolConnections(self._pool)


class _PoolConnections(Connections[Driver]):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Driver]:
        self._check_usable()
        async with self._pool.acquire() as driver:
            try:
                yield driver
            except BaseException as error:
                # The pool itself would first wait, without a bound, until the server has heard of a cancellation. One
                # whose end arrived it has taken back already.
                with suppress(asyncpg.InterfaceError):
                    terminated(driver, error)
                raise

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[AsyncConnection]:
        async with self.lease() as driver:

            async def lend_driver() -> Driver:
                return driver

            engine = create_async_engine("postgresql+asyncpg://", async_creator=lend_driver, poolclass=NullPool)
            dialect: Any = engine.dialect
            # SQLAlchemy sets its own JSON codecs on a new connection; on this one they would outlast the loan.
            dialect.setup_asyncpg_json_codec = dialect.setup_asyncpg_jsonb_codec = _leave_codecs
            connection = await engine.connect()
            try:
                yield connection
            finally:
                # SQLAlchemy's pool would close it, but it goes back to the caller's.
                if connection.sync_connection is not None and not connection.invalidated:
                    connection.sync_connection.detach()

    async def close(self) -> None:
        """Leave the pool to the caller."""

    def _check_usable(self) -> None:
        """Refuse what asyncpg answers with whatever breaks first.

        Raises:
            StoreClosedError: The pool is closed, or belongs to another event loop.
        """
        if not getattr(self._pool, "_initialized", True):
            raise StoreClosedError("the caller's pool was not opened", "await asyncpg.create_pool(...)")
        if self._pool.is_closing():
            raise StoreClosedError("the caller's pool is closed", "make a new pool and a store over it")
        loop = getattr(self._pool, "_loop", None)
        if loop is not None and loop is not asyncio.get_running_loop():
            remedy = "make the pool in the event loop that uses it"
            raise StoreClosedError("the caller's pool belongs to another event loop", remedy)


async def _leave_codecs(connection: object) -> None:
    """Stand in for what would change the connection."""
