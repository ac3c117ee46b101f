"""The keys of sealed records."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from jeeves_journal.codecs.signing import Signing
from jeeves_journal.errors import ConfigurationError
from jeeves_journal.tracebacks import without_locals

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
VARIABLE: Final = "JEEVES_JOURNAL_KEYS"

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,8}")
_MAKE_ONE: Final = "make one with `jeeves-journal keys new`"
# Of 32 random bytes, fewer are distinct once in more than 10^20 keys.
_FEWEST_DISTINCT: Final = 16
_OF_TEXTS: Final = frozenset(b"\t\n\r" + bytes(range(32, 127)))


class Key:
    """One key: 256 random bits, and a name of one to eight characters that stands in the records it seals."""

    @without_locals
    def __init__(self, key_id: str, secret: bytes) -> None:
        """Take a key.

        Raises:
            ConfigurationError: The name or the key is of the wrong form, or the key is a text or a pattern and not
                random.
        """
        if not _ID.fullmatch(key_id):
            raise ConfigurationError("a key's id is not of one to eight letters, digits, - and _", _MAKE_ONE)
        if len(secret) != KEY_BYTES:
            raise ConfigurationError(f"key {key_id!r} has {len(secret)} bytes and not {KEY_BYTES}", _MAKE_ONE)
        if _can_be_guessed(secret):
            raise ConfigurationError(f"key {key_id!r} is a text or a pattern, and can be guessed", _MAKE_ONE)
        self.id = key_id
        self._secret = secret

    def __repr__(self) -> str:
        return f"Key({self.id!r})"

    @property
    def in_footer(self) -> bytes:
        """The name as the footer holds it."""
        return self.id.encode("ascii").ljust(8, b"\0")

    @cached_property
    def for_signing(self) -> Signing:
        """The key's own key for HMAC-SHA256."""
        return Signing(derive(self._secret, b"jeeves-journal 1 sign"))

    @cached_property
    def for_encryption(self) -> AESGCM:
        """The key's own key for AES-256-GCM.

        Raises:
            ConfigurationError: The package that encrypts is not installed.
        """
        if find_spec("cryptography") is None:
            raise ConfigurationError("encryption needs cryptography", "run `pip install 'jeeves-journal[crypto]'`")
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(derive(self._secret, b"jeeves-journal 1 encrypt"))

    def prepare_encryption(self) -> None:
        """See that there is what encrypts.

        Raises:
            ConfigurationError: The package that encrypts is not installed.
        """
        _ = self.for_encryption

    def to_text(self) -> str:
        """Return the key as text, ``id:base64``. Whoever has it can forge and read records."""
        return f"{self.id}:{base64.b64encode(self._secret).decode('ascii')}"


class Keyring:
    """Keys in order: the first one seals, all of them open.

    To rotate, put a new key in front, bring the rows to it (``reseal``), and drop the old one.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        """Take keys.

        Raises:
            ConfigurationError: There is none, or two have the same id.
        """
        given = list(keys)
        self._keys = {key.in_footer: key for key in given}
        if not given:
            raise ConfigurationError("the keyring is empty", _MAKE_ONE)
        if len(self._keys) != len(given):
            raise ConfigurationError("two keys of the keyring have the same id", "give each an id of its own")
        self._first = given[0]

    @classmethod
    def generate(cls) -> Self:
        """Return a keyring with one new key, whose id is random."""
        while True:
            try:
                return cls([Key(base64.b32encode(secrets.token_bytes(5)).decode().lower(), os.urandom(KEY_BYTES))])
            except ConfigurationError:
                # Once in more than 10^14 times, random bytes look like a text.
                continue

    @classmethod
    @without_locals
    def from_text(cls, text: str) -> Self:
        """Return the keyring that a text holds: ``id:base64``, separated by commas or in lines of their own.

        Raises:
            ConfigurationError: It is of another form, or a key is not random.
        """
        return cls([_key(part.strip()) for part in re.split(r"[,\n]", text) if part.strip()])

    @classmethod
    @without_locals
    def from_file(cls, path: str | Path) -> Self:
        """Return the keyring that a file holds; see ``from_text``. Lines that begin with ``#`` are left out.

        Raises:
            ConfigurationError: It cannot be read, or what it holds is of another form.
        """
        try:
            lines = Path(path).read_text(encoding="ascii").splitlines()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
            raise ConfigurationError(f"the key file {str(path)!r} cannot be read: {reason}", _MAKE_ONE) from None
        return cls.from_text("\n".join(line for line in lines if not line.lstrip().startswith("#")))

    @classmethod
    @without_locals
    def from_env(cls, variable: str = VARIABLE) -> Self:
        """Return the keyring that an environment variable holds; see ``from_text``.

        Raises:
            ConfigurationError: It is not set, or what it holds is of another form.
        """
        text = os.environ.get(variable)
        if not text:
            raise ConfigurationError(f"the environment variable {variable} is not set", _MAKE_ONE)
        try:
            return cls.from_text(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{variable}: {error.what}", error.remedy) from None

    def to_text(self) -> str:
        """Return all keys as text, as ``from_text`` takes it. Whoever has it can forge and read records."""
        return ",".join(key.to_text() for key in self)

    @property
    def first(self) -> Key:
        """The key that seals."""
        return self._first

    def find(self, in_footer: bytes) -> Key | None:
        """Return the key of a footer's name, if it is here."""
        return self._keys.get(in_footer)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def __repr__(self) -> str:
        return f"Keyring({', '.join(key.id for key in self)})"


def derive(secret: bytes, purpose: bytes) -> bytes:
    """Return a key of 32 bytes for one purpose: HKDF-SHA256 without a salt, https://www.rfc-editor.org/rfc/rfc5869."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, purpose + b"\x01", "sha256")


def _can_be_guessed(secret: bytes) -> bool:
    """Return whether these bytes are a text, a few bytes again and again, or a sequence such as 0, 1, 2."""
    steps = {(after - before) % 256 for before, after in pairwise(secret)}
    return min(len(set(secret)), len(steps)) < _FEWEST_DISTINCT or all(byte in _OF_TEXTS for byte in secret)


def _key(text: str) -> Key:
    key_id, colon, encoded = text.partition(":")
    try:
        secret = base64.b64decode(encoded, validate=True) if colon else None
    except (binascii.Error, ValueError):
        secret = None
    if secret is None:
        # Not even the id: whoever forgot it has a key in front of the first colon.
        raise ConfigurationError("a key is not of the form id:base64", _MAKE_ONE)
    return Key(key_id, secret)
