"""What SQLite does in its own way, on aiosqlite.

What costs on aiosqlite is the hop to its thread: SQLAlchemy's adapter makes five of them for one statement. So a batch
runs as one function on that thread, from BEGIN IMMEDIATE to COMMIT.
"""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import aiosqlite
from sqlalchemy import ColumnElement, Delete, Insert, UnaryExpression
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.operators import custom_op

from jeeves_journal.errors import JournalError, StoreClosedError, StoreUnavailableError
from jeeves_journal.records import Finding, Kind
from jeeves_journal.stores.dialects.connected import ConnectedDatabase
from jeeves_journal.stores.dialects.errors import driver_error
from jeeves_journal.stores.dialects.rows import Key, Row, SchemaState, SessionRow, Size, Stored, Transaction
from jeeves_journal.stores.dialects.sqlite.cancelled import left_open
from jeeves_journal.stores.dialects.sqlite.errors import SharedTransactionError, explain, is_busy
from jeeves_journal.stores.dialects.sqlite.estimates import estimated_size
from jeeves_journal.stores.dialects.sqlite.examined import examine
from jeeves_journal.stores.dialects.sqlite.records import Batches, batches_of, lenient, read, read_session, schema_state
from jeeves_journal.stores.dialects.sqlite.thread import on_thread
from jeeves_journal.stores.statements import PAYLOADS, TABLES

T = TypeVar("T")

_UNARY_PLUS: Final[custom_op[str]] = custom_op("+")

# https://sqlite.org/pragma.html#pragma_synchronous: below FULL, a commit in WAL mode is not synced at all.
FULL: Final = 2


class SqliteDatabase(ConnectedDatabase[aiosqlite.Connection]):
    """SQLite, however its connections are come by."""

    creates_tables = True

    async def write(self, rows: Sequence[Row], deadline: float) -> None:
        batches = batches_of(rows)
        async with self.connections.lease() as driver:
            await self._run(driver, lambda connection: self._commit(connection, batches))

    async def read(self, keys: Sequence[Key]) -> list[Stored | None]:
        async with self.connections.lease() as driver:
            return await self._run(driver, lambda connection: read(connection, keys))

    async def read_session(self, session_id: str, max_bytes: int | None) -> list[SessionRow]:
        async with self.connections.lease() as driver:
            return await self._run(driver, lambda connection: read_session(connection, session_id, max_bytes))

    async def schema_state(self) -> SchemaState:
        async with self.connections.lease() as driver:
            return await self._run(driver, schema_state)

    async def examine(self) -> list[Finding]:
        async with self.looking() as connection:
            return await examine(connection)

    @asynccontextmanager
    async def migrating(self) -> AsyncGenerator[AsyncConnection]:
        has_lock = False
        try:
            async with self.operating() as connection:
                has_lock = True
                yield connection
        except (OperationalError, sqlite3.OperationalError) as error:
            if has_lock or not is_busy(driver_error(error)):
                raise
            what = f"{self.describe()}: another process is upgrading it, or writes to it without a pause"
            raise StoreUnavailableError(what, "try again when it is done") from error

    def looking(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._transaction(_begin_to_read)

    def beside_index(self, column: ColumnElement[str]) -> ColumnElement[str]:
        # Without statistics, SQLite takes any range of keys for a small one: https://sqlite.org/optoverview.html#uplus
        return UnaryExpression(column, operator=_UNARY_PLUS, type_=column.type)

    async def estimated_size(self, connection: AsyncConnection, kind: Kind) -> Size:
        return await estimated_size(connection, TABLES[kind], PAYLOADS[kind])

    def operating(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._transaction(_begin_to_write)

    async def together(self, connection: AsyncConnection, changes: Sequence[Delete | Insert]) -> list[int]:
        counted = {"preserve_rowcount": True}
        return [(await connection.execute(change, execution_options=counted)).rowcount for change in changes]

    async def lock_session(self, connection: AsyncConnection, session_id: str) -> None:
        """Do nothing: who writes has the file to himself."""

    async def transaction_of(self, connection: AsyncConnection) -> None:
        return None

    async def was_committed(self, connection: AsyncConnection, transaction: Transaction) -> bool:
        raise AssertionError("a commit to a file has no answer that could be lost")

    @asynccontextmanager
    async def _transaction(self, begin: Callable[[sqlite3.Connection], object]) -> AsyncGenerator[AsyncConnection]:
        async with self.connections.lend_kept() as (connection, driver):
            await connection.begin()
            # A caller's engine may have begun one by an event or a driver of its own, and without the lock.
            if driver.in_transaction:
                await connection.exec_driver_sql("ROLLBACK")
            async with self._synced(driver), _lenient_texts(driver):
                with left_open(connection):
                    await self._run(driver, begin)
                    yield connection
                    await connection.commit()

    @abstractmethod
    def _synced(self, driver: aiosqlite.Connection) -> AbstractAsyncContextManager[object]:
        """Surround a transaction on a lent connection so that its commit is synced, or leaves nothing."""

    async def _run(self, driver: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the driver's thread."""
        return await on_thread(driver, work)

    def explain(self, error: BaseException) -> JournalError:
        return explain(error, self.describe())

    def is_passing(self, error: BaseException) -> bool:
        return isinstance(error, SharedTransactionError)

    @abstractmethod
    def _commit(self, connection: sqlite3.Connection, batches: Batches) -> None:
        """Write batches in one durable transaction; runs on the driver's thread."""


def _begin_to_read(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    try:
        # Who has a snapshot does not wait for a lock any more.
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _begin_to_write(connection: sqlite3.Connection) -> None:
    # The write lock from the start: what first reads and then writes is refused with BUSY_SNAPSHOT when another process
    # wrote in between, whatever the timeout.
    connection.execute("BEGIN IMMEDIATE")


@asynccontextmanager
async def _lenient_texts(driver: aiosqlite.Connection) -> AsyncGenerator[None]:
    """Read damaged texts too, until SQLAlchemy's connection is given back; see ``plain_rows``."""
    before: list[Any] = []

    def read_leniently(connection: sqlite3.Connection) -> None:
        before.append(connection.text_factory)
        connection.text_factory = lenient

    def read_as_before(connection: sqlite3.Connection) -> None:
        if before:
            connection.text_factory = before.pop()

    try:
        # On the driver's thread, in turn with what others do on a connection that is shared. Whoever is cancelled there
        # has changed it all the same.
        await on_thread(driver, read_leniently)
        yield
    finally:
        with suppress(StoreClosedError):
            await on_thread(driver, read_as_before)


def never_terminated(driver: aiosqlite.Connection, error: BaseException) -> bool:
    """Trust a SQLite connection after any error: what failed on it was rolled back on its own thread."""
    return False
