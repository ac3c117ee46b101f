"""What SQLite's result codes mean to a caller: https://sqlite.org/rescode.html."""

from __future__ import annotations

import sqlite3
from typing import Final

from jeeves_journal.errors import (
    ConfigurationError,
    EncodeError,
    JournalError,
    SchemaError,
    StoreError,
    StoreUnavailableError,
)
from jeeves_journal.stores.dialects.errors import OTHER_TABLES, missing_tables, unforeseen


class SharedTransactionError(sqlite3.OperationalError):
    """Another task has a transaction open on the one connection that it shares with the store."""


_OTHER_TABLES_SIGNS: Final = (
    "no such column",
    "has no column named",
    "ON CONFLICT clause does not match",
    "cannot modify",
)

_LOCKED: Final = "another connection holds a lock on it", "try again, or raise timeout"
_CODES: Final[dict[int, tuple[type[JournalError], str, str]]] = {
    sqlite3.SQLITE_BUSY: (StoreUnavailableError, *_LOCKED),
    sqlite3.SQLITE_LOCKED: (StoreUnavailableError, *_LOCKED),
    sqlite3.SQLITE_FULL: (StoreUnavailableError, "there is no room left", "make room, then try again"),
    sqlite3.SQLITE_IOERR: (StoreUnavailableError, "the disk failed to read or write", "check the disk, then try again"),
    sqlite3.SQLITE_NOMEM: (StoreUnavailableError, "there is no memory left", "try again"),
    sqlite3.SQLITE_INTERRUPT: (StoreUnavailableError, "the call was interrupted", "try again"),
    sqlite3.SQLITE_PROTOCOL: (StoreUnavailableError, "its locks could not be had", "try again"),
    sqlite3.SQLITE_READONLY: (ConfigurationError, "it is read-only", "let this process write the file and its folder"),
    sqlite3.SQLITE_PERM: (ConfigurationError, "access is refused", "let this process write the file and its folder"),
    sqlite3.SQLITE_AUTH: (ConfigurationError, "access is refused", "let this process write the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: (
        ConfigurationError,
        "it cannot be opened",
        "let this process write the file and its folder, and check its limit of open files",
    ),
    sqlite3.SQLITE_NOTADB: (StoreError, "it is not a SQLite database", "name another file, or move this one away"),
    sqlite3.SQLITE_CORRUPT: (StoreError, "it is damaged", "restore it from a backup"),
    sqlite3.SQLITE_TOOBIG: (EncodeError, "the value is too big for it", "record a reference to it"),
}


def explain(error: BaseException, where: str) -> JournalError:
    """Return our error for one of sqlite3's or aiosqlite's."""
    if isinstance(error, SharedTransactionError):
        remedy = "end that transaction first, or give the store an engine of its own"
        return StoreUnavailableError(f"{where}: another transaction is open on the shared connection", remedy)
    if isinstance(error, sqlite3.Error):
        code = primary_code(error)
        if code == sqlite3.SQLITE_ERROR and str(error).startswith("no such table"):
            return missing_tables(where)
        if code == sqlite3.SQLITE_ERROR and any(sign in str(error) for sign in _OTHER_TABLES_SIGNS):
            return SchemaError(f"{where}: the journal's tables have other columns or keys", OTHER_TABLES)
        if code in _CODES:
            kind, what, remedy = _CODES[code]
            return kind(f"{where}: {what}", remedy)
    return unforeseen(error)


def is_busy(error: BaseException) -> bool:
    """Return whether a lock was not to be had. SQLite answers so at times without asking its busy handler."""
    return primary_code(error) == sqlite3.SQLITE_BUSY


def is_unwritable(error: BaseException) -> bool:
    """Return whether SQLite wanted to make or to write a file, and may not."""
    return primary_code(error) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def primary_code(error: BaseException) -> int:
    """Return what kind of error it is to SQLite, or 0: those of the sqlite3 module itself have no code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
