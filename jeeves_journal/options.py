"""The options of the stores: what they are called, what they may hold, and how a URL spells them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypedDict, cast

from jeeves_journal.errors import ConfigurationError

# Both databases count in milliseconds and in 31 bits: beyond, SQLite waits for no lock at all, and Postgres refuses.
LONGEST_TIMEOUT: Final = 1_000_000

# SQLite refuses values and rows over 1,000,000,000 bytes (SQLITE_MAX_LENGTH), Postgres over 1 GiB.
LARGEST_VALUE_BYTES: Final = 999_000_000


class StoreOptions(TypedDict, total=False):
    """What may be passed to ``JournalStore.from_url`` and to the stores, as keywords or in a URL's query part.

    Every store takes the first three; the others mean something on Postgres only and are refused elsewhere.
    """

    timeout: float
    """Seconds that one call may take, 30 by default and at most 1,000,000."""
    max_value_bytes: int
    """Encoded size in bytes over which a value is refused, 256 MiB by default."""
    create_tables: bool
    """Whether first use creates or upgrades the tables. By default SQLite does and Postgres does not."""
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
    pool_size: int = 5
    max_overflow: int = 10
    schema: str | None = None
    pgbouncer: bool = False


COMMON_OPTIONS: Final = ("timeout", "max_value_bytes", "create_tables")
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


def _unusable(name: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"the value of option {name!r} cannot be used", f"pass {expected}")


_READERS: Final[Mapping[str, Callable[[str, object], object]]] = {
    "timeout": _seconds,
    "max_value_bytes": partial(_whole, least=1, most=LARGEST_VALUE_BYTES),
    "create_tables": _switch,
    "pool_size": partial(_whole, least=1, most=10_000),
    "max_overflow": partial(_whole, least=0, most=10_000),
    "schema": _schema,
    "pgbouncer": _switch,
}
