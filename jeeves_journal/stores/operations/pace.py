"""How much to do at once, by how long it took before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from math import inf
from typing import Final, Protocol, TypeVar

# What a record takes beside its bytes, expressed in them: about a page of SQLite's.
_RECORD_BYTES: Final = 4096
# What is done first and always, in records without bytes: so few that what they take is mostly overhead.
_LEAST: Final = 32.0


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
    """Finds out how much can be done in a given time, beside what a part takes however little it does."""

    def __init__(self, seconds: float, most: int) -> None:
        """Prepare.

        Args:
            seconds: What the work of one part should take.
            most: How many records it may hold.
        """
        self._seconds = seconds
        self._most = most
        self._weight = _LEAST
        # What the quickest part took: a commit, and the way to the server and back.
        self._overhead = inf
        # Of the latest parts, in seconds for a record.
        self._paces = deque[float](maxlen=4)

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
        self._overhead = min(self._overhead, seconds)
        # What was much less tells more of the overhead than of the work.
        if weight > self._weight / 2:
            self._paces.append((seconds - self._overhead) / weight)
            # The second best: what a machine that has other things to do adds now and then is not the work's.
            pace = sorted(self._paces)[min(1, len(self._paces) - 1)]
            self._weight = max(min(self._seconds / max(pace, 1e-9), 2 * self._weight), _LEAST)


def _weight(thing: Sized) -> float:
    return thing.records + thing.bytes / _RECORD_BYTES
