"""Seals: what makes a record worth its bytes only under the key, in the table and at the time that it was put.

A seal is bound to the record's kind, session, step and time and to the rest of its footer, each with its length before
it, so that no two records are bound to the same bytes.
"""

from __future__ import annotations

import os
import struct
from decimal import Decimal
from typing import Final, TypeAlias

from jeeves_journal.codecs.footer import nonce_in
from jeeves_journal.codecs.keyring import Key

# Two bits or more apart: no flipped bit makes one of another.
UNSEALED: Final = 0
SIGNED: Final = 0b0011
ENCRYPTED: Final = 0b1100

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_LENGTH: Final = struct.Struct(">Q")
_TIME_BYTES: Final = 8
# The time, the tail, and the payload's length.
_FIXED: Final = struct.Struct(">QdQ36sQ")
_KINDS: Final = {kind: _LENGTH.pack(len(kind)) + kind.encode() for kind in ("step", "stream")}


# A plain tuple, which is made several times as fast as a named one.
Place: TypeAlias = tuple[str, str, str, object]
"""Where a record stands, which a seal is bound to.

Its kind, session id and step name (``place[1:3]`` is what errors name), and when it was put, as the database has it: a
float unless somebody changed it.
"""


class WrongSealError(Exception):
    """The seal is not that of this record in this place."""


def bound(place: Place, tail: bytes, size: int) -> bytes:
    """Return what stands before a payload of this size: all that its seal binds it to, each with its length before it.

    Raises:
        WrongSealError: Nothing was ever put with such a time.
    """
    kind, session_id, step_name, created_at = place
    put_at = created_at if type(created_at) is float else seconds(created_at)
    if put_at is None:
        raise WrongSealError
    try:
        session, step = session_id.encode(), step_name.encode()
    except UnicodeEncodeError:
        # A damaged text in a SQLite file.
        session, step = (text.encode("utf-8", "surrogatepass") for text in (session_id, step_name))
    return b"".join((
        _KINDS[kind],
        _LENGTH.pack(len(session)),
        session,
        _LENGTH.pack(len(step)),
        step,
        _FIXED.pack(_TIME_BYTES, put_at, len(tail), tail, size),
    ))  # fmt: skip


def encrypt(key: Key, place: Place, payload: bytes, tail: bytes) -> bytes:
    """Return a payload that only the key reads, and behind it the tag of AES-256-GCM. Its nonce stands in the tail."""
    return key.for_encryption.encrypt(nonce_in(tail), payload, bound(place, tail, len(payload)))


def decrypt(key: Key, place: Place, sealed: bytes | memoryview, tail: bytes) -> bytes:
    """Return the payload of what ``encrypt`` returned.

    Raises:
        WrongSealError: It was not encrypted with this key, for this place.
    """
    from cryptography.exceptions import InvalidTag

    try:
        return key.for_encryption.decrypt(nonce_in(tail), sealed, bound(place, tail, len(sealed) - TAG_BYTES))
    except InvalidTag as error:
        raise WrongSealError from error


def new_nonce() -> bytes:
    """Return random bytes that no other value of this key was encrypted with."""
    return os.urandom(NONCE_BYTES)


def seconds(created_at: object) -> float | None:
    """Return a record's time as the float that it was put with, or None where it cannot be that."""
    if isinstance(created_at, float):
        return created_at
    # What a caller's pool may make of a float: Postgres writes each by the shortest text that names it alone.
    return float(created_at) if isinstance(created_at, Decimal) and not created_at.is_snan() else None
