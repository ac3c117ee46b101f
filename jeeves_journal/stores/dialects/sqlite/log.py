"""A SQLite file's write-ahead log, as a process finds it: https://sqlite.org/wal.html."""

from __future__ import annotations

import sqlite3

from jeeves_journal.stores.dialects.sqlite.errors import primary_code


def open_all_files(connection: sqlite3.Connection) -> None:
    """Make SQLite open all of a database's files, which it leaves to the first read."""
    connection.execute("SELECT 1 FROM sqlite_master").fetchall()


def start_log_anew(connection: sqlite3.Connection) -> None:
    """Bring what a process that was killed has left in the log into the database.

    The end of such a log may be what a sync has failed for: it can be read from the kernel's cache, but is not on the
    disk and will not be, and of what follows it a loss of power would leave nothing. Where somebody else uses the log,
    it was not left, and stays as it is.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        # A full disk can still be read.
        if primary_code(error) != sqlite3.SQLITE_FULL:
            raise
