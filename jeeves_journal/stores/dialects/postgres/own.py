"""Postgres on an engine of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Final, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] (it ships none)
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import Connections, driver_of
from jeeves_journal.stores.dialects.kept_connections import KeptConnections
from jeeves_journal.stores.dialects.postgres.database import PostgresDatabase
from jeeves_journal.stores.dialects.postgres.driver import seconds_until, terminated
from jeeves_journal.stores.dialects.postgres.dsn import PostgresURL
from jeeves_journal.stores.dialects.postgres.hosts import Hosts
from jeeves_journal.stores.dialects.postgres.protocols import Driver, Lender
from jeeves_journal.stores.dialects.postgres.upgrades import while_answering
from jeeves_journal.stores.dialects.rows import Row

# The share of the timeout that a statement has to have left. More than the server takes of it.
_PUNCTUAL_SHARE: Final = 0.9

# Seconds that saying goodbye may take.
_PATIENCE: Final = 1.0

# With its start, since the server gives a process id again to somebody else.
_WHO_SERVES_US: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END_BACKENDS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE (pid, backend_start) IN (SELECT * FROM unnest($1::integer[], $2::timestamptz[]))"
)
# Seconds. About what the end of a backend takes, and what it takes at most on a busy machine.
_BETWEEN_LOOKS: Final = 0.005
_LONGEST_END: Final = 0.5


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that is closed in time, also where nobody answers.

    asyncpg first asks the server over another connection to cancel what runs, and waits for that without a bound. Some
    versions of SQLAlchemy close a connection so whose statement was cancelled.
    """

    backend: tuple[object, ...] | None = None
    """The server's process for this connection, and when it was started; ``None`` where the server does not tell."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's signature
        try:
            async with asyncio.timeout(_PATIENCE):
                await super().close(timeout=timeout)  # pyright: ignore[reportUnknownMemberType]  # no types there
        except BaseException as error:
            self.terminate()
            if not isinstance(error, TimeoutError):
                raise

    def terminate(self) -> None:
        super().terminate()
        # Where a goodbye is under way, asyncpg 0.31 believes that the socket is being closed already.
        cast("Any", self)._transport.abort()


class OwnPostgres(PostgresDatabase):
    """Postgres on an engine of ours."""

    def __init__(self, url: PostgresURL, settings: Settings) -> None:
        """Name the server; nothing is connected yet."""
        super().__init__(settings)
        self._url = url
        self._hosts = Hosts(url, are_poolers=settings.pgbouncer)
        # Of connections that were given up on, and whose end nobody has seen.
        self._left_behind: set[tuple[object, ...]] = set()

    def describe(self) -> str:
        return f"Postgres {self._url}"

    async def write(self, rows: Sequence[Row], deadline: float) -> None:
        if self._left_behind:
            await self._end_left_behind()
        await super().write(rows, deadline)

    async def _end_left_behind(self) -> None:
        """End what the server still does for connections that were given up on.

        What was said on them may be on its way yet, kept by a firewall, a balancer or this machine's own network until
        a line works again. It would overwrite what is put next. A process that somebody has stopped is not waited for:
        it ends when it goes on, before it does anything else.
        """
        # Before anything is waited for: another write may do the same meanwhile.
        ended = tuple(self._left_behind)
        async with self.connections.lease() as driver:
            # Who administers the server may have kept that function to himself, and cannot have the order kept.
            with suppress(asyncpg.InsufficientPrivilegeError, TimeoutError):
                async with asyncio.timeout(_LONGEST_END):
                    while await driver.fetch(_END_BACKENDS, *zip(*ended, strict=True)):
                        await asyncio.sleep(_BETWEEN_LOOKS)
        self._left_behind.difference_update(ended)

    def _terminated(self, driver: Driver, error: BaseException) -> bool:
        if not terminated(driver, error):
            return False
        if isinstance(driver, _Connection) and driver.backend is not None:
            self._left_behind.add(driver.backend)
        return True

    async def _timeline_of(self, connection: AsyncConnection) -> object:
        return self._hosts.timeline_of(await driver_of(connection))

    @asynccontextmanager
    async def migrating(self) -> AsyncGenerator[AsyncConnection]:
        try:
            async with while_answering(self._connect_driver, self.settings.timeout), super().migrating() as connection:
                yield connection
        except TimeoutError:
            # A goodbye on each connection would be waited for in vain.
            for driver in self.connections.forget():
                driver.terminate()
            raise

    @asynccontextmanager
    async def _leases_apart(self) -> AsyncGenerator[Lender]:
        # Not one of those that are counted: of one alone, the one that is lent would be waited for in vain.
        driver = await self._connect_driver()
        try:
            yield lambda: nullcontext(driver)
        finally:
            driver.terminate()

    async def _connect(self, *, create: bool) -> Connections[Driver]:
        engine = create_async_engine(
            # A plan that outlives an upgrade of the tables is refused within a transaction.
            "postgresql+asyncpg://?prepared_statement_cache_size=0",
            async_creator=self._connect_for_engine,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            hide_parameters=True,
        )
        most = self.settings.pool_size + self.settings.max_overflow
        timeout = self.settings.timeout
        keep = self.settings.pool_size
        return KeptConnections(engine, self._terminated, _end, timeout=timeout, keep=keep, most=most)

    async def _connect_for_engine(self) -> Driver:
        driver = await self._connect_driver()
        connecting = asyncio.current_task()
        if connecting is not None:
            # Until SQLAlchemy has asked all that it asks of a new connection, nobody else knows of this one.
            connecting.add_done_callback(partial(_terminate_unless_connected, driver))
        return driver

    async def _connect_driver(self) -> Driver:
        driver = await self._reach_host()
        self._was_reached = True
        # PgBouncer refuses to carry it on the connection, so there each transaction sets it.
        if not self.settings.pgbouncer:
            try:
                await driver.execute(self._write_settings(self.settings.timeout, is_local=False))
                backend = await driver.fetchrow(_WHO_SERVES_US)
            except BaseException:
                driver.terminate()
                raise
            cast("_Connection", driver).backend = None if backend is None else tuple(backend)
        return driver

    async def _reach_host(self) -> Driver:
        without_cache = {"statement_cache_size": 0} if self.settings.pgbouncer else {}
        try:
            return await self._hosts.connect(
                self.settings.timeout, writes=self._took_writes, connection_class=_Connection, **without_cache
            )
        except (ValueError, TypeError, OverflowError) as error:
            # Also asyncpg's ClientConfigurationError; a port over 65,535 overflows.
            if not isinstance(error, asyncpg.exceptions.ClientConfigurationError):
                # Python quotes what it cannot read, and that may be a part of a password that nobody escaped.
                error.args = ("a part of the URL",)
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

    def _is_bounded(self, deadline: float) -> bool:
        # What the connection carries bounds a statement that starts in time. One that comes late, after a retry or a
        # wait, would still be at work on the server when the next put has been acknowledged.
        starts_in_time = seconds_until(deadline) > self.settings.timeout * _PUNCTUAL_SHARE
        return starts_in_time and not self.settings.pgbouncer


async def _end(driver: Driver) -> None:
    # Whatever was recorded is durable by now.
    with suppress(Exception):
        await driver.close()


def _terminate_unless_connected(driver: Driver, connecting: asyncio.Task[Any]) -> None:
    if connecting.cancelled() or connecting.exception() is not None:
        driver.terminate()
