"""Between a value and its bytes: the codecs, the footer that every record ends in, and the step that joins them."""

from __future__ import annotations

from jeeves_journal.codecs.codec import Codec
from jeeves_journal.codecs.pickling import PickleCodec
from jeeves_journal.codecs.recording import RecordCodec

__all__ = ["Codec", "PickleCodec", "RecordCodec"]
