"""How much to do at once, by how long it took before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

# What a record takes beside its bytes, expressed in them: about a page of SQLite's.
_RECORD_BYTES: Final = 4096
# What is done first, in records without bytes. Even a slow machine takes no 100 ms for it.
_FIRST: Final = 250.0


class Sized(Protocol):
    """What takes its time."""

    @property
    def records(self) -> int:
        """How many records it is."""
        ...

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        ...


S = TypeVar("S", bound=Sized)


class Pace:
    """Finds out how much can be done in a given time."""

    def __init__(self, seconds: float, most: int) -> None:
        """Prepare.

        Args:
            seconds: What one part should take.
            most: How many records it may hold.
        """
        self._seconds = seconds
        self._most = most
        self._weight = _FIRST

    def fitting(self, things: Iterable[S]) -> Iterator[S]:
        """Yield the first of these that can be done together, none where the very first is too much."""
        weight, records = 0.0, 0
        for thing in things:
            weight += _weight(thing)
            records += thing.records
            if weight > self._weight or records > self._most:
                return
            yield thing

    def took(self, seconds: float, done: Iterable[Sized]) -> None:
        """Learn from a part that was done."""
        weight = sum(map(_weight, done))
        if seconds > self._seconds:
            self._weight = max(weight * self._seconds / seconds, 1.0)
        elif weight > self._weight / 2:
            # What was much less tells more of the commit than of the work.
            self._weight *= min(self._seconds / max(seconds, 1e-6), 2.0)


def _weight(thing: Sized) -> float:
    return thing.records + thing.bytes / _RECORD_BYTES
