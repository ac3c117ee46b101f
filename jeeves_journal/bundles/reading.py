"""A bundle's file that is read: first to its end, to see whether it is whole, then session by session."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from jeeves_journal.bundles.lines import (
    END,
    MOST_HEAD_BYTES,
    NewerFormatError,
    Order,
    UnreadableError,
    check_header,
    check_sum,
    end_line,
    read_record,
)
from jeeves_journal.bundles.packing import BEGINNING, SUM_MEMBER_BYTES, Spot, Unpacker, sum_member
from jeeves_journal.bundles.paths import explaining
from jeeves_journal.errors import BundleError, ConfigurationError
from jeeves_journal.records import StoredRecord

# For a record's bytes that are not its value's: its seal, its checksum.
_MOST_FOOTER_BYTES: Final = 4 * 1024


class Found(NamedTuple):
    """A record, and where its line begins."""

    record: StoredRecord
    spot: Spot


class BundleFile:
    """A bundle that is there."""

    def __init__(self, path: Path, max_value_bytes: int) -> None:
        """Prepare; no I/O."""
        self._path = path
        self._most_line_bytes = (max_value_bytes + _MOST_FOOTER_BYTES) * 4 // 3 + MOST_HEAD_BYTES
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def open(self) -> None:
        """Open the file, and keep it open: what another one puts in its place is not looked at.

        Raises:
            ConfigurationError: There is no file to be read.
        """
        with self._lock, explaining(self._path, "read"):
            if self._is_closed:
                raise AssertionError("whoever was to read it has been cancelled")
            # To open a pipe would wait for whoever writes to it.
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise ConfigurationError(f"{self._path} is no file", "pass the path of a bundle")
            self._file = self._path.open("rb")
            self._state = self._look()

    def close(self) -> None:
        """Close the file; whatever still reads it in a thread is refused."""
        # A thread that nobody waits for any more may be opening it.
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                self._file.close()

    def found(self) -> Iterator[Found]:
        """Read all records, and see at the end that nothing is missing and nothing else there.

        Raises:
            BundleError: It is no whole bundle of a known format.
        """
        order = Order()
        try:
            with explaining(self._path, "read"):
                unpacker = self._unpacker()
                check_header(unpacker.line())
                while not (text := unpacker.line()).startswith(END):
                    record = read_record(text)
                    order.add(record)
                    yield Found(record, unpacker.began)
                check_sum(text)
                if text != end_line(order.sessions, order.records):
                    raise UnreadableError("counts other records than are there")
                if unpacker.line():
                    raise UnreadableError("comes behind the end")
                self._check_whole(unpacker)
        except NewerFormatError as error:
            raise self._refused(str(error), "import it with a newer jeeves-journal") from None
        except UnreadableError as error:
            raise self._refused(f"what follows record {order.records:,} {error}") from None

    def records(self, session_id: str, spot: Spot) -> Iterator[StoredRecord]:
        """Read a session's records once more.

        Raises:
            BundleError: The file has changed meanwhile.
        """
        try:
            with explaining(self._path, "read"):
                unpacker = self._unpacker(spot)
                while not (text := unpacker.line()).startswith(END):
                    record = read_record(text)
                    if record.session_id != session_id:
                        break
                    yield record
        except UnreadableError:
            raise self._changed() from None

    def check_unchanged(self) -> None:
        """See whether this is still the file that was opened.

        Raises:
            BundleError: Somebody has written to it.
        """
        if self._look() != self._state:
            raise self._changed()

    def _unpacker(self, spot: Spot = BEGINNING) -> Unpacker:
        return Unpacker(self._open_file, max(self._state[0] - SUM_MEMBER_BYTES, 0), self._most_line_bytes, spot)

    def _check_whole(self, unpacker: Unpacker) -> None:
        self._open_file.seek(self._state[0] - SUM_MEMBER_BYTES)
        if self._open_file.read(SUM_MEMBER_BYTES + 1) != sum_member(unpacker.hexdigest()):
            raise UnreadableError("does not match the file's checksum")

    def _look(self) -> tuple[int, int]:
        status = os.fstat(self._open_file.fileno())
        return status.st_size, status.st_mtime_ns

    @property
    def _open_file(self) -> BinaryIO:
        if self._file is None:
            raise AssertionError("open() comes first")
        return self._file

    def _changed(self) -> BundleError:
        return BundleError(f"{self._path} was changed while it was imported", "see that nobody does, and begin again")

    def _refused(self, what: str, remedy: str = "export it again, or copy it again") -> BundleError:
        return BundleError(f"{self._path} is no bundle that can be imported: {what}", remedy)
