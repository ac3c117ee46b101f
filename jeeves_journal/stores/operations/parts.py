"""Much of something, a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

MOST_NAMED: Final = 500
"""Keys in one statement. SQLite before 3.32 takes 999 parameters."""

T = TypeVar("T")


def in_parts(things: Iterable[T], size_of: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """Divide things into parts, each of at most so many and so many bytes, or of a single one that has more."""
    part, size = list[T](), 0
    for thing in things:
        more = size_of(thing)
        if part and (len(part) == most or size + more > most_bytes):
            yield part
            part, size = [], 0
        part.append(thing)
        size += more
    if part:
        yield part
