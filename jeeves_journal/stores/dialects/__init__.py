"""Everything that SQLite and Postgres do differently. Nobody outside this room asks which one it is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import POSTGRES_OPTIONS, Settings, StoreOptions, read_settings
from jeeves_journal.stores.dialects.database import Database
from jeeves_journal.stores.dialects.errors import driver_error
from jeeves_journal.stores.dialects.postgres.dsn import PostgresURL
from jeeves_journal.stores.dialects.postgres.protocols import Pool
from jeeves_journal.stores.dialects.rows import Key, Row, SessionQuery, SessionRow, Size, Stored, Transaction
from jeeves_journal.stores.dialects.urls import Target, parse_dsn, parse_url

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = [
    "Database",
    "Key",
    "Row",
    "SessionQuery",
    "SessionRow",
    "Size",
    "Stored",
    "Transaction",
    "database_for_dsn",
    "database_for_engine",
    "database_for_path",
    "database_for_pool",
    "database_for_url",
    "driver_error",
]

# Connections of a caller are counted by the caller.
_BORROWED_POSTGRES_OPTIONS: Final = tuple(
    name for name in POSTGRES_OPTIONS if name not in ("pool_size", "max_overflow")
)


def database_for_url(url: str, options: StoreOptions) -> Database:
    """Return the database that a URL names; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown, or the driver is not installed.
    """
    return _database(parse_url(url, options))


def database_for_dsn(dsn: str, options: StoreOptions) -> Database:
    """Return the Postgres database that a DSN names, with whatever server settings it holds; no I/O.

    Raises:
        ConfigurationError: It names no Postgres, or an option cannot be used.
    """
    return _database(parse_dsn(dsn, options))


def database_for_path(path: Path, options: StoreOptions) -> Database:
    """Return the SQLite database in a file, having made the folders above it.

    Raises:
        ConfigurationError: The folders cannot be made, or an option cannot be used.
    """
    database = _sqlite(str(path), read_settings(options))
    from jeeves_journal.stores.dialects.sqlite.file import prepare_folders

    if str(path) != ":memory:":
        prepare_folders(path)
    return database


def database_for_engine(engine: AsyncEngine | Database, options: StoreOptions) -> Database:
    """Return the database behind a caller's engine, or one that was made already.

    Raises:
        ConfigurationError: Its driver is not one that the compiled statements can run on.
    """
    if isinstance(engine, Database):
        return engine
    driver = getattr(getattr(engine, "dialect", None), "driver", None)
    if driver == "aiosqlite":
        from jeeves_journal.stores.dialects.sqlite.borrowed import BorrowedSqlite

        return BorrowedSqlite(engine, read_settings(options))
    if driver == "asyncpg":
        from jeeves_journal.stores.dialects.postgres.borrowed import BorrowedPostgres

        return BorrowedPostgres(engine, read_settings(options, accepted=_BORROWED_POSTGRES_OPTIONS))
    what = f"a {type(engine).__name__} with driver {driver!r} cannot be used"
    raise ConfigurationError(what, "pass an AsyncEngine on aiosqlite or asyncpg")


def database_for_pool(pool: object, options: StoreOptions, *, close_pool: bool) -> Database:
    """Return the Postgres database behind a caller's ``asyncpg.Pool``, or one that was made already.

    Raises:
        ConfigurationError: It is something else, or an option cannot be used.
    """
    if isinstance(pool, Database):
        return pool
    if not (callable(getattr(pool, "acquire", None)) and callable(getattr(pool, "is_closing", None))):
        raise ConfigurationError(f"a {type(pool).__name__} is not an asyncpg.Pool", "pass what create_pool returns")
    from jeeves_journal.stores.dialects.postgres.pool import PooledPostgres

    settings = read_settings(options, accepted=_BORROWED_POSTGRES_OPTIONS)
    return PooledPostgres(cast("Pool", pool), settings, close_pool=close_pool)


def _database(target: Target) -> Database:
    if isinstance(target.place, PostgresURL):
        return _postgres(target.place, target.settings)
    return _sqlite(target.place, target.settings)


def _sqlite(path: str, settings: Settings) -> Database:
    _require("aiosqlite")
    from jeeves_journal.stores.dialects.sqlite.in_file import SqliteFile
    from jeeves_journal.stores.dialects.sqlite.in_memory import SqliteMemory

    if path in ("", ":memory:"):
        return SqliteMemory(settings)
    if "\0" in path:
        raise ConfigurationError("the path holds a NUL character", "choose another path")
    return SqliteFile(Path(path), settings)


def _postgres(url: PostgresURL, settings: Settings) -> Database:
    _require("asyncpg")
    from jeeves_journal.stores.dialects.postgres.own import OwnPostgres

    return OwnPostgres(url, settings)


def _require(driver: str) -> None:
    try:
        found = find_spec(driver) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise ConfigurationError(f"the driver {driver!r} is not installed", f"run `pip install {driver}`")
