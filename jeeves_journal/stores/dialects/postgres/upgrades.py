"""How Postgres lets one upgrade of a journal run at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol, cast

from sqlalchemy import Connection, Dialect, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex, CreateTable

from jeeves_journal.errors import StoreUnavailableError
from jeeves_journal.stores.models import KEEP_INLINE, metadata

# "jeeves" as a number: what every upgrade of a journal locks, so that one runs at a time in a database.
_UPGRADE_LOCK: Final = 0x6A6565766573

# Seconds, so that a lock that is not to be had is told from a server that does not answer.
_GRACE: Final = 1.0

# Seconds.
_BETWEEN_QUESTIONS: Final = 0.5
_BETWEEN_TRIES: Final = 0.05

_ANOTHER_UPGRADE: Final = (
    "another upgrade of the database did not end within {patience:g} s",
    "try again when it is done",
)
_NO_SECOND_CONNECTION: Final = (
    "an upgrade needs two connections at once, and the pooler or pool gave it only one within {patience:g} s",
    "let it open more, or upgrade past the pooler",
)

_BOUNDS: Final = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
_SET_BOUNDS: Final = (
    "SELECT set_config('lock_timeout', :lock_timeout, false), "
    "set_config('statement_timeout', :statement_timeout, false)"
)
_SET_LOCAL_BOUNDS: Final = (
    "SELECT set_config('lock_timeout', '{patience:g}s', true), set_config('statement_timeout', '0', true)"
)


class Locking(Protocol):
    """A connection whose transaction holds the lock."""

    async def execute(self, query: str) -> object: ...
    async def fetchval(self, query: str) -> Any: ...


class Pinged(Protocol):
    """A connection over which the server is asked whether it is there."""

    async def execute(self, query: str) -> object: ...
    def terminate(self) -> None: ...


@asynccontextmanager
async def session_lock(connection: AsyncConnection, patience: float) -> AsyncGenerator[None]:
    """Hold the upgrade lock beyond single transactions, so that a revision may commit under it."""
    usable, before = False, ("0", "0")
    try:
        async with asyncio.timeout(patience + _GRACE):
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            lock_timeout, statement_timeout = (await connection.execute(text(_BOUNDS))).one()
            before = lock_timeout, statement_timeout
            await _wait_for_lock(connection, patience)
            # What runs outside a transaction keeps nobody waiting, however long it takes.
            await _set_bounds(connection, "0", "0")
            await connection.commit()
            _bound_transactions(connection, patience)
            await connection.execution_options(isolation_level="READ COMMITTED")
        yield
        await connection.commit()
        usable = True
    except Exception:
        usable = True
        raise
    finally:
        # After a cancellation, or where the connection is lost, the server lets go of the lock with the connection.
        if not (usable and await _let_go(connection, before, patience)):
            await connection.invalidate()


async def _let_go(connection: AsyncConnection, bounds: tuple[str, str], patience: float) -> bool:
    """Leave the connection as it was, and return whether that was possible."""
    if connection.invalidated:
        # The next statement would open another connection, which nobody would close.
        return False
    try:
        async with asyncio.timeout(patience):
            await connection.rollback()
            await _set_bounds(connection, *bounds)
            await connection.execute(text(f"SELECT pg_advisory_unlock({_UPGRADE_LOCK})"))
            await connection.commit()
    except Exception:
        return False
    return True


@asynccontextmanager
async def transaction_lock(
    lease: Callable[[], AbstractAsyncContextManager[Locking]],
    lend: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    patience: float,
) -> AsyncGenerator[AsyncConnection]:
    """Hold the upgrade lock in a transaction of one connection, and lend another one to work on.

    PgBouncer gives every transaction another server connection, so that no lock outlives one, and an index cannot be
    built concurrently inside one. The transaction that holds the lock does nothing else, so that nobody waits for it.

    Args:
        lease: Lends the connection that is to hold the lock.
        lend: Lends the one to work on.
        patience: Seconds to wait for another upgrade, and for a connection.
    """
    async with AsyncExitStack() as locked:
        async with _impatiently(patience, *_ANOTHER_UPGRADE):
            while True:
                locking = await locked.enter_async_context(lease())
                await locking.execute("BEGIN")
                if await locking.fetchval(f"SELECT pg_try_advisory_xact_lock({_UPGRADE_LOCK})"):
                    break
                await locking.execute("ROLLBACK")
                # Given back meanwhile: whoever has the lock needs a second one, maybe of the same pool.
                await locked.aclose()
                await asyncio.sleep(_BETWEEN_TRIES)
        # Not to be ended for being idle: https://www.postgresql.org/docs/current/runtime-config-client.html
        await locking.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        async with AsyncExitStack() as lent:
            # Sooner than who asks whether the server answers, and gets no connection either.
            async with _impatiently(patience / 2, *_NO_SECOND_CONNECTION):
                connection = await lent.enter_async_context(lend())
                await _see_that_it_is_served(connection)
            await connection.execution_options(isolation_level="READ COMMITTED")
            _bound_transactions(connection, patience)
            yield connection
            await connection.commit()
        await locking.execute("COMMIT")


async def _see_that_it_is_served(connection: AsyncConnection) -> None:
    """Wait until the pooler has a connection to the server for this one."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        await driver.execute("SELECT 1")
    except asyncio.CancelledError:
        # SQLAlchemy 2.0 would say goodbye, and that waits in the same queue.
        driver.terminate()
        raise


