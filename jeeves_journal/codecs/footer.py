"""The footer: the last 68 bytes of every record.

======  =====  ==============================================================================================
offset  bytes  field
======  =====  ==============================================================================================
0       32     mark: BLAKE2b-256 over the payload and the rest of the footer; of a signed record HMAC-SHA256, of an
               encrypted one the tag of AES-256-GCM and zeros, both also over where the record stands
32      8      key id, ASCII, padded with zeros; zero while nothing is sealed
40      12     nonce, zero unless encrypted
52      8      codec id, ASCII, padded with zeros
60      1      format version
61      1      seal: 0 for none, 3 signed, 12 encrypted
62      1      compression: 0 for none, 1 zstd
63      1      zero
64      4      magic
======  =====  ==============================================================================================

It comes after the payload and not before it because ``pickle.loads`` ignores what follows a pickle, so that JeevesAgent
reads our rows.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Final, NamedTuple

CHECKSUM_BYTES: Final = 32
FORMAT_VERSION: Final = 1

# Its last byte differs from the "." that ends every pickle in all eight bits: no flipped bit turns one into the other.
MAGIC: Final = b"JvJ\xd1"

SEAL_FROM_END: Final = 7
"""How many bytes before a record's end the byte stands that names its seal."""

_TAIL: Final = struct.Struct(">8s12s8sBBBx4s")
_NONCE: Final = slice(8, 20)
FOOTER_BYTES: Final = CHECKSUM_BYTES + _TAIL.size
_EMPTY: Final = blake2b(digest_size=CHECKSUM_BYTES)


class Tail(NamedTuple):
    """The fields that follow the checksum."""

    codec_id: str
    key_id: bytes = b""
    nonce: bytes = b""
    version: int = FORMAT_VERSION
    seal: int = 0
    compression: int = 0

    def pack(self) -> bytes:
        """Return the fields as they stand in a record."""
        codec_id = self.codec_id.encode("ascii")
        return _TAIL.pack(self.key_id, self.nonce, codec_id, self.version, self.seal, self.compression, MAGIC)

    @classmethod
    def of(cls, record: bytes) -> Tail | None:
        """Read the fields in a record's last bytes; ``None`` where they are no footer."""
        return cls.read(tail_of(record)) if has_footer(record) else None

    @classmethod
    def read(cls, tail: bytes) -> Tail:
        """Read the fields of a tail. Until its mark was found right, they may be anybody's."""
        key_id, nonce, codec_id, version, seal, compression, _ = _TAIL.unpack(tail)
        return cls(codec_id.rstrip(b"\0").decode("ascii", "replace"), key_id, nonce, version, seal, compression)


def tail_of(record: bytes) -> bytes:
    """Return the tail of a record that ends in a footer."""
    return record[CHECKSUM_BYTES - FOOTER_BYTES :]


def nonce_in(tail: bytes) -> bytes:
    """Return the nonce of a tail, whose other fields are not read for it."""
    return tail[_NONCE]


def key_id_in(tail: bytes) -> bytes:
    """Return the key id of a tail, likewise."""
    return tail[: _NONCE.start]


def behind_nonce(tail: bytes) -> bytes:
    """Return what stands behind the nonce: the same in all records of one codec, seal and compression."""
    return tail[_NONCE.stop :]


def with_nonce(tail: bytes, nonce: bytes) -> bytes:
    """Return a tail with another nonce."""
    return tail[: _NONCE.start] + nonce + tail[_NONCE.stop :]


def checksum(payload: bytes | memoryview, tail: bytes | memoryview) -> bytes:
    """Return the checksum over everything in a record but the checksum itself."""
    # From a copy, which is made in less than half the time.
    digest = _EMPTY.copy()
    digest.update(payload)
    digest.update(tail)
    return digest.digest()


def has_footer(data: bytes) -> bool:
    """Return whether these bytes end as a record of ours does."""
    return len(data) >= FOOTER_BYTES and data.endswith(MAGIC)
