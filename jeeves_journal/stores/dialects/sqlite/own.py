"""SQLite on an engine of ours, wherever it is."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from threading import Thread
from typing import Any, Final, TypeVar, cast

import aiosqlite
from sqlalchemy import URL, NullPool, event
from sqlalchemy import __version__ as sqlalchemy_version
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from jeeves_journal.stores.dialects.kept_connections import KeptConnections
from jeeves_journal.stores.dialects.sqlite.database import FULL, SqliteDatabase, never_terminated
from jeeves_journal.stores.dialects.sqlite.errors import is_busy
from jeeves_journal.stores.dialects.sqlite.log import open_all_files
from jeeves_journal.stores.dialects.sqlite.records import Batches, commit
from jeeves_journal.stores.dialects.sqlite.thread import connect_driver, end, on_thread

T = TypeVar("T")

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
        (text, rows), *others = batches
        if len(rows) == 1 and not others and not connection.in_transaction:
            # A transaction by itself, in one call. Where others have statements under way, it would end with those.
            connection.execute(text, rows[0])
        else:
            commit(connection, batches)

    @asynccontextmanager
    async def _synced(self, driver: aiosqlite.Connection) -> AsyncGenerator[None]:
        try:
            yield
        except Exception:
            # SQLAlchemy takes a commit for an end, also one that failed.
            if driver.in_transaction:
                await on_thread(driver, lambda connection: connection.execute("ROLLBACK"))
            raise

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
