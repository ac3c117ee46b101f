"""What a record says of itself, for listing it: its codec and its key, as its last bytes name them."""

from __future__ import annotations

from typing import Final, NamedTuple, cast

from jeeves_journal.codecs.footer import FOOTER_BYTES, Tail
from jeeves_journal.codecs.pickling import PickleCodec, ends_like_a_pickle
from jeeves_journal.codecs.sealing import UNSEALED

DESCRIBING_BYTES: Final = FOOTER_BYTES
"""How many of a record's last bytes tell all of it."""

UNKNOWN: Final = "?"


class Description(NamedTuple):
    """What a record says of itself; anybody may have written it."""

    codec: str
    """The id of the codec; ``?`` where the bytes are nobody's record."""
    sealed_by: str | None
    """The id of the key."""


def described(end: object) -> Description:
    """Return what a record says of itself.

    Args:
        end: Its last ``DESCRIBING_BYTES`` bytes, or more; or whatever stands in their place in a damaged database.
    """
    if not isinstance(end, bytes | bytearray | memoryview):
        return Description(UNKNOWN, None)
    end = bytes(cast("bytes", end))
    fields = Tail.of(end)
    if fields is None:
        return Description(PickleCodec.id if ends_like_a_pickle(end) else UNKNOWN, None)
    key_id = fields.key_id.rstrip(b"\0").decode("ascii", "replace")
    return Description(_printable(fields.codec_id), None if fields.seal == UNSEALED else _printable(key_id))


def _printable(text: str) -> str:
    # It is going to be shown, and a damaged one may hold what commands a terminal.
    return "".join(character if character.isprintable() else "\ufffd" for character in text) or UNKNOWN