@asynccontextmanager
async def _impatiently(patience: float, what: str, remedy: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(patience):
            yield
    except TimeoutError as error:
        raise StoreUnavailableError(what.format(patience=patience), remedy) from error


@asynccontextmanager
async def while_answering(connect: Callable[[], Awaitable[Pinged]], patience: float) -> AsyncGenerator[None]:
    """End the body if the server falls silent meanwhile: DDL may take hours, but not because nobody is there any more.

    Args:
        connect: Opens a connection to ask the server over.
        patience: Seconds that it may take to answer.

    Raises:
        TimeoutError: It did not.
    """
    async with asyncio.timeout(None) as bound:
        watching = asyncio.ensure_future(_watch(connect, patience, bound))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])


async def _watch(connect: Callable[[], Awaitable[Pinged]], patience: float, bound: asyncio.Timeout) -> None:
    connection: Pinged | None = None
    try:
        while True:
            await asyncio.sleep(_BETWEEN_QUESTIONS)
            try:
                async with asyncio.timeout(patience):
                    connection = connection or await connect()
                    await connection.execute("SELECT 1")
            except TimeoutError:
                bound.reschedule(asyncio.get_running_loop().time())
                return
            except Exception:
                # A refusal is an answer too.
                if connection is not None:
                    connection.terminate()
                    connection = None
    finally:
        if connection is not None:
            connection.terminate()


async def _set_bounds(connection: AsyncConnection, lock_timeout: str, statement_timeout: str) -> None:
    bounds = {"lock_timeout": lock_timeout, "statement_timeout": statement_timeout}
    await connection.execute(text(_SET_BOUNDS), bounds)


def _bound_transactions(connection: AsyncConnection, patience: float) -> None:
    """Bound how long DDL in a transaction waits for other users of the tables, and not how long it works.

    While it waits, nobody else gets at them either.
    """

    def bound(beginning: Connection) -> None:
        beginning.exec_driver_sql(_SET_LOCAL_BOUNDS.format(patience=patience))

    event.listen(connection.sync_connection, "begin", bound)


async def _wait_for_lock(connection: AsyncConnection, patience: float) -> None:
    """Ask for the upgrade lock again and again.

    A statement that blocks on it would hold a snapshot, for which another upgrade's CREATE INDEX CONCURRENTLY would
    wait in turn.
    """
    async with _impatiently(patience, *_ANOTHER_UPGRADE):
        while not await connection.scalar(text(f"SELECT pg_try_advisory_lock({_UPGRADE_LOCK})")):
            await connection.rollback()
            await asyncio.sleep(_BETWEEN_TRIES)


def rerunnable_ddl() -> list[str]:
    """Return a statement for each table that makes it and its indexes, also for many who run it at once.

    A table that is there stays as it is: to build an index on it could keep writers waiting, and is for upgrades.

    Looked up and not left to IF NOT EXISTS, which needs the CREATE privilege even where the table is there.
    """
    dialect: Dialect = cast("Any", postgresql).dialect()
    return [
        f"DO $$ BEGIN PERFORM pg_advisory_xact_lock({_UPGRADE_LOCK}); IF to_regclass('{table.name}') IS NULL THEN "
        f"{str(CreateTable(table).compile(dialect=dialect)).strip()}; "
        f"{KEEP_INLINE.against(table).compile(dialect=dialect)}; "
        + "".join(f"{CreateIndex(index).compile(dialect=dialect)}; " for index in table.indexes)
        + "END IF; END $$"
        for table in metadata.sorted_tables
    ]
