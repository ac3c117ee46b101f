"""What Postgres does in its own way, on asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs] (it ships none)
from sqlalchemy import ColumnElement, Delete, Insert, collate
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.errors import JournalError, StoreUnavailableError
from jeeves_journal.options import Settings
from jeeves_journal.records import Finding, Kind
from jeeves_journal.stores.dialects.connected import ConnectedDatabase
from jeeves_journal.stores.dialects.postgres.driver import seconds_until, transaction_on
from jeeves_journal.stores.dialects.postgres.errors import (
    explain,
    is_passing,
    is_refused_write,
)
from jeeves_journal.stores.dialects.postgres.examined import examine
from jeeves_journal.stores.dialects.postgres.looking import SNAPSHOT, estimated_size, have_keys_by_bytes
from jeeves_journal.stores.dialects.postgres.protocols import Driver, Lender
from jeeves_journal.stores.dialects.postgres.records import Write, qualified, records_in
from jeeves_journal.stores.dialects.postgres.transactions import change_together, lock_session, was_committed, xid
from jeeves_journal.stores.dialects.postgres.upgrades import session_lock, transaction_lock
from jeeves_journal.stores.dialects.rows import Key, Row, SchemaState, SessionRow, Size, Stored, Transaction
from jeeves_journal.stores.models import VERSION_TABLE
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLE_NAMES, TABLES

# The server gives up before the caller does: a statement that went on there would overwrite what is put later.
_SERVER_SHARE: Final = 0.8

# Never lowers a remote_apply, and leaves alone what is on already. And what waits for a lock when its client is killed
# would be written once the lock is free, over what was put since, if the server did not look whether its client is
# there; one before 14, or not on Linux, cannot.
_SETTINGS: Final = (
    "SET {scope} statement_timeout = {milliseconds}; SELECT set_config('synchronous_commit', 'on', {is_local}) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write'); "
    "SELECT set_config('client_connection_check_interval', '100', {is_local}) "
    "WHERE current_setting('client_connection_check_interval', true) = '0' AND version() LIKE '%linux%'"
)
# A commit that the network keeps would leave rows locked for as long as the server takes the connection for good.
_LOCAL_SETTINGS: Final = "SET LOCAL idle_in_transaction_session_timeout = {milliseconds}; " + _SETTINGS
# Whatever the default is: who has waited for a lock has to see what was committed meanwhile.
_WRITING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"

# An INSERT that meets a key that is there was in vain, and the server logs an error: few of them should.
_UPSERTS_AFTER_A_KNOWN_KEY: Final = 100
_NOTHING_INSERTED: Final = "INSERT 0 0"

_MAY_READ: Final = "SELECT has_table_privilege($1, 'SELECT')"


class PostgresDatabase(ConnectedDatabase[Driver]):
    """Postgres, however its connections are come by."""

    # While the server works on one batch, the next is got ready for it. More would make batches small.
    reads_at_once = writes_at_once = 2

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._was_reached = False
        self._took_writes = False
        self._records = records_in(settings.schema)
        # The first one is an upsert, which Postgres refuses where a table has another primary key.
        self._upserts_due = dict.fromkeys(KINDS, 1)

    async def write(self, rows: Sequence[Row], deadline: float) -> None:
        async with self.connections.lease() as driver:
            for write in self._records.writes(rows):
                await self._record(driver, write, deadline)
        self._took_writes = True

    async def _record(self, driver: Driver, write: Write, deadline: float) -> None:
        """Record rows, at first as if their keys were new, as those of steps most often are."""
        if write.insert is not None and not self._upserts_due[write.kind]:
            with suppress(asyncpg.UniqueViolationError):
                if await self._execute(driver, write.insert, write.insert_arguments, deadline) != _NOTHING_INSERTED:
                    return
            self._upserts_due[write.kind] = _UPSERTS_AFTER_A_KNOWN_KEY
        await self._execute(driver, write.upsert, write.arguments, deadline)
        self._upserts_due[write.kind] = max(self._upserts_due[write.kind] - 1, 0)

    async def _execute(self, driver: Driver, text: str, arguments: Sequence[object], deadline: float) -> str:
        if self._is_bounded(deadline):
            return await driver.execute(text, *arguments)
        # A transaction for each statement: the second one may have little of the time left.
        async with self._transaction_of_ours(driver, deadline):
            return await driver.execute(text, *arguments)

    async def read(self, keys: Sequence[Key]) -> list[Stored | None]:
        async with self._reading() as driver:
            return await self._records.read(driver, keys)

    async def read_session(self, session_id: str, max_bytes: int | None) -> list[SessionRow]:
        async with self._reading() as driver:
            return await self._records.read_session(driver, session_id, max_bytes)

    async def schema_state(self) -> SchemaState:
        look = "SELECT to_regclass($1)::text"
        version_table = self._qualified(VERSION_TABLE)
        async with self._reading() as driver:
            self._was_reached = True
            # The revision first: an upgrade that commits in between must not look like a revision without tables.
            revision = None
            # A user who may read the two tables and nothing else needs nothing else.
            if await driver.fetchval(look, version_table) and await driver.fetchval(_MAY_READ, version_table):
                revision = await driver.fetchval(f"SELECT version_num FROM {version_table}")
            tables = [await driver.fetchval(look, self._qualified(TABLE_NAMES[kind])) for kind in KINDS]
            return SchemaState(None not in tables, revision)

    async def examine(self) -> list[Finding]:
        # As a write does, so that what is found is what a write has.
        async with self.operating() as connection:
            return await examine(connection)

    @asynccontextmanager
    async def looking(self) -> AsyncGenerator[AsyncConnection]:
        async with self.connections.lend_kept() as (connection, driver), transaction_on(driver, SNAPSHOT):
            await self._set_up(connection)
            yield connection

    def by_bytes(self, column: ColumnElement[str]) -> ColumnElement[str]:
        return collate(column, "C")

    async def has_keys_by_bytes(self, connection: AsyncConnection) -> bool:
        return await have_keys_by_bytes(connection, *(self._qualified(TABLE_NAMES[kind]) for kind in KINDS))

    async def estimated_size(self, connection: AsyncConnection, kind: Kind) -> Size:
        return await estimated_size(connection, TABLES[kind], PAYLOADS[kind], self._qualified(TABLE_NAMES[kind]))

    @asynccontextmanager
    async def operating(self) -> AsyncGenerator[AsyncConnection]:
        deadline = asyncio.get_running_loop().time() + self.settings.timeout
        async with self.connections.lend_kept() as (connection, driver):
            await self._set_up(connection)
            async with self._transaction_of_ours(driver, deadline):
                yield connection

    async def together(self, connection: AsyncConnection, changes: Sequence[Delete | Insert]) -> list[int]:
        return await change_together(connection, changes)

    async def lock_session(self, connection: AsyncConnection, session_id: str) -> None:
        await lock_session(connection, session_id)

    async def transaction_of(self, connection: AsyncConnection) -> Transaction:
        return await xid(connection), await self._timeline_of(connection)

    async def was_committed(self, connection: AsyncConnection, transaction: Transaction) -> bool:
        number, timeline = transaction
        # A server that was promoted meanwhile may have given the number to a transaction of its own.
        if await self._timeline_of(connection) != timeline:
            what = f"{self.describe()}: another server was promoted before this one told whether the change was made"
            raise StoreUnavailableError(what, "look at what is there, and make the change again if it was not")
        return await was_committed(connection, number)

    async def _timeline_of(self, connection: AsyncConnection) -> object:
        """Return whose numbers transactions on this connection have; None where that is not known."""
        return None

    async def _set_up(self, connection: AsyncConnection) -> None:
        """Leave transactions to us, and name the schema."""
        await connection.execution_options(schema_translate_map={None: self.settings.schema})
        if not self.connections.are_autocommit:
            await connection.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def migrating(self) -> AsyncGenerator[AsyncConnection]:
        patience, lend = self.settings.timeout, self.connections.lend
        if self.settings.pgbouncer:
            async with self._leases_apart() as lease, transaction_lock(lease, lend, patience) as connection:
                yield connection
        else:
            async with lend() as connection, session_lock(connection, patience):
                yield connection

    def _leases_apart(self) -> AbstractAsyncContextManager[Lender]:
        """Surround what needs connections beside the one that is lent."""
        return nullcontext(self.connections.lease)

    def is_passing(self, error: BaseException) -> bool:
        if self._took_writes and is_refused_write(error):
            # The primary is another one by now.
            return True
        # What passes though the server was never reached is an answer of its.
        passes = is_passing(error, was_reached=self._was_reached)
        self._was_reached = self._was_reached or passes
        return passes

    def explain(self, error: BaseException) -> JournalError:
        return explain(error, self.describe())

    def _qualified(self, table: str) -> str:
        return qualified(table, self.settings.schema)

    def _write_settings(self, seconds: float, *, is_local: bool) -> str:
        """Return the script that makes writes durable and bounded, for a transaction or for a whole connection."""
        milliseconds = max(int(seconds * _SERVER_SHARE * 1000), 1)
        settings, scope = (_LOCAL_SETTINGS, "LOCAL") if is_local else (_SETTINGS, "SESSION")
        return settings.format(scope=scope, milliseconds=milliseconds, is_local=is_local)

    def _is_bounded(self, deadline: float) -> bool:
        """Return whether a write that begins now ends in time, and its commit is synced, by itself."""
        return False

    @asynccontextmanager
    async def _transaction_of_ours(self, driver: Driver, deadline: float) -> AsyncGenerator[None]:
        """Set what a write needs for one transaction only: the connection may have other users."""
        async with transaction_on(driver, _WRITING):
            await driver.execute(self._write_settings(seconds_until(deadline), is_local=True))
            yield

    def _reading(self) -> AbstractAsyncContextManager[Driver]:
        """Lend a connection to read on."""
        return self._reading_at_once() if self.settings.pgbouncer else self.connections.lease()

    @asynccontextmanager
    async def _reading_at_once(self) -> AsyncGenerator[Driver]:
        """Surround reads by a transaction: PgBouncer may hand each statement outside of one to another connection."""
        async with self.connections.lease() as driver, transaction_on(driver):
            yield driver
