"""The lines of a bundle, as docs/bundles.md specifies them. There is one way to write each; any other is refused."""

from __future__ import annotations

import json
import math
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, cast

from jeeves_journal.keys import check_key, check_keys
from jeeves_journal.records import StoredRecord

FORMAT: Final = "jeeves-journal bundle"
VERSION: Final = 1

_DATA: Final = b',"data":"'
_SUM: Final = b',"sha256":"%s"}\n'
_SUM_BYTES: Final = len(_SUM % bytes(64))
END: Final = b'{"sessions":'

# Two keys of 1,000 bytes, each of them escaped by six, and what stands around them.
MOST_HEAD_BYTES: Final = 16 * 1024


class UnreadableError(ValueError):
    """This is no bundle; the message says why, and where it was found has to be added. It never leaves this room."""


class NewerFormatError(UnreadableError):
    """A bundle that only newer code can read."""


def header_line() -> bytes:
    """Return the first line."""
    return b"".join(_summed(_object({"format": FORMAT, "version": VERSION})))


def record_line(record: StoredRecord) -> tuple[bytes, ...]:
    """Return a record's line in pieces, since the bytes may be many."""
    return _summed(_head(record), _DATA, b2a_base64(record.data, newline=False), b'"')


def end_line(sessions: int, records: int) -> bytes:
    """Return the line behind the last record."""
    return b"".join(_summed(_object({"sessions": sessions, "records": records})))


def check_sum(line: bytes) -> memoryview:
    """Return what stands before a line's checksum.

    Raises:
        UnreadableError: The checksum does not match.
    """
    body = memoryview(line)[: max(len(line) - _SUM_BYTES, 0)]
    if line[len(body) :] != _sum_of(body):
        raise UnreadableError("does not match its checksum")
    return body


def check_header(line: bytes) -> None:
    """See whether this is the first line of a bundle that we can read.

    Raises:
        UnreadableError: It is not.
    """
    body = bytes(check_sum(line))
    try:
        fields: object = json.loads(str(body, "utf-8") + "}")
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or (known := cast("Mapping[str, object]", fields)).get("format") != FORMAT:
        raise UnreadableError("is not that of a bundle")
    version = known.get("version")
    if type(version) is int and version > VERSION:
        raise NewerFormatError(f"it is of version {version}, and this code knows {VERSION}")
    if line != header_line():
        raise UnreadableError("is not that of a bundle")


def read_record(line: bytes) -> StoredRecord:
    """Read a record's line.

    Raises:
        UnreadableError: It is none, or written in another way.
    """
    body = check_sum(line)
    start = bytes(body[:MOST_HEAD_BYTES])
    head, data, _ = start.partition(_DATA)
    if not data or body[-1] != ord('"'):
        raise UnreadableError("is no record")
    try:
        fields: object = json.loads(str(head, "utf-8") + "}")
        if not isinstance(fields, dict):
            raise UnreadableError("is no record")
        record = _record(cast("Mapping[str, Any]", fields), _bytes(body[len(head) + len(data) : -1]))
        if _head(record) != head:
            raise UnreadableError("is written in another way than the format says")
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        # Without the error's text, which may quote a value.
        raise UnreadableError(f"is no record ({type(error).__name__})") from None
    return record


class Order:
    """Sees to it that sessions come one after the other, and their records in recorded order, each once."""

    def __init__(self) -> None:
        self.sessions = 0
        self.records = 0
        self.bytes = 0
        self._session_id = ""
        self._latest: tuple[float, str] = (-math.inf, "")
        self._names: set[tuple[str, str]] = set()

    def has(self, record: StoredRecord) -> bool:
        """Return whether the session that is under way has a record of this kind and name."""
        return record.session_id == self._session_id and (record.kind, record.step_name) in self._names

    def add(self, record: StoredRecord) -> None:
        """Count a record.

        Raises:
            UnreadableError: This is not its place.
        """
        # Text compares as its UTF-8 does.
        if record.session_id != self._session_id:
            if record.session_id < self._session_id:
                raise UnreadableError("has a session that belongs before others")
            self.sessions += 1
            self._session_id, self._latest, self._names = record.session_id, (-math.inf, ""), set()
        if (record.kind, record.step_name) in self._names:
            raise UnreadableError("has a step that its session has already")
        place = record.created_at, record.step_name
        if place < self._latest:
            raise UnreadableError("has a record that belongs before others")
        self._latest = place
        self._names.add((record.kind, record.step_name))
        self.records += 1
        self.bytes += len(record.data)


def check_record(record: StoredRecord) -> None:
    """See whether a record can be written.

    Raises:
        UnreadableError: It cannot.
        InvalidKeyError: No store accepts its session's id or its name.
    """
    check_keys(record.session_id, record.step_name)
    if record.kind not in ("step", "stream") or type(record.data) is not bytes:
        raise UnreadableError("is no record")
    if type(record.created_at) is not float or not math.isfinite(record.created_at):
        raise UnreadableError("has no time")


def _record(fields: Mapping[str, Any], data: bytes) -> StoredRecord:
    session_id = check_key("session_id", fields.get("session_id"))
    step_name = check_key("step_name", fields.get("step_name"))
    kind, created_at = fields.get("kind"), fields.get("created_at")
    record = StoredRecord(cast("Any", kind), session_id, step_name, data, cast("Any", created_at))
    check_record(record)
    return record


def _bytes(text: memoryview) -> bytes:
    data = a2b_base64(text, strict_mode=True)
    # The last character may hold bits that belong to no byte.
    rest = len(data) % 3 or 3
    if len(text) != (len(data) + 2) // 3 * 4 or bytes(text[-4:]) != b2a_base64(data[-rest:], newline=False):
        raise UnreadableError("holds another base64 than the format says")
    return data


def _head(record: StoredRecord) -> bytes:
    return _object(
        {
            "session_id": record.session_id,
            "step_name": record.step_name,
            "kind": record.kind,
            "created_at": record.created_at,
        }
    )


def _object(fields: Mapping[str, object]) -> bytes:
    """Return an object that is still open."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)[:-1].encode()


def _summed(*pieces: bytes) -> tuple[bytes, ...]:
    return *pieces, _sum_of(*pieces)


def _sum_of(*pieces: bytes | memoryview) -> bytes:
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return _SUM % digest.hexdigest().encode()
