"""What SQLite does in its own way, on aiosqlite.

What costs on aiosqlite is the hop to its thread: SQLAlchemy's adapter makes five of them for one statement. So a batch
runs as one function on that thread, from BEGIN IMMEDIATE to COMMIT.
"""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, TypeAlias, TypeVar

import aiosqlite
from sqlalchemy import ColumnElement, Delete, Dialect, Insert, UnaryExpression
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import aiosqlite as aiosqlite_dialect
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.operators import custom_op

from jeeves_journal.errors import JournalError, StoreClosedError, StoreUnavailableError
from jeeves_journal.records import Finding
from jeeves_journal.stores.dialects.connected import ConnectedDatabase
from jeeves_journal.stores.dialects.errors import driver_error
from jeeves_journal.stores.dialects.rows import Key, Row, SchemaState, SessionRow, Size, Stored
from jeeves_journal.stores.dialects.sqlite.cancelled import left_open
from jeeves_journal.stores.dialects.sqlite.errors import SharedTransactionError, explain, is_busy
from jeeves_journal.stores.dialects.sqlite.estimates import estimated_size
from jeeves_journal.stores.dialects.sqlite.examined import examine
from jeeves_journal.stores.dialects.sqlite.thread import on_thread
from jeeves_journal.stores.models import VERSION_TABLE
from jeeves_journal.stores.statements import (
    KINDS,
    PAYLOADS,
    TABLE_NAMES,
    TABLES,
    Kind,
    Statements,
    compile_text,
    listed_parameters,
    read_listed,
)

T = TypeVar("T")
Batches: TypeAlias = list[tuple[str, list[tuple[Any, ...]]]]

_DIALECT: Final[Dialect] = aiosqlite_dialect.dialect()
STATEMENTS: Final = Statements.compiled_for(_DIALECT, sqlite.insert)

_UNARY_PLUS: Final[custom_op[str]] = custom_op("+")

_MOST_LISTED: Final = 64
"""How many keys one SELECT asks for."""

# https://sqlite.org/pragma.html#pragma_synchronous: below FULL, a commit in WAL mode is not synced at all.
FULL: Final = 2


