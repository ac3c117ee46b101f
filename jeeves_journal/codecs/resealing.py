"""One record after the other, brought to a store's newest key, seal and codec."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Final, cast

from jeeves_journal.codecs.codec import Codec, CodecOrName
from jeeves_journal.codecs.configured import codec_of
from jeeves_journal.codecs.damage import no_time
from jeeves_journal.codecs.footer import Tail
from jeeves_journal.codecs.recording import RecordCodec
from jeeves_journal.codecs.sealing import Place, seconds
from jeeves_journal.errors import CodecError
from jeeves_journal.options import Settings, read_codec
from jeeves_journal.records import Resealed
from jeeves_journal.tracebacks import forget_locals

_MOST_REFUSALS: Final = 100


class Resealer:
    """Makes records anew, and keeps count of those that it refuses."""

    def __init__(self, settings: Settings, from_codec: CodecOrName | None) -> None:
        """Prepare.

        Args:
            settings: The store's.
            from_codec: What the records were written by if not by the store's own codec.

        Raises:
            ConfigurationError: See ``record_codec``.
        """
        self._writer = codec_of(settings)
        self._reader = None
        if from_codec is not None:
            self._reader = codec_of(replace(settings, codec=cast("Codec", read_codec("from_codec", from_codec))))
        self._refused = 0
        self._refusals = list[CodecError]()
        self._handled = sys.exception()

    def is_current(self, footer: object) -> bool:
        """Return whether the last bytes of a record say that nothing is left to do."""
        return isinstance(footer, bytes) and self._writer.envelope.is_current(footer)

    def renewed(self, place: Place, data: object) -> bytes | None:
        """Return a record anew; None if it cannot be trusted or read, or the store's codec does not take its value.

        Its value is decoded only if the codec changes.
        """
        try:
            return self._renewed(place, data)
        except CodecError as error:
            self.refuse(error)
            return None

    def refuse(self, error: CodecError) -> None:
        """Count a record that stays as it is."""
        self._refused += 1
        if len(self._refusals) < _MOST_REFUSALS:
            # Its frames hold records, for as long as somebody keeps the error.
            forget_locals(error, self._handled)
            self._refusals.append(error.with_traceback(None))

    def summary(self, records: int, resealed: int) -> Resealed:
        """Return what came of it all: of so many records, so many were written anew."""
        return Resealed(records, resealed, self._refused, tuple(self._refusals))

    def _renewed(self, place: Place, data: object) -> bytes:
        _, session_id, step_name, created_at = place
        # A seal is bound to it.
        if seconds(created_at) is None:
            raise no_time(session_id, step_name)
        if self._reader is None or self._has_the_new_codec(data, self._reader):
            return self._writer.envelope.wrap(place, bytes(self._writer.payload(place, data)))
        return self._writer.encode(place, self._reader.decode(place, data))

    def _has_the_new_codec(self, data: object, reader: RecordCodec) -> bool:
        """Return whether the codec was changed before, or by another, and only key or seal are older ones."""
        new = self._writer.envelope.codec_id
        # Two codecs may share an id, as two lists of types do.
        if reader.envelope.codec_id == new or not isinstance(data, bytes):
            return False
        fields = Tail.of(data)
        return fields is not None and fields.codec_id == new
