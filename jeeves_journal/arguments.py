"""What the arguments of operating may be: ages, prefixes, counts. Checked before any I/O, and alike on every store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from jeeves_journal.errors import ConfigurationError

ORDERS: Final = ("id", "recent")


def check_age(name: str, age: object) -> float:
    """Return an age in seconds.

    Raises:
        ConfigurationError: It is no ``timedelta``, or below zero.
    """
    if not isinstance(age, timedelta) or age < timedelta():
        shown = age if isinstance(age, timedelta) else type(age).__name__
        raise ConfigurationError(f"{name} cannot be {shown}", "pass a datetime.timedelta that is not below zero")
    return age.total_seconds()


def check_prefix(name: str, prefix: object) -> str:
    """Return what ids may begin with; every id begins with an empty one.

    Raises:
        ConfigurationError: It is no text, or holds what no id holds.
    """
    if not isinstance(prefix, str) or "\0" in prefix or not _is_encodable(prefix):
        raise ConfigurationError(f"{name} cannot be used", "pass a str that session ids can begin with")
    return str.__str__(prefix)


def check_prefixes(name: str, prefixes: object) -> tuple[str, ...]:
    """Return prefixes as a tuple.

    Raises:
        ConfigurationError: One of them cannot be used, or it is one text, of which every character would be one.
    """
    if isinstance(prefixes, str | bytes) or not isinstance(prefixes, Iterable):
        raise ConfigurationError(f"{name} cannot be {type(prefixes).__name__}", "pass a list of prefixes")
    return tuple(check_prefix(name, prefix) for prefix in prefixes)


def check_count(name: str, count: object) -> int:
    """Return a count.

    Raises:
        ConfigurationError: It is no whole number of at least 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigurationError(f"{name} cannot be used", "pass a whole number of at least 1")
    return count


def check_order(order: object) -> str:
    """Return an order of sessions.

    Raises:
        ConfigurationError: It is none.
    """
    if order not in ORDERS:
        raise ConfigurationError("order cannot be used", f"pass one of {', '.join(map(repr, ORDERS))}")
    return str(order)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
