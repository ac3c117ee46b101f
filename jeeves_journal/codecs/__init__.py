"""Between a value and its bytes: the codecs, the envelope around what they make, and the step that joins them."""

from __future__ import annotations

from jeeves_journal.codecs.codec import Codec, CodecOrName
from jeeves_journal.codecs.configured import record_codec
from jeeves_journal.codecs.json import JSONCodec
from jeeves_journal.codecs.keyring import Keyring
from jeeves_journal.codecs.pickling import PickleCodec
from jeeves_journal.codecs.recording import RecordCodec
from jeeves_journal.codecs.resealing import Resealer
from jeeves_journal.codecs.sealing import Place

__all__ = [
    "Codec",
    "CodecOrName",
    "JSONCodec",
    "Keyring",
    "PickleCodec",
    "Place",
    "RecordCodec",
    "Resealer",
    "record_codec",
]
