"""How Postgres lets one upgrade of a journal run at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, cast

from sqlalchemy import Dialect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from jeeves_journal.errors import StoreUnavailableError
from jeeves_journal.stores.models import KEEP_INLINE, metadata

# "jeeves" as a number: what every upgrade of a journal locks, so that one runs at a time in a database.
_UPGRADE_LOCK: Final = 0x6A6565766573

# Seconds, so that a lock that is not to be had is told from a server that does not answer.
_GRACE: Final = 1.0

# Seconds.
_BETWEEN_QUESTIONS: Final = 0.5

_BOUNDS: Final = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
_SET_BOUNDS: Final = (
    "SELECT set_config('lock_timeout', :lock_timeout, :is_local), "
    "set_config('statement_timeout', :statement_timeout, :is_local)"
)


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
            await _wait_for_lock(connection, "pg_try_advisory_lock", patience)
            await _set_bounds(connection, f"{patience:g}s", "0", is_local=False)
            await connection.commit()
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
    try:
        async with asyncio.timeout(patience):
            await connection.rollback()
            await _set_bounds(connection, *bounds, is_local=False)
            await connection.execute(text(f"SELECT pg_advisory_unlock({_UPGRADE_LOCK})"))
            await connection.commit()
    except Exception:
        return False
    return True


@asynccontextmanager
async def transaction_lock(connection: AsyncConnection, patience: float) -> AsyncGenerator[None]:
    """Hold the upgrade lock for one transaction: PgBouncer gives the next one another server connection."""
    async with asyncio.timeout(patience + _GRACE):
        await connection.execution_options(isolation_level="READ COMMITTED")
        await _wait_for_lock(connection, "pg_try_advisory_xact_lock", patience)
        await _set_bounds(connection, f"{patience:g}s", "0", is_local=True)
    yield
    await connection.commit()


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
                connection = None
    finally:
        if connection is not None:
            connection.terminate()


async def _set_bounds(
    connection: AsyncConnection, lock_timeout: str, statement_timeout: str, *, is_local: bool
) -> None:
    """Bound how long DDL waits for other users of the tables, and not how long it works."""
    bounds = {"lock_timeout": lock_timeout, "statement_timeout": statement_timeout, "is_local": is_local}
    await connection.execute(text(_SET_BOUNDS), bounds)


async def _wait_for_lock(connection: AsyncConnection, function: str, patience: float) -> None:
    """Ask for the upgrade lock again and again.

    A statement that blocks on it would hold a snapshot, for which another upgrade's CREATE INDEX CONCURRENTLY would
    wait in turn.
    """
    try:
        async with asyncio.timeout(patience):
            while not await connection.scalar(text(f"SELECT {function}({_UPGRADE_LOCK})")):
                await connection.rollback()
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        what = f"another upgrade of the database did not end within {patience:g} s"
        raise StoreUnavailableError(what, "try again when it is done") from error


def rerunnable_ddl() -> list[str]:
    """Return a statement for each table that makes it where it is missing, also for many who run it at once.

    Looked up and not left to IF NOT EXISTS, which needs the CREATE privilege even where the table is there.
    """
    dialect: Dialect = cast("Any", postgresql).dialect()
    return [
        f"DO $$ BEGIN PERFORM pg_advisory_xact_lock({_UPGRADE_LOCK}); IF to_regclass('{table.name}') IS NULL THEN "
        f"{str(CreateTable(table).compile(dialect=dialect)).strip()}; "
        f"{KEEP_INLINE.against(table).compile(dialect=dialect)}; END IF; END $$"
        for table in metadata.sorted_tables
    ]
