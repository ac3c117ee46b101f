"""From a payload to a record and back, for records that have one tail in common.

Nearly all that one store writes and reads are such records, and no field of their tail has to be looked at.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final, Protocol

from jeeves_journal.codecs.footer import (
    CHECKSUM_BYTES,
    FOOTER_BYTES,
    behind_nonce,
    checksum,
    key_id_in,
    tail_of,
    with_nonce,
)
from jeeves_journal.codecs.keyring import Key
from jeeves_journal.codecs.sealing import TAG_BYTES, Place, WrongSealError, bound, decrypt, encrypt, new_nonce

_MARK: Final = slice(-FOOTER_BYTES, CHECKSUM_BYTES - FOOTER_BYTES)
# The tag of AES-256-GCM is half as long as the field that it stands in.
_BEHIND_TAG: Final = bytes(CHECKSUM_BYTES - TAG_BYTES)


class Wrapping(Protocol):
    """How payloads become records and come out of them again."""

    def wrap(self, place: Place, payload: bytes) -> bytes:
        """Return the record of a payload."""
        ...

    def unwrap(self, place: Place, record: bytes) -> bytes | memoryview | None:
        """Return the payload of a record, or ``None`` where it was wrapped in another way or is not what it was."""
        ...


class Checksummed:
    """Records that end in a checksum."""

    __slots__ = ("_tail",)

    def __init__(self, tail: bytes) -> None:
        self._tail = tail

    def wrap(self, place: Place, payload: bytes) -> bytes:
        return b"".join((payload, checksum(payload, self._tail), self._tail))

    def unwrap(self, place: Place, record: bytes) -> memoryview | None:
        payload = memoryview(record)[:-FOOTER_BYTES]
        if record.endswith(self._tail) and record[_MARK] == checksum(payload, self._tail):
            return payload
        return None


class Signed:
    """Records that end in a signature: anybody can read them, and nobody else can make one."""

    __slots__ = ("_mark", "_tail")

    def __init__(self, key: Key, tail: bytes) -> None:
        self._mark = key.for_signing.mark
        self._tail = tail

    def wrap(self, place: Place, payload: bytes) -> bytes:
        tail = self._tail
        return b"".join((payload, self._mark(bound(place, tail, len(payload)), payload), tail))

    def unwrap(self, place: Place, record: bytes) -> memoryview | None:
        tail = self._tail
        if not record.endswith(tail):
            return None
        payload = memoryview(record)[:-FOOTER_BYTES]
        try:
            mark = self._mark(bound(place, tail, len(payload)), payload)
        except WrongSealError:
            return None
        return payload if compare_digest(mark, record[_MARK]) else None


class Encrypted:
    """Records that only the key reads."""

    __slots__ = ("_behind_nonce", "_key", "_tail")

    def __init__(self, key: Key, tail: bytes) -> None:
        self._key = key
        self._tail = tail
        self._behind_nonce = behind_nonce(tail)

    def wrap(self, place: Place, payload: bytes) -> bytes:
        tail = with_nonce(self._tail, new_nonce())
        return b"".join((encrypt(self._key, place, payload, tail), _BEHIND_TAG, tail))

    def unwrap(self, place: Place, record: bytes) -> bytes | None:
        tail = tail_of(record)
        if len(record) < FOOTER_BYTES or not tail.endswith(self._behind_nonce):
            return None
        if key_id_in(tail) != key_id_in(self._tail) or not record[_MARK].endswith(_BEHIND_TAG):
            return None
        try:
            return decrypt(self._key, place, memoryview(record)[: TAG_BYTES - FOOTER_BYTES], tail)
        except WrongSealError:
            return None
