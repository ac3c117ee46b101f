"""The stores under the names that JeevesAgent's users know, thin over the one SQL store."""

from __future__ import annotations

from pathlib import Path
from typing import Self, Unpack

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import StoreOptions
from jeeves_journal.stores.dialects import Database, database_for_dsn, database_for_path, database_for_pool
from jeeves_journal.stores.dialects.postgres.protocols import Pool
from jeeves_journal.stores.sql import SQLAlchemyJournalStore
from jeeves_journal.tracebacks import without_locals


class SqliteJournalStore(SQLAlchemyJournalStore):
    """A journal in a SQLite file."""

    def __init__(self, path: str | Path, **options: Unpack[StoreOptions]) -> None:
        """Name the file, and make the folders above it. The file itself is made on first use.

        Raises:
            ConfigurationError: The folders cannot be made, or an option cannot be used.
        """
        try:
            self._path = Path(path)
        except TypeError:
            what = f"a path cannot be {type(path).__name__}"
            raise ConfigurationError(what, "pass a str or a pathlib.Path") from None
        self._use(database_for_path(self._path, options))

    @property
    def path(self) -> Path:
        """The file, as it was named."""
        return self._path


class PostgresJournalStore(SQLAlchemyJournalStore):
    """A journal in Postgres."""

    def __init__(self, pool: Pool | Database, *, close_pool: bool = True, **options: Unpack[StoreOptions]) -> None:
        """Make a store over an ``asyncpg.Pool`` of yours; no I/O. ``connect`` makes one with connections of its own.

        Args:
            pool: Its connections are given back as they were. ``connect`` passes a database of its own.
            close_pool: Whether ``aclose`` closes the pool too.
            **options: See ``StoreOptions``.

        Raises:
            ConfigurationError: This is no pool, or an option cannot be used.
        """
        self._use(database_for_pool(pool, options, close_pool=close_pool))

    @classmethod
    @without_locals
    async def connect(cls, dsn: str, *, min_size: int = 1, max_size: int = 10, **options: Unpack[StoreOptions]) -> Self:
        """Return a store on a connection pool of its own, connected.

        Args:
            dsn: A Postgres URL.
            min_size: Not used but checked: one connection is opened now, others when they are needed.
            max_size: Connections that may be open at once.
            **options: See ``StoreOptions``.

        Raises:
            ConfigurationError: The URL or an option cannot be used, or the server refuses the user or database.
            StoreUnavailableError: The server is down.
        """
        if not 0 <= min_size <= max_size or max_size < 1:
            what = f"min_size={min_size} and max_size={max_size} cannot be used"
            raise ConfigurationError(what, "pass sizes with 0 <= min_size <= max_size and max_size of at least 1")
        # As asyncpg's pool does: what was once opened is kept, or every second batch would connect anew.
        options = {"pool_size": max_size, "max_overflow": 0, **options}
        store = cls(database_for_dsn(dsn, options))
        await store._connect()
        return store

    @staticmethod
    def schema_sql() -> list[str]:
        """Return DDL that makes the two tables where they are missing. It may run at every start of every process."""
        from jeeves_journal.stores.dialects.postgres.upgrades import rerunnable_ddl

        return rerunnable_ddl()
