"""Compression, for payloads that it makes smaller."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from jeeves_journal.errors import ConfigurationError

NOT_COMPRESSED: Final = 0
ZSTD: Final = 1

# The library's own default, 1 ms for some MB of JSON.
_LEVEL: Final = 3


class TooLargeError(Exception):
    """A compressed payload says that it is larger than a value may be, or does not say how large it is."""


class Zstd:
    """zstd, at its usual level."""

    def __init__(self, over: int, most: int) -> None:
        """Prepare.

        Args:
            over: Size in bytes from which on payloads are compressed.
            most: Size in bytes that a payload may have once it is inflated.

        Raises:
            ConfigurationError: The package that does it is not installed.
        """
        if find_spec("zstandard") is None:
            raise ConfigurationError("compression needs zstandard", "run `pip install 'jeeves-journal[zstd]'`")
        self._over = over
        self._most = most

    def deflated(self, payload: bytes) -> bytes | None:
        """Return the payload compressed, or None where that does not make it smaller."""
        if len(payload) <= self._over:
            return None
        from zstandard import ZstdCompressor

        # One for each: it is not safe to share among threads, and takes 8 us to make.
        compressed = ZstdCompressor(level=_LEVEL).compress(payload)
        return compressed if len(compressed) < len(payload) else None

    def inflated(self, compressed: bytes | memoryview) -> bytes:
        """Return the payload.

        Raises:
            TooLargeError: It would be larger than allowed; nothing was inflated.
            Exception: These are no compressed bytes.
        """
        from zstandard import ZstdDecompressor, frame_content_size

        # What the frame says of its size binds the decompressor too.
        if not 0 <= frame_content_size(compressed) <= self._most:
            raise TooLargeError
        return ZstdDecompressor().decompress(compressed, allow_extra_data=False)
