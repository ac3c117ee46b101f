"""How lines are packed: gzip members one after the other, then one that holds the checksum of all bytes before it.

The last one is not compressed, so that it is the same everywhere and there is nothing in it that no checksum covers.
"""

from __future__ import annotations

import os
import struct
import zlib
from hashlib import sha256
from typing import BinaryIO, Final, NamedTuple, Protocol

from jeeves_journal.bundles.lines import UnreadableError

# So much text ends a member, once the session does: reading can begin again close to any session.
_MEMBER_BYTES: Final = 1024 * 1024
_LEVEL: Final = 6
# With gzip's header and trailer, the CRC-32 of which zlib checks.
_GZIP: Final = 31
_CHUNK_BYTES: Final = 128 * 1024

_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_SUM: Final = b'{"bundle_sha256":"%s"}\n'


def sum_member(hexdigest: str) -> bytes:
    """Return the last member."""
    text = _SUM % hexdigest.encode()
    size = len(text)
    return _HEADER + struct.pack("<BHH", 1, size, size ^ 0xFFFF) + text + struct.pack("<LL", zlib.crc32(text), size)


SUM_MEMBER_BYTES: Final = len(sum_member("0" * 64))


class Packer:
    """Packs lines into a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = sha256()
        self._start()

    def add(self, *pieces: bytes, begins_session: bool = False) -> None:
        """Pack one line."""
        if begins_session and self._size >= _MEMBER_BYTES:
            self._write(self._member.flush())
            self._start()
        for piece in pieces:
            self._size += len(piece)
            self._write(self._member.compress(piece))

    def finish(self) -> None:
        """Write all that is left, and have it synced."""
        self._write(self._member.flush())
        self._file.write(sum_member(self._digest.hexdigest()))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _start(self) -> None:
        self._member = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._size = 0

    def _write(self, packed: bytes) -> None:
        self._digest.update(packed)
        self._file.write(packed)


class Spot(NamedTuple):
    """Where a line begins: in the member at this offset of the file, after so many bytes of its text."""

    member: int
    skipped: int


BEGINNING: Final = Spot(0, 0)


class Inflater(Protocol):
    """zlib's, which has a name only in its stubs."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, /, max_length: int = ...) -> bytes: ...


class Unpacker:
    """Unpacks lines, and holds no more than one of them."""

    def __init__(self, file: BinaryIO, end: int, most_line_bytes: int, spot: Spot = BEGINNING) -> None:
        """Begin at a spot.

        Args:
            file: Is used by others in between.
            end: Where the last member begins.
            most_line_bytes: A longer line is refused, before it is unpacked.
            spot: Where to begin.
        """
        self._file = file
        self._end = end
        self._most_line_bytes = most_line_bytes
        self._read = spot.member
        self._digest = sha256()
        self._packed = b""
        self._text = bytearray()
        self.began = self._spot = spot
        """Where the line began that was unpacked last."""
        self._start()
        while self._spot.skipped < spot.skipped:
            self.line()

    def line(self) -> bytes:
        """Return the next line, or nothing at the end.

        Raises:
            UnreadableError: There is none, or it is too long.
        """
        looked_at = 0
        while (found := self._text.find(b"\n", looked_at)) < 0:
            looked_at = len(self._text)
            if looked_at > self._most_line_bytes:
                raise UnreadableError("is longer than a record may be")
            if self._inflater.eof:
                if self._text:
                    raise UnreadableError("is cut")
                if self._read == self._end and not self._packed:
                    return b""
                self._start()
            self._text += self._inflated()
        line = bytes(memoryview(self._text)[: found + 1])
        del self._text[: found + 1]
        self.began, self._spot = self._spot, Spot(self._spot.member, self._spot.skipped + len(line))
        return line

    def hexdigest(self) -> str:
        """Return the checksum of all bytes that were read."""
        return self._digest.hexdigest()

    def _start(self) -> None:
        self._spot = Spot(self._read - len(self._packed), 0)
        self._inflater: Inflater = zlib.decompressobj(_GZIP)

    def _inflated(self) -> bytes:
        try:
            text = self._inflater.decompress(self._packed, _CHUNK_BYTES)
            while not text and not self._inflater.eof:
                self._packed = self._chunk()
                text = self._inflater.decompress(self._packed, _CHUNK_BYTES)
        except zlib.error:
            raise UnreadableError("cannot be unpacked") from None
        self._packed = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        return text

    def _chunk(self) -> bytes:
        self._file.seek(self._read)
        chunk = self._file.read(min(_CHUNK_BYTES, self._end - self._read))
        if not chunk:
            raise UnreadableError("is cut")
        self._read += len(chunk)
        self._digest.update(chunk)
        return chunk
