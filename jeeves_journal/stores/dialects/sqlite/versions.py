"""What is known of SQLite's versions."""

from __future__ import annotations

import logging
import sqlite3
from functools import cache
from typing import Final

_LOGGER: Final = logging.getLogger("jeeves_journal")

Version = tuple[int, ...]


def has_wal_reset_bug(version: Version) -> bool:
    """Return whether a version of SQLite has the WAL-reset bug; see https://sqlite.org/wal.html#walresetbug.

    It came with WAL mode in 3.7.0, and was mended in 3.51.3 and, before that, in 3.50.7 and 3.44.6.
    """
    if version[:2] == (3, 50):
        return version < (3, 50, 7)
    if version[:2] == (3, 44):
        return version < (3, 44, 6)
    return (3, 7, 0) <= version < (3, 51, 3)


@cache
def warn_of_wal_reset_bug() -> None:
    """Log a warning, once in a process, if its SQLite has the WAL-reset bug."""
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        _LOGGER.warning(
            "SQLite %s has the WAL-reset bug (https://sqlite.org/wal.html#walresetbug): several processes that write "
            "one file may, very rarely, damage it; use a Python with SQLite 3.51.3 or later, 3.50.7 or 3.44.6",
            sqlite3.sqlite_version,
        )
