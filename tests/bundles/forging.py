"""Bundles made from docs/bundles.md alone, right or wrong as a test wants them."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

HEADER = {"format": "jeeves-journal bundle", "version": 1}


def record(
    session_id: str = "run", step_name: str = "fetch", *, at: float = 1.0, data: bytes = b"data", **more: Any
) -> dict[str, Any]:
    """Return the fields of a record."""
    fields = {"session_id": session_id, "step_name": step_name, "kind": "step", "created_at": at}
    return {**fields, "data": base64.b64encode(data).decode(), **more}


def end(sessions: int, records: int) -> dict[str, int]:
    """Return the fields of the line behind the last record."""
    return {"sessions": sessions, "records": records}


def text_of(fields: dict[str, Any]) -> bytes:
    """Return an object without its end, as it stands before a line's checksum."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[:-1].encode("utf-8", "surrogatepass")


def line(fields: dict[str, Any] | bytes) -> bytes:
    """Return a line of these fields, or of this text, with its checksum."""
    text = fields if isinstance(fields, bytes) else text_of(fields)
    return text + b',"sha256":"' + sha256(text).hexdigest().encode() + b'"}\n'


def whole(*lines: dict[str, Any] | bytes) -> bytes:
    """Return a bundle of lines, each with its checksum."""
    return packed(line(each) for each in lines)


def of_records(*records: dict[str, Any]) -> bytes:
    """Return a bundle of records."""
    return whole(HEADER, *records, end(len({each["session_id"] for each in records}), len(records)))


def packed(lines: Iterable[bytes]) -> bytes:
    """Return a bundle of lines that are ready."""
    return sealed(gzip.compress(b"".join(lines), mtime=0))


def sealed(members: bytes) -> bytes:
    """Return members with the one behind them that holds their checksum."""
    return members + last_member(sha256(members).hexdigest())


def last_member(hexdigest: str) -> bytes:
    text = f'{{"bundle_sha256":"{hexdigest}"}}\n'.encode()
    block = struct.pack("<BHH", 1, len(text), 0xFFFF - len(text)) + text
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block + struct.pack("<LL", zlib.crc32(text), len(text))


def lines_of(bundle: bytes) -> list[bytes]:
    """Return a bundle's lines but the last."""
    return gzip.decompress(bundle).splitlines(keepends=True)[:-1]
