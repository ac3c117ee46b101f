"""What every codec does."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias


class Codec(Protocol):
    """Turns a value into a payload and back.

    ``reseal`` calls it in a thread, so that others are served meanwhile.

    Attributes:
        id: The codec's name in a record's footer: one to eight ASCII characters.
    """

    id: str

    def dumps(self, value: Any) -> bytes:
        """Return the value's payload. Any exception means that this value cannot be recorded."""
        ...

    def loads(self, payload: bytes | memoryview) -> Any:
        """Return the value of a payload. Any exception means that the payload cannot be read here."""
        ...


CodecOrName: TypeAlias = Codec | Literal["pickle", "json"]
"""What an option takes for a codec."""
