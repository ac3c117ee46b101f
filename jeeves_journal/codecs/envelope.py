"""What is around a payload: compression, seal or checksum, and the footer that tells of them."""

from __future__ import annotations

from typing import Final, Literal

from jeeves_journal.codecs.compression import NOT_COMPRESSED, ZSTD, TooLargeError, Zstd
from jeeves_journal.codecs.damage import REMEDY_DAMAGED
from jeeves_journal.codecs.footer import FORMAT_VERSION, Tail, has_footer, tail_of
from jeeves_journal.codecs.keyring import Key, Keyring
from jeeves_journal.codecs.sealing import ENCRYPTED, SIGNED, UNSEALED, Place
from jeeves_journal.codecs.wrapping import Checksummed, Encrypted, Signed, Wrapping
from jeeves_journal.errors import DecodeError, IntegrityError

Seal = Literal["sign", "encrypt"]

_SEALS: Final = {"sign": SIGNED, "encrypt": ENCRYPTED}


class Envelope:
    """Puts payloads into records and takes them out again, by one store's settings."""

    def __init__(
        self,
        codec_id: str,
        *,
        zstd: Zstd | None = None,
        keys: Keyring | None = None,
        seal: Seal = "sign",
        allow_unsealed: bool = False,
    ) -> None:
        """Prepare.

        Args:
            codec_id: What a record has to name to be opened.
            zstd: Compresses payloads, and inflates them.
            keys: Seal records, and open them. Without keys, sealed ones are refused.
            seal: What to seal with.
            allow_unsealed: Whether records without a seal are opened all the same.
        """
        self.codec_id = codec_id
        """What a record has to name to be opened."""
        self._zstd = zstd
        self._keys = keys
        self.allows_unsealed = keys is None or allow_unsealed
        """Whether records without a seal are opened."""
        self._key: Key | None = None
        self._seal = UNSEALED
        key_id = b""
        if keys is not None:
            self._key, key_id, self._seal = keys.first, keys.first.in_footer, _SEALS[seal]
            if self._seal == ENCRYPTED:
                # Now, and not at the first put: the package may not be installed.
                keys.first.prepare_encryption()
        tails = [
            Tail(codec_id, key_id, seal=self._seal, compression=compression).pack()
            for compression in (NOT_COMPRESSED, ZSTD)
        ]
        self._usual_tail = tails[NOT_COMPRESSED]
        self._wrappings = [_wrapping(self._seal, self._key, tail) for tail in tails]
        # Most records that this store opens are of this kind.
        self._usual = self._wrappings[NOT_COMPRESSED]

    def wrap(self, place: Place, payload: bytes) -> bytes:
        """Return the record of a payload."""
        deflated = self._zstd.deflated(payload) if self._zstd is not None else None
        if deflated is not None:
            return self._wrappings[ZSTD].wrap(place, deflated)
        return self._usual.wrap(place, payload)

    def moved(self, place: Place, record: bytes, to: Place) -> bytes:
        """Return a sealed record for another place, sealed anew by the first key.

        What is sealed stays as it is, compressed or of another codec, and what is encrypted is encrypted again.

        Raises:
            IntegrityError: It is not what was put here.
            DecodeError: The keyring does not open it, or it is of an unknown format.
        """
        fields = Tail.read(tail_of(record))
        body = self._opened(place, record, fields)
        if self._key is None or fields.seal == UNSEALED:
            raise AssertionError("a record without a seal is bound to no place")
        if fields.version != FORMAT_VERSION:
            raise _unknown_version(fields)
        seal = ENCRYPTED if ENCRYPTED in (fields.seal, self._seal) else SIGNED
        tail = fields._replace(key_id=self._key.in_footer, nonce=b"", seal=seal).pack()
        return _wrapping(seal, self._key, tail).wrap(to, bytes(body))

    def open(self, place: Place, record: bytes) -> bytes | memoryview | None:
        """Return the payload of a record, or ``None`` where it does not end in a footer.

        Raises:
            IntegrityError: It is not what was put here.
            DecodeError: It was put with other settings.
        """
        payload = self._usual.unwrap(place, record)
        if payload is not None:
            return payload
        if not has_footer(record):
            return None
        fields = Tail.read(tail_of(record))
        opened = self._opened(place, record, fields)
        if (refusal := self._refusal(fields)) is not None:
            raise refusal
        return self._inflated(opened, fields)

    def is_current(self, footer: bytes) -> bool:
        """Return whether a footer says that its record was wrapped by these settings; its mark is not looked at."""
        fields = Tail.of(footer)
        mine = Tail.read(self._usual_tail)
        return fields is not None and fields._replace(nonce=mine.nonce, compression=mine.compression) == mine

    def _opened(self, place: Place, record: bytes, fields: Tail) -> bytes | memoryview:
        if self._keys is None and fields.seal in (SIGNED, ENCRYPTED):
            raise DecodeError("the record is sealed", "open the store with keys=")
        if self._keys is None or fields.seal == UNSEALED:
            return self._checked(place, record, fields)
        key = self._keys.find(fields.key_id)
        if key is None:
            what = f"the record is sealed by key {fields.key_id.rstrip(bytes(1)).decode('ascii', 'replace')!r}"
            raise DecodeError(f"{what}, which the keyring does not have", "add that key behind the others")
        if fields.seal not in (SIGNED, ENCRYPTED):
            raise _damaged("seal")
        payload = _wrapping(fields.seal, key, tail_of(record)).unwrap(place, record)
        if payload is None:
            raise _damaged("seal")
        return payload

    def _checked(self, place: Place, record: bytes, fields: Tail) -> memoryview:
        if not self.allows_unsealed:
            raise unsealed()
        payload = Checksummed(tail_of(record)).unwrap(place, record)
        if payload is None:
            raise _damaged("checksum")
        if fields.seal != UNSEALED:
            raise DecodeError("the record is sealed in an unknown way", "upgrade jeeves-journal")
        return payload

    def _refusal(self, fields: Tail) -> DecodeError | None:
        if fields.version != FORMAT_VERSION:
            return _unknown_version(fields)
        if fields.codec_id != self.codec_id:
            what = f"the record was written by codec {fields.codec_id!r}, this store is configured for"
            return DecodeError(f"{what} {self.codec_id!r}", "open the store with the codec that wrote it")
        return None

    def _inflated(self, payload: bytes | memoryview, fields: Tail) -> bytes | memoryview:
        if fields.compression == NOT_COMPRESSED:
            return payload
        if fields.compression != ZSTD or self._zstd is None:
            raise DecodeError("the record is compressed", "open the store with compress='zstd'")
        try:
            return self._zstd.inflated(payload)
        except TooLargeError as error:
            what = "the record would inflate to more than a value may have"
            raise DecodeError(what, "raise max_value_bytes if you trust it, or delete the record") from error
        except Exception as error:
            raise IntegrityError("the record's compressed bytes cannot be read", REMEDY_DAMAGED) from error


def _wrapping(seal: int, key: Key | None, tail: bytes) -> Wrapping:
    if key is None:
        return Checksummed(tail)
    return Encrypted(key, tail) if seal == ENCRYPTED else Signed(key, tail)


def _unknown_version(fields: Tail) -> DecodeError:
    what = f"the record is of format version {fields.version}, this code reads {FORMAT_VERSION}"
    return DecodeError(what, "upgrade jeeves-journal")


def unsealed() -> IntegrityError:
    """Return the error for a record without a seal where a seal is wanted."""
    what = "the record is not sealed: anybody may have written it"
    return IntegrityError(what, "if you trust it, open the store with allow_unsealed=True and reseal it")


def _damaged(part: str) -> IntegrityError:
    if part == "seal":
        what = "the record's seal does not match: it was changed, moved or sealed by another key of this name"
        return IntegrityError(what, REMEDY_DAMAGED)
    return IntegrityError("the record's checksum does not match", REMEDY_DAMAGED)
