"""From options to what encodes and decodes a store's records."""

from __future__ import annotations

import logging
from typing import Final

from jeeves_journal.codecs.codec import Codec
from jeeves_journal.codecs.compression import Zstd
from jeeves_journal.codecs.envelope import Envelope
from jeeves_journal.codecs.keyring import Keyring
from jeeves_journal.codecs.pickling import PickleCodec
from jeeves_journal.codecs.recording import RecordCodec
from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import Settings

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
    return codec_of(settings)


def codec_of(settings: Settings) -> RecordCodec:
    """Return the codec that options name which were looked at before."""
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
