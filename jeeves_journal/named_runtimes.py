"""The runtimes under the names that JeevesAgent's users know: each brings its own store."""

from __future__ import annotations

from pathlib import Path
from typing import Self, Unpack

from jeeves_journal.options import StoreOptions
from jeeves_journal.runtime import JournaledRuntime
from jeeves_journal.stores.dialects.postgres.protocols import Pool
from jeeves_journal.stores.named import PostgresJournalStore, SqliteJournalStore
from jeeves_journal.tracebacks import without_locals


class SqliteRuntime(JournaledRuntime):
    """A ``JournaledRuntime`` over a SQLite file."""

    name = "sqlite"

    def __init__(self, path: str | Path, **options: Unpack[StoreOptions]) -> None:
        """See ``SqliteJournalStore``."""
        self._sqlite = SqliteJournalStore(path, **options)
        super().__init__(self._sqlite)

    @property
    def store(self) -> SqliteJournalStore:
        """The store that keeps the records."""
        return self._sqlite

    @property
    def path(self) -> Path:
        """The database file."""
        return self._sqlite.path


class PostgresRuntime(JournaledRuntime):
    """A ``JournaledRuntime`` over a Postgres database."""

    name = "postgres"

    def __init__(self, pool: Pool | PostgresJournalStore) -> None:
        """Run over an ``asyncpg.Pool``, as ``PostgresJournalStore`` does, or over a ready ``PostgresJournalStore``."""
        self._postgres = pool if isinstance(pool, PostgresJournalStore) else PostgresJournalStore(pool)
        super().__init__(self._postgres)

    @classmethod
    @without_locals
    async def connect(cls, dsn: str, *, min_size: int = 1, max_size: int = 10, **options: Unpack[StoreOptions]) -> Self:
        """Return a runtime over a pool of its own; see ``PostgresJournalStore.connect``."""
        return cls(await PostgresJournalStore.connect(dsn, min_size=min_size, max_size=max_size, **options))

    @property
    def store(self) -> PostgresJournalStore:
        """The store that keeps the records."""
        return self._postgres

    async def init_schema(self) -> None:
        """Create or upgrade the tables."""
        await self._postgres.init_schema()
