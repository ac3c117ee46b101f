"""The options of the stores: what they are called, what they may hold, and how a URL spells them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, cast

from jeeves_journal.errors import ConfigurationError

if TYPE_CHECKING:
    from jeeves_journal.codecs import CodecOrName, Keyring

# Both databases count in milliseconds and in 31 bits: beyond, SQLite waits for no lock at all, and Postgres refuses.
LONGEST_TIMEOUT: Final = 1_000_000

# SQLite refuses values and rows over 1,000,000,000 bytes (SQLITE_MAX_LENGTH), Postgres over 1 GiB.
LARGEST_VALUE_BYTES: Final = 999_000_000


class StoreOptions(TypedDict, total=False):
    """What may be passed to ``JournalStore.from_url`` and to the stores, as keywords or in a URL's query part.

    Objects, as ``keys`` has to be, are passed as keywords, and so is ``allow_unsealed``. The last four mean something
    on Postgres only and are refused elsewhere; every store takes the others.
    """

    timeout: float
    """Seconds that one call may take, 30 by default and at most 1,000,000."""
    max_value_bytes: int
    """Encoded size in bytes over which a value is refused, 256 MiB by default."""
    create_tables: bool
    """Whether first use creates or upgrades the tables. By default SQLite does and Postgres does not."""
    codec: CodecOrName
    """What makes bytes of values and values of bytes, pickle by default."""
    compress: Literal["zstd"] | None
    """Whether payloads are compressed where that makes them smaller; without it, compressed records are refused."""
    compress_over: int
    """Payloads of at most so many bytes are not compressed, 1,024 by default."""
    keys: Keyring | None
    """Seal every record, and open none without a seal."""
    seal: Literal["sign", "encrypt"]
    """What to seal with once there are keys: ``sign`` by default, ``encrypt`` so that only the keys read."""
    allow_unsealed: bool
    """Whether records without a seal are opened in spite of ``keys``, until ``reseal`` has sealed them."""
    pool_size: int
    """Connections that are kept open, 5 by default."""
    max_overflow: int
    """Connections that may be opened beyond ``pool_size`` for a while, 10 by default."""
    schema: str
    """The Postgres schema that holds the tables; by default the first of the connection's search path."""
    pgbouncer: bool
    """Whether a PgBouncer in transaction mode stands in between."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options that were read and checked; see ``StoreOptions`` for their meaning and units."""

    timeout: float = 30.0
    max_value_bytes: int = 256 * 1024 * 1024
    create_tables: bool | None = None
    codec: CodecOrName = "pickle"
    compress: Literal["zstd"] | None = None
    compress_over: int = 1024
    keys: Keyring | None = None
    seal: Literal["sign", "encrypt"] | None = None
    allow_unsealed: bool = False
    pool_size: int = 5
    max_overflow: int = 10
    schema: str | None = None
    pgbouncer: bool = False


CODEC_OPTIONS: Final = ("codec", "compress", "compress_over", "keys", "seal", "allow_unsealed")
COMMON_OPTIONS: Final = ("timeout", "max_value_bytes", "create_tables", *CODEC_OPTIONS)
POSTGRES_OPTIONS: Final = (*COMMON_OPTIONS, "pool_size", "max_overflow", "schema", "pgbouncer")


def read_settings(
    options: StoreOptions, query: Mapping[str, str] | None = None, *, accepted: Iterable[str] = COMMON_OPTIONS
) -> Settings:
    """Check options and merge them over those of a URL's query part.

    Args:
        options: What was passed as keywords. They win.
        query: What the URL held, as text.
        accepted: The names that mean something on this store.

    Raises:
        ConfigurationError: An option is unknown here, or its value cannot be used.
    """
    accepted = tuple(accepted)
    given: dict[str, object] = {**(query or {}), **cast("Mapping[str, object]", options)}
    for name in given:
        if name not in accepted:
            raise ConfigurationError(f"unknown option {name!r}", f"this store accepts {', '.join(accepted)}")
    if "allow_unsealed" in (query or {}):
        # A URL comes from the surroundings. What opens a sealed journal to everybody stands in the program.
        raise ConfigurationError("option 'allow_unsealed' cannot stand in a URL", "pass it as a keyword")
    read: dict[str, Any] = {name: _READERS[name](name, value) for name, value in given.items()}
    return Settings(**read)


def _seconds(name: str, value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    # A NaN fails both comparisons.
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise _unusable(name, f"a number of seconds greater than 0, at most {LONGEST_TIMEOUT:,}")
    return seconds


def _whole(name: str, value: object, least: int, most: int) -> int:
    try:
        number = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        raise _unusable(name, f"a whole number from {least:,} to {most:,}")
    return number


def _switch(name: str, value: object) -> bool:
    spelled = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    switch = spelled.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(switch, bool):
        raise _unusable(name, "true or false")
    return switch


def _schema(name: str, value: object) -> str:
    try:
        size = len(value.encode()) if isinstance(value, str) and "\0" not in value else 0
    except UnicodeEncodeError:
        size = 0
    # Postgres cuts identifiers at 63 bytes, in silence: a longer one would name another schema.
    if not isinstance(value, str) or not 1 <= size <= 63:
        raise _unusable(name, "a schema's name, at most 63 bytes")
    return value


def _one_of(name: str, value: object, words: tuple[str, ...]) -> object:
    if value is not None and value not in words:
        raise _unusable(name, " or ".join(map(repr, words)))
    return value


def read_codec(name: str, value: object) -> object:
    """Return the value of an option that names a codec or is one.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(value, str):
        return _one_of(name, value, ("pickle", "json"))
    if not (callable(getattr(value, "dumps", None)) and callable(getattr(value, "loads", None))):
        raise _unusable(name, "'pickle', 'json' or an object of the Codec protocol")
    codec_id = getattr(value, "id", None)
    if not isinstance(codec_id, str) or not (codec_id.isascii() and codec_id.isprintable() and 1 <= len(codec_id) <= 8):
        raise _unusable(name, "a codec whose id has one to eight printable ASCII characters")
    return value


def _unusable(name: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"the value of option {name!r} cannot be used", f"pass {expected}")


_READERS: Final[Mapping[str, Callable[[str, object], object]]] = {
    "timeout": _seconds,
    "max_value_bytes": partial(_whole, least=1, most=LARGEST_VALUE_BYTES),
    "create_tables": _switch,
    "codec": read_codec,
    "compress": partial(_one_of, words=("zstd",)),
    "compress_over": partial(_whole, least=0, most=LARGEST_VALUE_BYTES),
    # Looked at where the codec is made: to know a keyring, one has to load it.
    "keys": lambda _, value: value,
    "seal": partial(_one_of, words=("sign", "encrypt")),
    "allow_unsealed": _switch,
    "pool_size": partial(_whole, least=1, most=10_000),
    "max_overflow": partial(_whole, least=0, most=10_000),
    "schema": _schema,
    "pgbouncer": _switch,
}
