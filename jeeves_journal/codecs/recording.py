"""Value to record bytes and back: codec, footer, and the errors that name the step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

from jeeves_journal.codecs.codec import Codec
from jeeves_journal.codecs.footer import (
    CHECKSUM_BYTES,
    FOOTER_BYTES,
    FORMAT_VERSION,
    Tail,
    checksum,
    has_footer,
    plain_tail,
)
from jeeves_journal.codecs.pickling import PickleCodec, ends_like_a_pickle, is_plain, load_whole_pickle
from jeeves_journal.errors import DecodeError, EncodeError, IntegrityError
from jeeves_journal.records import JournalEntry
from jeeves_journal.tracebacks import forget_locals


class RecordCodec:
    """Encodes and decodes the records of one store."""

    def __init__(self, *, max_value_bytes: int, codec: Codec | None = None) -> None:
        """Prepare for one codec, pickle by default; ``max_value_bytes`` bounds the payload."""
        self._codec: Codec = codec or PickleCodec()
        self._is_pickle = type(self._codec) is PickleCodec
        self._max_value_bytes = max_value_bytes
        self._tail = plain_tail(self._codec.id)

    def encode(self, session_id: str, step_name: str, value: Any) -> bytes:
        """Return the bytes to record.

        Raises:
            EncodeError: The value has no bytes, has too many, or could not be read back from them.
        """
        try:
            payload = self._codec.dumps(value)
        # A codec runs the code of the value's own classes, which may raise anything.
        except Exception as error:
            what = f"a value of type {_type_name(value)} cannot be encoded by the {self._codec.id} codec"
            raise EncodeError(what, "return something that can be", session_id, step_name) from error
        if len(payload) > self._max_value_bytes:
            what = f"a value of type {_type_name(value)} takes {len(payload):,} bytes"
            remedy = f"record a reference to it, or raise max_value_bytes (now {self._max_value_bytes:,})"
            raise EncodeError(what, remedy, session_id, step_name)
        try:
            # Some values encode and then fail to decode, for one an exception whose __init__ takes more than a message.
            if not (self._is_pickle and is_plain(value)):
                self._codec.loads(payload)
        except Exception as error:
            what = f"a value of type {_type_name(value)} can be encoded but not decoded again"
            remedy = f"give its class what the {self._codec.id} codec needs, or return something else"
            raise EncodeError(what, remedy, session_id, step_name) from error
        return b"".join((payload, checksum(payload, self._tail), self._tail))

    def encode_chunks(self, session_id: str, step_name: str, chunks: Any) -> bytes:
        """Return the bytes to record for a stream's chunks; see ``encode``."""
        try:
            chunks = list(chunks)
        except Exception as error:
            what = f"a {_type_name(chunks)} is not a list of chunks"
            raise EncodeError(what, "pass a list", session_id, step_name) from error
        return self.encode(session_id, step_name, chunks)

    def decode(self, session_id: str, step_name: str, data: object) -> Any:
        """Return the value of a record.

        Raises:
            IntegrityError: The bytes are not those that were written.
            DecodeError: They are, but cannot be read here.
        """
        if isinstance(data, bytes) and data.endswith(self._tail):
            end = len(data) - FOOTER_BYTES
            payload = memoryview(data)[:end]
            if checksum(payload, self._tail) == data[end : end + CHECKSUM_BYTES]:
                return self._load(session_id, step_name, payload)
        return self._decode_other(session_id, step_name, data)

    def _load(self, session_id: str, step_name: str, payload: memoryview) -> Any:
        try:
            return self._codec.loads(payload)
        except Exception as error:
            raise _unreadable(error, session_id, step_name) from error

    def _decode_other(self, session_id: str, step_name: str, data: object) -> Any:
        """Decode what does not look as this store would write it now: a JeevesAgent row, or one to be refused."""
        # A caller's pool may have codecs of its own for these columns' types.
        if isinstance(data, bytearray | memoryview):
            return self.decode(session_id, step_name, bytes(cast("bytearray | memoryview[int]", data)))
        if not isinstance(data, bytes):
            what = f"the record holds no bytes but {type(data).__name__}"
            raise DecodeError(what, _REMEDY_DAMAGED, session_id, step_name)
        if not has_footer(data):
            return self._decode_without_footer(session_id, step_name, data)
        payload, footer = memoryview(data)[:-FOOTER_BYTES], data[-FOOTER_BYTES:]
        tail = footer[CHECKSUM_BYTES:]
        if checksum(payload, tail) != footer[:CHECKSUM_BYTES]:
            raise IntegrityError("the record's checksum does not match", _REMEDY_DAMAGED, session_id, step_name)
        raise self._foreign(Tail.read(tail)).about(session_id, step_name)

    def decoder(self, session_id: str, step_name: str, data: object) -> Callable[[], Any]:
        """Return a function that decodes a record later; see ``decode``."""
        return _Decoder(self, session_id, step_name, data)

    def decode_entry(self, session_id: str, step_name: str, data: object, created_at: object) -> JournalEntry:
        """Return a step's entry; see ``decode``."""
        value = self.decode(session_id, step_name, data)
        # SQLite keeps whatever was put into a column, whatever its type.
        if not isinstance(created_at, float | int | Decimal):
            raise DecodeError("the record's time is not a number", _REMEDY_DAMAGED, session_id, step_name)
        return JournalEntry(value, float(created_at))

    def decode_chunks(self, session_id: str, step_name: str, data: object) -> list[Any]:
        """Return a stream's chunks; see ``decode``."""
        chunks = self.decode(session_id, step_name, data)
        # JeevesAgent takes a recorded None for an empty stream.
        if chunks is None:
            return []
        try:
            return list(chunks)
        except Exception as error:
            raise _unreadable(error, session_id, step_name) from error

    def _decode_without_footer(self, session_id: str, step_name: str, data: bytes) -> Any:
        """Decode a row that JeevesAgent wrote, and refuse one that only lost its footer."""
        if not isinstance(self._codec, PickleCodec) or not ends_like_a_pickle(data):
            raise IntegrityError("the record's footer is missing", _REMEDY_DAMAGED, session_id, step_name)
        try:
            value, reaches_the_end = load_whole_pickle(data)
        except Exception as error:
            raise _unreadable(error, session_id, step_name) from error
        if not reaches_the_end:
            raise IntegrityError("the record's footer is cut", _REMEDY_DAMAGED, session_id, step_name)
        return value

    def _foreign(self, tail: Tail) -> DecodeError:
        if tail.version != FORMAT_VERSION:
            what = f"the record is of format version {tail.version}, this code reads {FORMAT_VERSION}"
            return DecodeError(what, "upgrade jeeves-journal")
        if tail.codec_id != self._codec.id:
            what = f"the record was written by codec {tail.codec_id!r}, this store is configured for {self._codec.id!r}"
            return DecodeError(what, "open the store with the codec that wrote it")
        return DecodeError("the record is sealed or compressed", "open the store with the settings that wrote it")


class _Decoder:
    """A record that is decoded when it is called. A class, since the repr of a partial shows what it holds."""

    __slots__ = ("_codec", "_record")

    def __init__(self, codec: RecordCodec, *record: Any) -> None:
        self._codec = codec
        self._record = record

    def __call__(self) -> Any:
        handled = sys.exception()
        try:
            return self._codec.decode(*self._record)
        except BaseException as error:
            forget_locals(error, handled)
            raise


_REMEDY_DAMAGED = "restore the row from a backup, or delete it so that the step runs again"


def _unreadable(error: Exception, session_id: str, step_name: str) -> DecodeError:
    what = f"the recorded value cannot be decoded ({type(error).__name__})"
    remedy = "make the value's classes importable here, or delete the record so that the step runs again"
    return DecodeError(what, remedy, session_id, step_name)


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
