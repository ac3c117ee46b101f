"""Names, times, sizes and spans of time, as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

_SPANS: Final = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def shown(text: str) -> str:
    """Return a text that commands no terminal, and stays in its line: what cannot be printed is escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def in_one_line(text: str) -> str:
    """Return a message as one line that can be printed."""
    return shown(" ".join(text.split()))


def moment(seconds: float) -> str:
    """Return a time, given in seconds since the epoch, as ISO 8601 in UTC, to the microsecond."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        # No time at all, which a damaged row may hold.
        return str(seconds)


def clock(seconds: float) -> str:
    """Return a time in UTC, to the second."""
    text = moment(seconds)
    return text[:19].replace("T", " ") if text.endswith("Z") else text


def size(count: int) -> str:
    """Return a number of bytes in a unit that suits it."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(amount) < 999.5 or unit == "TB":
            break
        amount /= 1000
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


def span(seconds: float) -> str:
    """Return a span of time in one or two units that suit it."""
    if not math.isfinite(seconds):
        return "?"
    if not seconds:
        return "0 s"
    if abs(seconds) < 60:
        return f"{seconds * 1000:.1f} ms" if abs(seconds) < 1 else f"{seconds:.1f} s"
    rounded = round(seconds)
    length, unit, smaller_length, smaller = next(each for each in _SPANS if abs(rounded) >= each[0])
    return f"{rounded // length:,} {unit} {rounded % length // smaller_length} {smaller}"


def count(number: int, noun: str) -> str:
    """Return how many of something there are."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
