"""The stores under the names that JeevesAgent's users know, thin over the one SQL store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import StoreOptions
from jeeves_journal.stores.dialects import Database, database_for_path, database_for_pool, database_for_url
from jeeves_journal.stores.models import metadata
from jeeves_journal.stores.sql import SQLAlchemyJournalStore

if TYPE_CHECKING:
    from jeeves_journal.stores.dialects.postgres_pool import Pool


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
        super().__init__(database_for_path(self._path, options))

    @property
    def path(self) -> Path:
        """The file, as it was named."""
        return self._path


class PostgresJournalStore(SQLAlchemyJournalStore):
    """A journal in Postgres."""

    def __init__(self, pool: Pool | Database, *, close_pool: bool = True, **options: Unpack[StoreOptions]) -> None:
        """Make a store over an ``asyncpg.Pool`` of yours; no I/O. ``connect`` makes one with connections of its own.

        Args:
            pool: Its connections are given back as they were. The library's own constructors pass a database instead.
            close_pool: Whether ``aclose`` closes the pool too.
            **options: See ``StoreOptions``.

        Raises:
            ConfigurationError: This is no pool, or an option cannot be used.
        """
        self._pool = None if isinstance(pool, Database) or not close_pool else pool
        self._process = os.getpid()
        super().__init__(pool if isinstance(pool, Database) else database_for_pool(pool, options))

    async def aclose(self) -> None:
        await super().aclose()
        # In the child of a fork it would write on the parent's sockets.
        if self._pool is not None and self._process == os.getpid():
            await self._pool.close()

    @classmethod
    async def connect(cls, dsn: str, *, min_size: int = 1, max_size: int = 10, **options: Unpack[StoreOptions]) -> Self:
        """Return a store on a connection pool of its own, connected.

        Args:
            dsn: A Postgres URL.
            min_size: Connections that are kept open, at least one.
            max_size: Connections that may be open at once.
            **options: See ``StoreOptions``.

        Raises:
            ConfigurationError: The URL or an option cannot be used, or the server refuses the user or database.
            StoreUnavailableError: The server is down.
        """
        options = {"pool_size": max(min_size, 1), "max_overflow": max(max_size - max(min_size, 1), 0), **options}
        store = cls(database_for_url(dsn, options))
        await store._connect()
        return store

    @staticmethod
    def schema_sql() -> list[str]:
        """Return DDL that makes the two tables where they are missing; it may run at every process start."""
        dialect: Dialect = cast("Any", postgresql).dialect()
        return [
            str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)) for table in metadata.sorted_tables
        ]
