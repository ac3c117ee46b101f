"""Postgres on an engine of ours."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs] (it ships none)
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import Connections, KeptConnections
from jeeves_journal.stores.dialects.postgres import Driver, PostgresDatabase, seconds_until, terminated
from jeeves_journal.stores.dialects.postgres_dsn import PostgresURL
from jeeves_journal.stores.dialects.postgres_hosts import Hosts

# The share of the timeout that a statement has to have left. More than the server takes of it.
_PUNCTUAL_SHARE: Final = 0.9

# Seconds that saying goodbye may take.
_PATIENCE: Final = 1.0


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that is closed in time, also where nobody answers.

    asyncpg first asks the server over another connection to cancel what runs, and waits for that without a bound. Some
    versions of SQLAlchemy close a connection so whose statement was cancelled.
    """

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's signature
        try:
            async with asyncio.timeout(_PATIENCE):
                await super().close(timeout=timeout)  # pyright: ignore[reportUnknownMemberType]  # no types there
        except TimeoutError:
            self.terminate()


class OwnPostgres(PostgresDatabase):
    """Postgres on an engine of ours."""

    def __init__(self, url: PostgresURL, settings: Settings) -> None:
        """Name the server; nothing is connected yet."""
        super().__init__(settings)
        self._url = url
        self._hosts = Hosts(url)

    def describe(self) -> str:
        return f"Postgres {self._url}"

    async def _connect(self, *, create: bool) -> Connections[Driver]:
        engine = create_async_engine(
            "postgresql+asyncpg://" + ("?prepared_statement_cache_size=0" if self.settings.pgbouncer else ""),
            async_creator=self._connect_driver,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            hide_parameters=True,
        )
        most = self.settings.pool_size + self.settings.max_overflow
        timeout = self.settings.timeout
        return KeptConnections(engine, terminated, timeout=timeout, keep=self.settings.pool_size, most=most)

    async def _connect_driver(self) -> Driver:
        without_cache = {"statement_cache_size": 0} if self.settings.pgbouncer else {}
        try:
            driver = await self._hosts.connect(
                self.settings.timeout, writes=self._took_writes, connection_class=_Connection, **without_cache
            )
        except (ValueError, TypeError, OverflowError) as error:
            # Also asyncpg's ClientConfigurationError; a port over 65,535 overflows.
            raise ConfigurationError(
                f"{self.describe()}: the settings in the URL cannot be used", "check it"
            ) from error
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            # asyncpg reads these files before it connects. Only their absence tells its error from a missing socket's.
            unreadable = self._url.unreadable_files()
            if not unreadable:
                raise
            what = f"{self.describe()}: the file cannot be read that the URL names as {unreadable[0]}"
            raise ConfigurationError(what, "correct the path, or let this process read the file") from error
        self._was_reached = True
        connecting = asyncio.current_task()
        if connecting is not None:
            # Until SQLAlchemy has asked all that it asks of a new connection, nobody else knows of this one.
            connecting.add_done_callback(partial(_terminate_unless_connected, driver))
        # PgBouncer refuses to carry it on the connection, so there each transaction sets it.
        if not self.settings.pgbouncer:
            await driver.execute(self._write_settings(self.settings.timeout, is_local=False))
        return driver

    def _abandon_driver(self, driver: Driver) -> None:
        transport: Any = getattr(driver, "_transport", None)
        with suppress(RuntimeError):
            driver.terminate()
            return
        # Its event loop is closed, and asyncio closes no transport without one: the server would keep the backend.
        open_socket = getattr(transport, "_sock", None)
        if open_socket is not None:
            open_socket.close()
            transport._sock = None

    def _durable_transaction(self, driver: Driver, deadline: float) -> AbstractAsyncContextManager[object]:
        # What the connection carries bounds a statement that starts in time. One that comes late, after a retry or a
        # wait, would still be at work on the server when the next put has been acknowledged.
        starts_in_time = seconds_until(deadline) > self.settings.timeout * _PUNCTUAL_SHARE
        if starts_in_time and not self.settings.pgbouncer:
            return nullcontext()
        return super()._durable_transaction(driver, deadline)


def _terminate_unless_connected(driver: Driver, connecting: asyncio.Task[Any]) -> None:
    if connecting.cancelled() or connecting.exception() is not None:
        driver.terminate()
