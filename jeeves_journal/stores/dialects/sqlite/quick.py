"""Reads on the event loop's own thread, where to wake another thread and be woken by it costs ten times the read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from jeeves_journal.stores.dialects.rows import Key, Stored
from jeeves_journal.stores.dialects.sqlite.file import uri_of
from jeeves_journal.stores.dialects.sqlite.log import open_all_files
from jeeves_journal.stores.dialects.sqlite.records import MOST_LISTED, read_each, read_one

# Bytes. What is longer lies on pages that are read one by one.
_MOST_BYTES: Final = 64 * 1024

PATIENCE: Final = 0.001
"""Seconds for which the loop may stand still without anybody noticing."""
# A disk that is slow takes at most one part in so many of the loop's time.
_SPARED: Final = 100


class QuickReader:
    """Reads short records without a hop, as long as the disk answers at once."""

    def __init__(self, path: Path) -> None:
        """Open the file; it takes a moment, and belongs on another thread."""
        # Waits for no lock: whoever would have to wait does so on a thread of its own.
        self._connection = sqlite3.connect(
            f"{uri_of(path)}?mode=rw", uri=True, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA query_only = 1")
            # Which the first statement would do otherwise.
            open_all_files(self._connection)
        except BaseException:
            self._connection.close()
            raise
        # Longer rows are refused before they are read. https://sqlite.org/limits.html
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
        self._spared_until = 0.0

    def read(self, keys: Sequence[Key]) -> list[Stored | None]:
        """Return what is recorded under the first of these keys, under as many as take no thread to find out."""
        started = time.monotonic()
        if started < self._spared_until:
            return []
        try:
            if len(keys) == 1:
                return [read_one(self._connection, keys[0])]
            return self._read_some(keys[:MOST_LISTED], started + PATIENCE)
        except sqlite3.Error:
            # A lock, a long value, a damaged file: where it is tried again, it is waited for or explained.
            return []
        finally:
            took = time.monotonic() - started
            if took > PATIENCE:
                self._spared_until = started + took * _SPARED

    def _read_some(self, keys: Sequence[Key], late: float) -> list[Stored | None]:
        records: list[Stored | None] = [None] * len(keys)
        with closing(read_each(self._connection, keys)) as found:
            for count, (place, record) in enumerate(found, start=1):
                records[place] = record
                if count < len(keys) and time.monotonic() > late:
                    return []
        return records

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
