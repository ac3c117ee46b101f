"""SQLite on an engine of ours: a file, or memory."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, urlencode
from uuid import uuid4

import aiosqlite
from sqlalchemy import URL, NullPool, event
from sqlalchemy import __version__ as sqlalchemy_version
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from jeeves_journal.errors import ConfigurationError, JournalError, SchemaError, StoreUnavailableError
from jeeves_journal.options import Settings
from jeeves_journal.records import Finding
from jeeves_journal.stores.dialects.connections import Connections
from jeeves_journal.stores.dialects.database import MISSING_TABLES, Key, Stored, driver_error
from jeeves_journal.stores.dialects.kept_connections import KeptConnections
from jeeves_journal.stores.dialects.sqlite.database import (
    FULL,
    STATEMENTS,
    Batches,
    SqliteDatabase,
    commit,
    never_terminated,
)
from jeeves_journal.stores.dialects.sqlite.errors import is_busy, is_unwritable
from jeeves_journal.stores.dialects.sqlite.examined import JOURNAL_MODE
from jeeves_journal.stores.dialects.sqlite.file import (
    OpenFiles,
    UnlockedFile,
    has_log,
    holds_no_more_files,
    prepare_file,
    would_leave_log,
)
from jeeves_journal.stores.dialects.sqlite.log import open_all_files, start_log_anew
from jeeves_journal.stores.dialects.sqlite.quick import QuickReader
from jeeves_journal.stores.dialects.sqlite.thread import connect_driver, end, on_thread
from jeeves_journal.stores.dialects.sqlite.versions import warn_of_wal_reset_bug

T = TypeVar("T")

_SHARED: Final = {"mode": "memory", "cache": "shared"}

# The share of the timeout for which a lock is waited for.
_BUSY_SHARE: Final = 0.8
# Seconds. About what a batch takes.
_BETWEEN_TRIES: Final = 0.0005

# A commit that has to do a checkpoint is late by as much as the checkpoint is large. SQLite's default is 1,000.
_PAGES_BETWEEN_CHECKPOINTS: Final = 500

# A connection that is refused what it is set up with. From 2.1 on, SQLAlchemy closes it.
_LEAVES_OPEN: Final = sqlalchemy_version.startswith("2.0.")


class OwnSqlite(SqliteDatabase):
    """SQLite on an engine of ours."""

    @property
    def _patience(self) -> float:
        """Seconds to wait for a lock, fewer than the caller's so that the error can say what was waited for."""
        return self.settings.timeout * _BUSY_SHARE

    def _abandon_driver(self, driver: aiosqlite.Connection) -> None:
        # Its thread outlives the loop, and closes the file.
        stop = cast("Any", driver).stop
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            stop()
        else:
            # From a thread without a loop, or it would report back to one that may be closed by then.
            Thread(target=stop, daemon=True).start()

    def _start_engine(self, database: str, **query: str) -> AsyncEngine:
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=database, query=query),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args={"timeout": self._patience, "async_creator_fn": connect_driver},
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "connect", _set_up)
        return engine

    def _kept(self, engine: AsyncEngine, most: int) -> KeptConnections[aiosqlite.Connection]:
        timeout = self.settings.timeout
        return KeptConnections(
            engine, never_terminated, end, timeout=timeout, keep=most, most=most, prepare=self._prepare
        )

    async def _prepare(self, driver: aiosqlite.Connection) -> None:
        # Its work is done patiently: SQLite's busy handler is of no use any more.
        await on_thread(driver, lambda connection: connection.execute("PRAGMA busy_timeout = 0"))
        await self._run(driver, open_all_files)

    def _commit(self, connection: sqlite3.Connection, batches: Batches) -> None:
        commit(connection, batches)

    async def _run(self, driver: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        return await on_thread(driver, partial(self._patiently, work))

    def _patiently(self, work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        """Do work again until nobody holds a lock on what it needs; runs on the driver's thread.

        SQLite's own busy handler asks less and less often, at last every 100 ms. A process that writes batch after
        batch would keep the lock from this one for many of them.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return work(connection)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
            # There is nothing to wait on but time: the lock is the file system's.
            time.sleep(_BETWEEN_TRIES)


class SqliteFile(OwnSqlite):
    """A SQLite file, in WAL mode."""

    # SQLite reads on both cores at once, where Python alone would not.
    reads_at_once = 2

    def __init__(self, path: Path, settings: Settings) -> None:
        """Name the file; nothing is opened or made yet."""
        super().__init__(settings)
        # Absolute, so that a later chdir does not name another file, and a name with "file:" in front no URI.
        try:
            self.path = Path.cwd() / path
        except FileNotFoundError as error:
            raise ConfigurationError("the working directory was deleted", "name the file by its whole path") from error
        self._files: OpenFiles | None = None
        self._unlocked: UnlockedFile | None = None
        self._quick: QuickReader | None = None

    def describe(self) -> str:
        return f"SQLite {self.path}"

    def explain(self, error: BaseException) -> JournalError:
        # SQLite does not tell why it could not make its -wal or -shm.
        cannot_open = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN
        if cannot_open and holds_no_more_files(self.path.parent):
            what = f"{self.describe()}: the file system can hold no more files"
            return StoreUnavailableError(what, "make room, then try again")
        return super().explain(error)

    async def look_for(self) -> None:
        if not await asyncio.to_thread(os.path.exists, self.path):
            what = f"{self.describe()}: there is no such file, and so no tables"
            raise SchemaError(what, MISSING_TABLES)

    async def _connect(self, *, create: bool) -> Connections[aiosqlite.Connection]:
        warn_of_wal_reset_bug()
        expected = await asyncio.to_thread(prepare_file, self.path, create=create)
        self._files = self._unlocked = None
        if not create and await asyncio.to_thread(would_leave_log, self.path):
            return self._without_locks()
        connections = self._connections_of(self._start_engine(str(self.path)))
        if not create:
            return await self._readable(connections)
        try:
            async with connections.lease() as driver:
                await self._run(driver, self._use_wal)
                await self._run(driver, self._open_quick)
            if self._files is None or self._files.database != expected:
                what = f"{self.describe()} was deleted or replaced while it was opened"
                raise StoreUnavailableError(what, "try again")
        except BaseException:
            self._close_quick()
            await connections.close()
            raise
        return connections

    def _connections_of(self, engine: AsyncEngine) -> Connections[aiosqlite.Connection]:
        # SQLite would make a file where it finds none.
        event.listen(engine.sync_engine, "do_connect", lambda *_: self._check_files())
        # One to write, and others to read meanwhile.
        return self._kept(engine, 1 + self.reads_at_once)

    async def _readable(self, connections: Connections[aiosqlite.Connection]) -> Connections[aiosqlite.Connection]:
        """Return connections by which a file can be read also where SQLite cannot put its log and locks beside it.

        https://sqlite.org/wal.html#read_only_databases
        """
        try:
            async with connections.lease():
                return connections
        except BaseException as error:
            await connections.close()
            if not is_unwritable(driver_error(error)) or has_log(self.path):
                raise
        return self._without_locks()

    def _without_locks(self) -> Connections[aiosqlite.Connection]:
        self._unlocked = UnlockedFile(self.path)
        return self._connections_of(self._start_engine(f"file:{quote(str(self.path))}", uri="true", immutable="1"))

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncGenerator[AsyncConnection]:
        async with super()._transaction(begin) as connection:
            yield connection
        self._check_files()

    async def read(self, keys: Sequence[Key]) -> list[Stored | None]:
        if len(keys) == 1 and self._quick is not None:
            found = self._quick.read(STATEMENTS.read[keys[0].kind], keys[0])
            if found is not None:
                self._check_files()
                return [*found] or [None]
        return await super().read(keys)

    async def examine(self) -> list[Finding]:
        findings = await super().examine()
        if self._unlocked is None:
            return findings
        # Of a file that it reads without locks, SQLite names no mode but "delete".
        return [each for each in findings if each.name != JOURNAL_MODE]

    async def close(self) -> None:
        # Before the others: the last one to close does what is left to do, and that takes its time.
        self._close_quick()
        await super().close()

    def abandon(self) -> None:
        self._close_quick()
        super().abandon()

    def _open_quick(self, _connection: sqlite3.Connection) -> None:
        # Kept by its thread: whoever waits for it may be cancelled, and would not have it to close.
        self._quick = QuickReader(self.path)

    def _close_quick(self) -> None:
        quick, self._quick = self._quick, None
        if quick is not None:
            quick.close()

    def _commit(self, connection: sqlite3.Connection, batches: Batches) -> None:
        # Before too, so that nothing is mixed into another file.
        self._check_files()
        super()._commit(connection, batches)

    def _patiently(self, work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        try:
            return super()._patiently(work, connection)
        finally:
            # After whatever came of it, so that nothing is acknowledged into a file that nobody will find, no step is
            # found missing that others have recorded in another one, and no error puts it down to the disk.
            self._check_files()

    def _check_files(self) -> None:
        """Refuse a file that was unlinked or replaced: it can be read and written as ever.

        https://sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use
        """
        if self._files is not None and not self._files.are_in_place():
            what = f"{self.describe()}, its -wal or its -shm was deleted or replaced while open"
            raise StoreUnavailableError(what, "put the files back, or open a new store")
        if self._unlocked is not None and not self._unlocked.is_unchanged():
            what = f"{self.describe()} was written to while it was read without locks"
            raise StoreUnavailableError(what, "open a new store, or let this process write the file's folder")

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Turn WAL mode on; runs on the driver's thread."""
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            remedy = "choose a path on a local disk that this process may write"
            raise ConfigurationError(f"{self.path} cannot be put into WAL mode", remedy)
        # The first read makes the log. From here on one connection is always open, so that SQLite keeps it.
        open_all_files(connection)
        start_log_anew(connection)
        self._files = OpenFiles(self.path)


class SqliteMemory(OwnSqlite):
    """SQLite ``:memory:``, which lives as long as this object and not only as long as an event loop."""

    def __init__(self, settings: Settings) -> None:
        """Make an empty database in memory."""
        super().__init__(settings)
        # A database in memory is named so that connections can share it, and gone with the last of them: one is kept
        # open here that no event loop can take along. https://sqlite.org/inmemorydb.html#sharedmemdb
        self._name = f"file:jeeves-journal-{uuid4().hex}"
        anchor = sqlite3.connect(f"{self._name}?{urlencode(_SHARED)}", uri=True, check_same_thread=False)
        self._let_go = weakref.finalize(self, anchor.close)

    def describe(self) -> str:
        return "SQLite :memory:"

    async def _connect(self, *, create: bool) -> Connections[aiosqlite.Connection]:
        # One connection for everybody: with a shared cache, a reader and a writer would lock each other out of a table.
        engine = self._start_engine(self._name, uri="true", **_SHARED)
        return self._kept(engine, 1)

    async def finish(self) -> None:
        self._let_go()


def _set_up(connection: Any, record: object) -> None:
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA synchronous = {FULL}")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BETWEEN_CHECKPOINTS}")
        cursor.close()
    except BaseException:
        if _LEAVES_OPEN:
            connection.close()
        raise