class SqliteDatabase(ConnectedDatabase[aiosqlite.Connection]):
    """SQLite, however its connections are come by."""

    creates_tables = True

    async def write(self, rows: Sequence[Row], deadline: float) -> None:
        batches = [
            (STATEMENTS.upsert[kind], [row[1:] for row in of_kind])
            for kind, of_kind in groupby(sorted(rows, key=attrgetter("kind")), key=attrgetter("kind"))
        ]
        async with self.connections.lease() as driver:
            await self._run(driver, lambda connection: self._commit(connection, batches))

    async def read(self, keys: Sequence[Key]) -> list[Stored | None]:
        def read_all(connection: sqlite3.Connection) -> list[Stored | None]:
            with plain_rows(connection):
                if len(keys) == 1:
                    return [connection.execute(STATEMENTS.read[keys[0].kind], keys[0][1:]).fetchone()]
                return _read_many(connection, keys)

        async with self.connections.lease() as driver:
            return await self._run(driver, read_all)

    async def read_session(self, session_id: str, max_bytes: int | None) -> list[SessionRow]:
        def read_all(connection: sqlite3.Connection) -> list[SessionRow]:
            with plain_rows(connection):
                if max_bytes is None:
                    return connection.execute(STATEMENTS.read_session, (session_id,)).fetchall()
                bounded = (session_id, max_bytes, session_id)
                whole = connection.execute(STATEMENTS.read_session_if_within, bounded).fetchall()
                return whole or connection.execute(STATEMENTS.read_session_within, bounded).fetchall()

        async with self.connections.lease() as driver:
            return await self._run(driver, read_all)

    async def schema_state(self) -> SchemaState:
        def look(connection: sqlite3.Connection) -> SchemaState:
            with plain_rows(connection):
                names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                found = None
                if VERSION_TABLE in names:
                    found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
            return SchemaState(names.issuperset(TABLE_NAMES[kind] for kind in KINDS), found[0] if found else None)

        async with self.connections.lease() as driver:
            return await self._run(driver, look)

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
        except OperationalError as error:
            if has_lock or not is_busy(driver_error(error)):
                raise
            what = f"{self.describe()}: another process is upgrading it, or writes to it without a pause"
            raise StoreUnavailableError(what, "try again when it is done") from error

    def looking(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._transaction("BEGIN")

    def beside_index(self, column: ColumnElement[str]) -> ColumnElement[str]:
        # Without statistics, SQLite takes any range of keys for a small one: https://sqlite.org/optoverview.html#uplus
        return UnaryExpression(column, operator=_UNARY_PLUS, type_=column.type)

    async def estimated_size(self, connection: AsyncConnection, kind: Kind) -> Size:
        return await estimated_size(connection, TABLES[kind], PAYLOADS[kind])

    def operating(self) -> AbstractAsyncContextManager[AsyncConnection]:
        # The write lock from the start: what first reads and then writes is refused with BUSY_SNAPSHOT when another
        # process wrote in between, whatever the timeout.
        return self._transaction("BEGIN IMMEDIATE")

    async def together(self, connection: AsyncConnection, changes: Sequence[Delete | Insert]) -> list[int]:
        counted = {"preserve_rowcount": True}
        return [(await connection.execute(change, execution_options=counted)).rowcount for change in changes]

    async def lock_session(self, connection: AsyncConnection, session_id: str) -> None:
        """Do nothing: who writes has the file to himself."""

    async def transaction_of(self, connection: AsyncConnection) -> None:
        return None

    async def was_committed(self, connection: AsyncConnection, transaction: int) -> bool:
        raise AssertionError("a commit to a file has no answer that could be lost")

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncGenerator[AsyncConnection]:
        async with self.connections.lend() as connection:
            await connection.begin()
            # A caller's engine may have begun one by an event or a driver of its own, and without the lock.
            driver: Any = (await connection.get_raw_connection()).driver_connection
            if driver.in_transaction:
                await connection.exec_driver_sql("ROLLBACK")
            async with self._synced(driver), _lenient_texts(driver):
                with left_open(connection):
                    await connection.exec_driver_sql(begin)
                    yield connection
                    await connection.commit()

    def _synced(self, driver: aiosqlite.Connection) -> AbstractAsyncContextManager[object]:
        """Surround a transaction on a lent connection so that its commit is synced."""
        return nullcontext()

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


def _read_many(connection: sqlite3.Connection, keys: Sequence[Key]) -> list[Stored | None]:
    records: list[Stored | None] = [None] * len(keys)
    for kind in KINDS:
        places = [place for place, key in enumerate(keys) if key.kind == kind]
        for first in range(0, len(places), _MOST_LISTED):
            part = places[first : first + _MOST_LISTED]
            # In few sizes, since each has a statement of its own. What is left over is NULL, which equals nothing.
            size = 1 << (len(part) - 1).bit_length()
            listed = [text for place in part for text in keys[place][1:]] + [None] * (2 * (size - len(part)))
            for position, data, created_at in connection.execute(_read_listed(kind, size), listed):
                if data is not None:
                    records[part[position]] = data, created_at
    return records


@cache
def _read_listed(kind: Kind, count: int) -> str:
    return compile_text(read_listed(kind, count), _DIALECT, None, *listed_parameters(count))


@contextmanager
def plain_rows(connection: sqlite3.Connection) -> Generator[None]:
    """Read rows as tuples, whatever the caller's engine makes of them.

    Damaged text is let through to where the record is decoded, so that it fails its own record only.
    """
    before = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, _lenient
    try:
        yield
    finally:
        connection.row_factory, connection.text_factory = before


@asynccontextmanager
async def _lenient_texts(driver: aiosqlite.Connection) -> AsyncGenerator[None]:
    """Read damaged texts too, until SQLAlchemy's connection is given back; see ``plain_rows``."""

    def read_by(factory: Any) -> Callable[[sqlite3.Connection], Any]:
        def exchange(connection: sqlite3.Connection) -> Any:
            before, connection.text_factory = connection.text_factory, factory
            return before

        return exchange

    # On the driver's thread, in turn with what others do on a connection that is shared.
    before = await on_thread(driver, read_by(_lenient))
    try:
        yield
    finally:
        with suppress(StoreClosedError):
            await on_thread(driver, read_by(before))


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def commit(connection: sqlite3.Connection, batches: Batches) -> None:
    """Write batches in one transaction; runs on the driver's thread.

    The write lock is taken from the start: to wait for it later could end in a deadlock, which SQLite refuses.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for text, rows in batches:
            connection.executemany(text, rows)
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, a full disk for one, SQLite has rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def never_terminated(driver: aiosqlite.Connection, error: BaseException) -> bool:
    """Trust a SQLite connection after any error: what failed on it was rolled back on its own thread."""
    return False
