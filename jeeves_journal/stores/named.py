"""The stores under the names that JeevesAgent's users know, thin over the one SQL store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, Unpack, cast

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from jeeves_journal.options import StoreOptions
from jeeves_journal.stores.dialects import database_for_path, database_for_url
from jeeves_journal.stores.models import metadata
from jeeves_journal.stores.sql import SQLAlchemyJournalStore


class SqliteJournalStore(SQLAlchemyJournalStore):
    """A journal in a SQLite file."""

    def __init__(self, path: str | Path, **options: Unpack[StoreOptions]) -> None:
        """Name the file. It and the folders above it are made on first use.

        Raises:
            ConfigurationError: An option cannot be used.
        """
        self._path = Path(path)
        super().__init__(database_for_path(self._path, options))

    @property
    def path(self) -> Path:
        """The file, as it was named."""
        return self._path


class PostgresJournalStore(SQLAlchemyJournalStore):
    """A journal in Postgres."""

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
        return cls(database_for_url(dsn, options))

    @staticmethod
    def schema_sql() -> list[str]:
        """Return DDL that makes the two tables where they are missing; it may run at every process start."""
        dialect: Dialect = cast("Any", postgresql).dialect()
        return [
            str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)) for table in metadata.sorted_tables
        ]
