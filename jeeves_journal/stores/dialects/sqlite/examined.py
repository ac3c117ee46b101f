"""Whether a SQLite database is as it should be."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.records import Finding
from jeeves_journal.stores.dialects.sqlite.versions import has_wal_reset_bug

JOURNAL_MODE: Final = "journal mode"
# https://sqlite.org/pragma.html#pragma_synchronous
_LEVELS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")


async def examine(connection: AsyncConnection) -> list[Finding]:
    """Return what was found on a connection as the store uses it."""

    async def pragma(name: str) -> Any:
        return (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()

    return [
        _journal_mode(await pragma("journal_mode")),
        _synchronous(await pragma("synchronous")),
        version_finding(sqlite3.sqlite_version_info),
    ]


def _journal_mode(mode: str) -> Finding:
    if mode in ("wal", "memory"):
        return Finding(JOURNAL_MODE, "ok", mode)
    remedy = "nothing to do: the first run that writes puts it into WAL mode"
    return Finding(JOURNAL_MODE, "warning", f"{mode} and not wal", remedy)


def _synchronous(level: int) -> Finding:
    name = _LEVELS[level] if 0 <= level < len(_LEVELS) else str(level)
    if level >= _LEVELS.index("FULL"):
        return Finding("synchronous", "ok", f"{name}: every commit is synced")
    return Finding("synchronous", "wrong", f"{name}: a power cut loses records", "set PRAGMA synchronous = FULL")


def version_finding(version: tuple[int, ...]) -> Finding:
    """Return whether a version of SQLite has the WAL-reset bug."""
    name = ".".join(map(str, version))
    if has_wal_reset_bug(version):
        what = f"SQLite {name} has the WAL-reset bug: processes that write one file may, very rarely, damage it"
        remedy = "use a Python with SQLite 3.51.3 or later, 3.50.7 or 3.44.6 (https://sqlite.org/wal.html#walresetbug)"
        return Finding("version", "warning", what, remedy)
    return Finding("version", "ok", f"SQLite {name}")
