"""SQLite in a file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from jeeves_journal.errors import ConfigurationError, JournalError, StoreUnavailableError
from jeeves_journal.options import Settings
from jeeves_journal.records import Finding
from jeeves_journal.stores.dialects.connections import Connections
from jeeves_journal.stores.dialects.errors import driver_error
from jeeves_journal.stores.dialects.rows import Key, Stored
from jeeves_journal.stores.dialects.sqlite.errors import is_unwritable, primary_code
from jeeves_journal.stores.dialects.sqlite.examined import JOURNAL_MODE
from jeeves_journal.stores.dialects.sqlite.file import (
    OpenFiles,
    UnlockedFile,
    has_log,
    holds_no_more_files,
    prepare_file,
    uri_of,
    would_leave_log,
)
from jeeves_journal.stores.dialects.sqlite.log import open_all_files, start_log_anew
from jeeves_journal.stores.dialects.sqlite.own import OwnSqlite
from jeeves_journal.stores.dialects.sqlite.quick import QuickReader
from jeeves_journal.stores.dialects.sqlite.records import Batches
from jeeves_journal.stores.dialects.sqlite.versions import warn_of_wal_reset_bug

T = TypeVar("T")

_FEWEST_FOR_TWO_THREADS: Final = 8


class SqliteFile(OwnSqlite):
    """A SQLite file, in WAL mode."""

    # For who comes while a long value is read. Those that come together are seldom worth two batches.
    reads_at_once = 2
    splits_reads = False

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
        # SQLite does not tell why it could not open the file, or make its -wal or -shm.
        if primary_code(error) == sqlite3.SQLITE_CANTOPEN:
            try:
                self._check_files()
            except StoreUnavailableError as replaced:
                return replaced
            if holds_no_more_files(self.path.parent):
                what = f"{self.describe()}: the file system can hold no more files"
                return StoreUnavailableError(what, "make room, then try again")
        return super().explain(error)

    async def _connect(self, *, create: bool) -> Connections[aiosqlite.Connection]:
        warn_of_wal_reset_bug()
        expected = await asyncio.to_thread(prepare_file, self.path, create=create)
        self._files = self._unlocked = None
        if await asyncio.to_thread(would_leave_log, self.path):
            return self._without_locks()
        connections = self._connections_of(self._start_engine(uri_of(self.path), uri="true", mode="rw"))
        if self.only_looks:
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
        # SQLite would open what came in the file's place.
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
        return self._connections_of(self._start_engine(uri_of(self.path), uri="true", immutable="1"))

    @asynccontextmanager
    async def _transaction(self, begin: Callable[[sqlite3.Connection], object]) -> AsyncGenerator[AsyncConnection]:
        async with super()._transaction(begin) as connection:
            yield connection
        self._check_files()

    async def read(self, keys: Sequence[Key]) -> list[Stored | None]:
        records: list[Stored | None] = []
        while True:
            rest = keys[len(records) :]
            found = self._quick.read(rest) if self._quick is not None else []
            if not found:
                return [*records, *await self._read_on_threads(rest)]
            self._check_files()
            records += found
            if len(records) == len(keys):
                return records
            await asyncio.sleep(0)

    async def _read_on_threads(self, keys: Sequence[Key]) -> list[Stored | None]:
        """Read what takes a thread on two where it is much: a disk that is slow serves both at once."""
        if len(keys) < _FEWEST_FOR_TWO_THREADS:
            return await super().read(keys)
        half = len(keys) // 2
        # With their errors, since neither is to be left at work when the other fails or this is cancelled.
        halves = await asyncio.gather(super().read(keys[:half]), super().read(keys[half:]), return_exceptions=True)
        records: list[Stored | None] = []
        for found in halves:
            if isinstance(found, BaseException):
                raise found
            records += found
        return records

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
            raise StoreUnavailableError(what, "open a new store, or let this process write the file and its folder")

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
