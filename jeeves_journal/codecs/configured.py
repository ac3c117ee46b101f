"""From options to what encodes and decodes a store's records."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final, Literal, cast

from jeeves_journal.codecs.codec import Codec
from jeeves_journal.codecs.compression import Zstd
from jeeves_journal.codecs.envelope import REMEDY_DAMAGED, Envelope
from jeeves_journal.codecs.footer import CHECKSUM_BYTES, FOOTER_BYTES, Tail, has_footer
from jeeves_journal.codecs.keyring import Keyring
from jeeves_journal.codecs.pickling import PickleCodec
from jeeves_journal.codecs.recording import RecordCodec
from jeeves_journal.codecs.sealing import Place, seconds
from jeeves_journal.errors import ConfigurationError, DecodeError
from jeeves_journal.options import Settings, read_codec

_LOGGER: Final = logging.getLogger("jeeves_journal")


def record_codec(settings: Settings) -> RecordCodec:
    """Return the codec that a store's options name.

    Raises:
        ConfigurationError: A package that they need is not installed, or they contradict each other.
    """
    if settings.keys is None and (settings.seal is not None or settings.allow_unsealed):
        raise ConfigurationError("there is nothing to seal with", "pass keys=Keyring.from_env(), for example")
    if not isinstance(settings.keys, Keyring | None):
        raise ConfigurationError("the value of option 'keys' cannot be used", "pass a Keyring, as a keyword")
    if settings.allow_unsealed:
        _LOGGER.warning("records without a seal are accepted: seal them by reseal(), and drop allow_unsealed=True")
    return _record_codec(settings)


class Resealer:
    """Brings records to a store's newest key, seal and codec."""

    def __init__(self, settings: Settings, from_codec: Literal["pickle", "json"] | Codec | None) -> None:
        """Prepare.

        Args:
            settings: The store's.
            from_codec: What the records were written by if not by the store's own codec.

        Raises:
            ConfigurationError: See ``record_codec``.
        """
        self._writer = _record_codec(settings)
        self._reader = None
        if from_codec is not None:
            self._reader = _record_codec(replace(settings, codec=cast("Codec", read_codec("from_codec", from_codec))))

    def is_current(self, footer: object) -> bool:
        """Return whether the last bytes of a record say that nothing is left to do."""
        return isinstance(footer, bytes) and self._writer.envelope.is_current(footer)

    def renewed(self, place: Place, data: object) -> bytes:
        """Return a record anew. Its value is decoded only if the codec changes.

        Raises:
            DecodeError: The record cannot be trusted or read.
            EncodeError: The store's codec does not take its value.
        """
        # A seal is bound to it.
        if seconds(place.created_at) is None:
            raise DecodeError("the record's time is not a number", REMEDY_DAMAGED, *place[1:3])
        if self._reader is None or self._has_its_codec(data):
            return self._writer.envelope.wrap(place, bytes(self._writer.payload(place, data)))
        return self._writer.encode(place, self._reader.decode(place, data))

    def _has_its_codec(self, data: object) -> bool:
        """Return whether only the key or the seal is an older one: the codec was changed before, or by another."""
        if self._reader is None or not isinstance(data, bytes) or not has_footer(data):
            return False
        mine = self._writer.envelope.codec_id
        return self._reader.envelope.codec_id != mine == Tail.read(data[CHECKSUM_BYTES - FOOTER_BYTES :]).codec_id


def _record_codec(settings: Settings) -> RecordCodec:
    codec = _codec(settings)
    zstd = Zstd(settings.compress_over, settings.max_value_bytes) if settings.compress else None
    envelope = Envelope(
        codec.id,
        zstd=zstd,
        keys=settings.keys,
        seal=settings.seal or "sign",
        allow_unsealed=settings.allow_unsealed,
    )
    return RecordCodec(max_value_bytes=settings.max_value_bytes, codec=codec, envelope=envelope)


def _codec(settings: Settings) -> Codec:
    if settings.codec == "pickle":
        return PickleCodec()
    if settings.codec == "json":
        from jeeves_journal.codecs.json import JSONCodec

        return JSONCodec()
    return settings.codec
