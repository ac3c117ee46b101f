"""Value to record bytes and back: codec, envelope, and the errors that name the step."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, cast

from jeeves_journal.codecs.codec import Codec
from jeeves_journal.codecs.damage import REMEDY_DAMAGED, no_bytes, no_time
from jeeves_journal.codecs.envelope import Envelope, unsealed
from jeeves_journal.codecs.pickling import (
    PickleCodec,
    ends_like_a_pickle,
    is_whole_pickle,
    load_whole_pickle,
    surely_loads,
)
from jeeves_journal.codecs.sealing import Place
from jeeves_journal.errors import DecodeError, EncodeError, IntegrityError, JournalError
from jeeves_journal.records import JournalEntry
from jeeves_journal.tracebacks import without_locals

# Made once: to make it takes longer than to ask.
_TIMES: Final = (float, int, Decimal)


class RecordCodec:
    """Encodes and decodes the records of one store."""

    def __init__(self, *, max_value_bytes: int, codec: Codec | None = None, envelope: Envelope | None = None) -> None:
        """Prepare for one codec, pickle by default, and the envelope around it; ``max_value_bytes`` bounds payloads."""
        self._codec: Codec = codec or PickleCodec()
        self._is_pickle = type(self._codec) is PickleCodec
        self._max_value_bytes = max_value_bytes
        self.envelope = envelope or Envelope(self._codec.id)

    def encode(self, place: Place, value: Any) -> bytes:
        """Return the bytes to record.

        Raises:
            EncodeError: The value has no bytes, has too many, or could not be read back from them.
        """
        payload = self._dumped(place, value)
        if len(payload) > self._max_value_bytes:
            what = f"a value of type {_type_name(value)} takes {len(payload):,} bytes"
            remedy = f"record a reference to it, or raise max_value_bytes (now {self._max_value_bytes:,})"
            raise EncodeError(what, remedy, *place[1:3])
        try:
            # Some values encode and then fail to decode, for one an exception whose __init__ takes more than a message.
            if not (self._is_pickle and surely_loads(value, payload)):
                # As they will come out of a record: a codec that does not take a view could read none again.
                self._codec.loads(memoryview(payload))
        except Exception as error:
            what = f"a value of type {_type_name(value)} can be encoded but not decoded again"
            remedy = f"give its class what the {self._codec.id} codec needs, or return something else"
            raise EncodeError(what, remedy, *place[1:3]) from error
        return self.envelope.wrap(place, payload)

    def encode_chunks(self, place: Place, chunks: Any) -> bytes:
        """Return the bytes to record for a stream's chunks; see ``encode``."""
        try:
            chunks = list(chunks)
        except Exception as error:
            what = f"a {_type_name(chunks)} is not a list of chunks"
            raise EncodeError(what, "pass a list", *place[1:3]) from error
        return self.encode(place, chunks)

    def decode(self, place: Place, data: object) -> Any:
        """Return the value of a record.

        Raises:
            IntegrityError: The bytes are not those that were written.
            DecodeError: They are, but cannot be read here.
        """
        record = self._bytes(place, data)
        payload = self._opened(place, record)
        if payload is None:
            return self._without_footer(place, record)
        try:
            return self._codec.loads(payload)
        except Exception as error:
            raise _unreadable(error, place) from error

    def payload(self, place: Place, data: object) -> bytes | memoryview:
        """Return what the codec made of a record's value; see ``decode``, which makes the value of it."""
        record = self._bytes(place, data)
        payload = self._opened(place, record)
        return self._plain(place, record) if payload is None else payload

    def moved(self, place: Place, data: object, to: Place) -> bytes:
        """Return a sealed record for another place, sealed anew; its value is not decoded.

        Raises:
            DecodeError: It cannot be opened here.
        """
        record = self._bytes(place, data)
        try:
            return self.envelope.moved(place, record, to)
        except JournalError as error:
            raise error.about(*place[1:3]) from error.__cause__

    def row_decoder(self, session_id: str) -> Callable[[tuple[str, object, float]], Any]:
        """Return a function that decodes a row of a session's steps: a name, a record, a time. See ``decode``."""

        @without_locals
        def decode_row(row: tuple[str, object, float]) -> Any:
            return self.decode(("step", session_id, row[0], row[2]), row[1])

        return decode_row

    def decode_entry(self, place: Place, data: object) -> JournalEntry:
        """Return a step's entry; see ``decode``."""
        value = self.decode(place, data)
        created_at = place[3]
        # SQLite keeps whatever was put into a column, whatever its type.
        if not isinstance(created_at, _TIMES):
            raise no_time(*place[1:3])
        return JournalEntry(value, float(created_at))

    def decode_chunks(self, place: Place, data: object) -> list[Any]:
        """Return a stream's chunks; see ``decode``."""
        chunks = self.decode(place, data)
        # JeevesAgent takes a recorded None for an empty stream.
        if chunks is None:
            return []
        try:
            return list(chunks)
        except Exception as error:
            raise _unreadable(error, place) from error

    def _dumped(self, place: Place, value: Any) -> bytes:
        try:
            payload: object = self._codec.dumps(value)
        # A codec runs the code of the value's own classes, which may raise anything.
        except Exception as error:
            what = f"a value of type {_type_name(value)} cannot be encoded by the {self._codec.id} codec"
            raise EncodeError(what, "return something that can be", *place[1:3]) from error
        if not isinstance(payload, bytes):
            what = f"the {self._codec.id} codec made {_type_name(payload)} of a value of type {_type_name(value)}"
            raise EncodeError(what, "let its dumps return bytes", *place[1:3])
        return payload

    def _bytes(self, place: Place, data: object) -> bytes:
        if isinstance(data, bytes):
            return data
        # A caller's pool may have codecs of its own for these columns' types.
        if isinstance(data, bytearray | memoryview):
            return bytes(cast("bytearray | memoryview[int]", data))
        raise no_bytes(data, *place[1:3])

    def _opened(self, place: Place, record: bytes) -> bytes | memoryview | None:
        try:
            return self.envelope.open(place, record)
        except JournalError as error:
            raise error.about(*place[1:3]) from error.__cause__

    def _without_footer(self, place: Place, record: bytes) -> Any:
        """Decode a row that JeevesAgent wrote, and refuse one that only lost its footer."""
        self._check_plain(place, record)
        try:
            value, reaches_the_end = load_whole_pickle(record)
        except Exception as error:
            raise _unreadable(error, place) from error
        if not reaches_the_end:
            raise _cut(place)
        return value

    def _plain(self, place: Place, record: bytes) -> bytes:
        """Return a row that JeevesAgent wrote: whole, but not unpickled, since its classes may not be here."""
        self._check_plain(place, record)
        try:
            is_whole = is_whole_pickle(record)
        except Exception as error:
            raise _unreadable(error, place) from error
        if not is_whole:
            raise _cut(place)
        return record

    def _check_plain(self, place: Place, record: bytes) -> None:
        # Not for a subclass either: what its loads forbids would run here.
        if not self._is_pickle or not ends_like_a_pickle(record):
            raise IntegrityError("the record's footer is missing", REMEDY_DAMAGED, *place[1:3])
        if not self.envelope.allows_unsealed:
            raise unsealed().about(*place[1:3])


def _cut(place: Place) -> IntegrityError:
    return IntegrityError("the record's footer is cut", REMEDY_DAMAGED, *place[1:3])


def _unreadable(error: Exception, place: Place) -> DecodeError:
    what = f"the recorded value cannot be decoded ({type(error).__name__})"
    remedy = "make the value's classes importable here, or delete the record so that the step runs again"
    return DecodeError(what, remedy, *place[1:3])


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
