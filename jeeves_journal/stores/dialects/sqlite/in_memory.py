"""SQLite in memory."""

from __future__ import annotations

import sqlite3
import weakref
from typing import Final
from urllib.parse import urlencode
from uuid import uuid4

import aiosqlite

from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import Connections
from jeeves_journal.stores.dialects.sqlite.own import OwnSqlite

_SHARED: Final = {"mode": "memory", "cache": "shared"}


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
