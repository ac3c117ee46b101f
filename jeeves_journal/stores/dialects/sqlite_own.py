"""SQLite on an engine of ours: a file, or memory."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlencode
from uuid import uuid4

import aiosqlite
from sqlalchemy import URL, NullPool, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from jeeves_journal.errors import ConfigurationError, StoreUnavailableError
from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import Connections, KeptConnections
from jeeves_journal.stores.dialects.sqlite import FULL, Batches, SqliteDatabase, commit, never_terminated, on_thread
from jeeves_journal.stores.dialects.sqlite_file import FileIdentity, prepare_file

_SHARED: Final = {"mode": "memory", "cache": "shared"}

# The busy handler gives up before the caller does, so that the error can say what was waited for.
_BUSY_SHARE: Final = 0.8


class OwnSqlite(SqliteDatabase):
    """SQLite on an engine of ours."""

    def _abandon_driver(self, driver: aiosqlite.Connection) -> None:
        # Its thread outlives the loop, and closes the file.
        cast("Any", driver).stop()

    def _start_engine(self, database: str, **query: str) -> AsyncEngine:
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=database, query=query),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args={"timeout": self.settings.timeout * _BUSY_SHARE},
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "connect", _sync_fully)
        return engine

    def _commit(self, connection: sqlite3.Connection, batches: Batches) -> None:
        commit(connection, batches)


class SqliteFile(OwnSqlite):
    """A SQLite file, in WAL mode."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Name the file; nothing is opened or made yet."""
        super().__init__(settings)
        # Absolute, so that a later chdir does not name another file, and a name with "file:" in front no URI.
        self.path = Path.cwd() / path
        self._log = Path(f"{self.path}-wal")
        self._identity: FileIdentity | None = None

    def describe(self) -> str:
        return f"SQLite {self.path}"

    async def _connect(self, *, create: bool) -> Connections[aiosqlite.Connection]:
        await asyncio.to_thread(prepare_file, self.path, create=create)
        # SQLite puts it beside the file itself, and not beside a link to it.
        self._log = Path(f"{self.path.resolve()}-wal")
        self._identity = None
        engine = self._start_engine(str(self.path))
        # One to write and one to read meanwhile.
        connections = KeptConnections(engine, never_terminated, keep=2, most=2)
        if create:
            try:
                async with connections.lease() as driver:
                    await on_thread(driver, self._use_wal)
            except BaseException:
                await connections.close()
                raise
        return connections

    @asynccontextmanager
    async def migrating(self) -> AsyncGenerator[AsyncConnection]:
        # It may close the only connection for a moment, and with the last one SQLite removes the log.
        self._identity = None
        async with super().migrating() as connection:
            yield connection

    def _commit(self, connection: sqlite3.Connection, batches: Batches) -> None:
        super()._commit(connection, batches)
        identity = FileIdentity.of(self.path, self._log)
        if self._identity is None:
            self._identity = identity
        # A file that was unlinked takes writes as ever, and nobody will find them: https://sqlite.org/howtocorrupt.html
        if identity is None or identity != self._identity:
            remedy = "put the files back, or open a new store; what was put since is lost"
            raise StoreUnavailableError(f"{self.describe()} or its -wal was deleted or replaced while open", remedy)

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Turn WAL mode on; runs on the driver's thread."""
        deadline = time.monotonic() + self.settings.timeout * _BUSY_SHARE
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                # Several first opens at once: SQLite answers BUSY without calling its busy handler, since waiting could
                # deadlock. There is nothing to wait on but time.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                break
        if mode != "wal":
            remedy = "choose a path on a local disk that this process may write"
            raise ConfigurationError(f"{self.path} cannot be put into WAL mode", remedy)


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
        return KeptConnections(engine, never_terminated, keep=1, most=1)

    def finish(self) -> None:
        self._let_go()


def _sync_fully(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA synchronous = {FULL}")
    cursor.close()
