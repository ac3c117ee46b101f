"""What Postgres does in its own way, on asyncpg.

What costs is the round trip. In autocommit mode asyncpg's ``executemany`` is one, and atomic; waiting reads are one
SELECT over two arrays of keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Protocol, cast

from sqlalchemy import Dialect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from jeeves_journal.errors import JournalError, StoreUnavailableError
from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import BorrowedConnections, ConnectedDatabase, Connections
from jeeves_journal.stores.dialects.database import (
    VERSION_TABLE,
    Key,
    Row,
    SchemaState,
    SessionRow,
    Stored,
)
from jeeves_journal.stores.dialects.postgres_errors import explain, is_connection_loss, is_passing
from jeeves_journal.stores.statements import KINDS, TABLE_NAMES, Statements, compile_text, read_many

# Never lowers a remote_apply, and leaves alone what is on already.
_RAISE_DURABILITY: Final = (
    "SELECT set_config('synchronous_commit', 'on', {only_this_transaction}) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
)
RAISE_FOR_CONNECTION: Final = _RAISE_DURABILITY.format(only_this_transaction="false")
RAISE_FOR_TRANSACTION: Final = _RAISE_DURABILITY.format(only_this_transaction="true")

# "jeeves" as a number: what every upgrade of a journal locks, so that one runs at a time in a database.
_UPGRADE_LOCK: Final = 0x6A6565766573


_MAY_READ: Final = "SELECT has_table_privilege($1, 'SELECT')"


class Driver(Protocol):
    """What is used of ``asyncpg.Connection``, which ships no types."""

    async def execute(self, query: str, *arguments: object) -> str: ...
    async def executemany(self, command: str, args: Sequence[tuple[object, ...]]) -> None: ...
    async def fetch(self, query: str, *arguments: object) -> list[tuple[Any, ...]]: ...
    async def fetchrow(self, query: str, *arguments: object) -> tuple[Any, ...] | None: ...
    async def fetchval(self, query: str, *arguments: object) -> Any: ...
    def transaction(self) -> AbstractAsyncContextManager[object]: ...
    def terminate(self) -> None: ...
    def is_closed(self) -> bool: ...
    def is_in_transaction(self) -> bool: ...


class PostgresDatabase(ConnectedDatabase[Driver]):
    """Postgres, however its connections are come by."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._was_reached = False
        dialect: Dialect = cast("Any", asyncpg_dialect).dialect()
        self._statements = Statements.compiled_for(dialect, postgresql.insert, settings.schema)
        self._quote = dialect.identifier_preparer.quote_identifier
        self._read_many = {
            kind: compile_text(read_many(kind), dialect, settings.schema, "sessions", "names") for kind in KINDS
        }

    async def write(self, rows: Sequence[Row]) -> None:
        # Sorted, since two processes that upsert the same keys in different orders deadlock. The sort is stable: the
        # last write of a key stays the last.
        in_order = sorted(rows, key=itemgetter(0, 1, 2))
        async with self.connections.lease() as driver, self._durable_transaction(driver):
            for kind, of_kind in groupby(in_order, key=itemgetter(0)):
                await driver.executemany(self._statements.upsert[kind], [row[1:] for row in of_kind])

    async def read(self, keys: Sequence[Key]) -> list[Stored | None]:
        async with self.connections.lease() as driver, self._transaction(driver):
            if len(keys) == 1:
                kind, session_id, step_name = keys[0]
                found = await driver.fetchrow(self._statements.read[kind], session_id, step_name)
                return [None if found is None else tuple(found)]
            records: dict[Key, Stored] = {}
            for kind in KINDS:
                if of_kind := {key for key in keys if key.kind == kind}:
                    columns = [key.session_id for key in of_kind], [key.step_name for key in of_kind]
                    for session_id, step_name, *stored in await driver.fetch(self._read_many[kind], *columns):
                        records[Key(kind, session_id, step_name)] = stored[0], stored[1]
            return [records.get(key) for key in keys]

    async def read_session(self, session_id: str, max_bytes: int | None) -> list[SessionRow]:
        async with self.connections.lease() as driver, self._transaction(driver):
            if max_bytes is None:
                found = await driver.fetch(self._statements.read_session, session_id)
            else:
                statement = self._statements.read_session_within
                found = await driver.fetch(statement, session_id, max_bytes, session_id)
            return [tuple(row) for row in found]

    async def schema_state(self) -> SchemaState:
        look = "SELECT to_regclass($1)::text"
        version_table = self._qualified(VERSION_TABLE)
        async with self.connections.lease() as driver, self._transaction(driver):
            self._was_reached = True
            # The revision first: an upgrade that commits in between must not look like a revision without tables.
            revision = None
            # A user who may read the two tables and nothing else needs nothing else.
            if await driver.fetchval(look, version_table) and await driver.fetchval(_MAY_READ, version_table):
                revision = await driver.fetchval(f"SELECT version_num FROM {version_table}")
            tables = [await driver.fetchval(look, self._qualified(TABLE_NAMES[kind])) for kind in KINDS]
            return SchemaState(None not in tables, revision)

    @asynccontextmanager
    async def migrating(self) -> AsyncGenerator[AsyncConnection]:
        async with self.connections.lend() as connection:
            lock = _transaction_lock if self.settings.pgbouncer else _session_lock
            async with lock(connection, self.settings.timeout):
                yield connection

    def is_passing(self, error: BaseException) -> bool:
        # A server that never answered is more likely misnamed than restarting.
        return self._was_reached and is_passing(error)

    def explain(self, error: BaseException) -> JournalError:
        return explain(error, self.describe())

    def _qualified(self, table: str) -> str:
        schema = self.settings.schema
        return self._quote(table) if schema is None else f"{self._quote(schema)}.{self._quote(table)}"

    def _durable_transaction(self, driver: Driver) -> AbstractAsyncContextManager[object]:
        """Surround a write so that its commit is synced, and only its: the connection may have other users."""
        return _durable_transaction(driver)

    def _transaction(self, driver: Driver) -> AbstractAsyncContextManager[object]:
        """Surround a read: PgBouncer may hand every statement outside a transaction to another server connection."""
        return driver.transaction() if self.settings.pgbouncer else nullcontext()


class BorrowedPostgres(PostgresDatabase):
    """Postgres on a caller's engine."""

    reopens = False

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        """Borrow the engine; its connections are taken for one batch each."""
        super().__init__(settings)
        self._engine = engine

    def describe(self) -> str:
        return f"Postgres {self._engine.url.host or ''}/{self._engine.url.database or ''} of the caller's engine"

    async def _connect(self, *, create: bool) -> Connections[Driver]:
        return BorrowedConnections(self._engine, terminated)


@asynccontextmanager
async def _durable_transaction(driver: Driver) -> AsyncGenerator[None]:
    async with driver.transaction():
        await driver.execute(RAISE_FOR_TRANSACTION)
        yield


@asynccontextmanager
async def _session_lock(connection: AsyncConnection, patience: float) -> AsyncGenerator[None]:
    """Hold the upgrade lock beyond single transactions, so that a revision may commit under it."""
    try:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await _wait_for_lock(connection, "pg_try_advisory_lock", patience)
        await connection.commit()
        await connection.execution_options(isolation_level="READ COMMITTED")
        yield
        await connection.commit()
        await connection.execute(text(f"SELECT pg_advisory_unlock({_UPGRADE_LOCK})"))
        await connection.commit()
    except BaseException:
        # The server lets go of the lock with the connection, which may be beyond any statement.
        await connection.invalidate()
        raise


@asynccontextmanager
async def _transaction_lock(connection: AsyncConnection, patience: float) -> AsyncGenerator[None]:
    """Hold the upgrade lock for one transaction: PgBouncer gives the next one another server connection."""
    await connection.execution_options(isolation_level="READ COMMITTED")
    await _wait_for_lock(connection, "pg_try_advisory_xact_lock", patience)
    yield
    await connection.commit()


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


def terminated(driver: Driver, error: BaseException) -> bool:
    """Terminate a connection that was lost, or interrupted in the middle of a statement; return whether it was."""
    interrupted = not isinstance(error, Exception)
    if interrupted or is_connection_loss(error) or driver.is_closed() or driver.is_in_transaction():
        driver.terminate()
        return True
    return False
