"""Which waiting calls leave together, and which have to wait.

Calls leave in the order in which they came, with two exceptions: a large one travels alone and does not hold up the
small ones behind it, and a call never leaves before an earlier one of its key has come back. This room knows nothing of
time, tasks or SQL.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from collections.abc import Set as AbstractSet
from itertools import chain, islice, takewhile
from typing import Any, Final, Generic, TypeVar

LARGE_BYTES: Final = 1024 * 1024
"""Size in bytes over which a call travels alone."""

# Below this, a second trip costs more than it saves.
_FEWEST_PER_TRIP: Final = 8


Item = TypeVar("Item", bound=tuple[Any, ...])
"""What is queued: a tuple whose first part is the call."""


class Batch(list[Item]):
    """Calls that travel together.

    Attributes:
        is_large: Whether it is one call that travels alone.
        keys: Its calls' keys, where their order matters.
    """

    is_large: bool = False
    keys: AbstractSet[Hashable] = frozenset()


class BatchQueue(Generic[Item]):
    """Holds calls from their arrival until their batch has come back."""

    def __init__(
        self,
        *,
        most: int,
        at_once: int = 1,
        splits: bool = True,
        key_of: Callable[[Any], Hashable] | None = None,
        size_of: Callable[[Any], int] | None = None,
        most_under_way: int = sys.maxsize,
        most_bytes_under_way: int = sys.maxsize,
    ) -> None:
        """Prepare an empty queue.

        Args:
            most: How many calls one batch may hold.
            at_once: How many batches may be on their way at once; if several, a large call may be so besides.
            splits: Whether calls that wait are split among several batches where these may leave.
            key_of: Calls of one key keep their order. Without it, no order is promised.
            size_of: A call's size in bytes. Without it, all are small.
            most_under_way: How many calls may be queued or on their way before the queue is full.
            most_bytes_under_way: How many bytes of them, likewise.
        """
        self._most = most
        self._at_once = at_once
        self._splits = splits
        self._large_beside = at_once > 1
        self._key_of = key_of
        self._size_of = size_of
        self._most_under_way = most_under_way
        self._most_bytes_under_way = most_bytes_under_way
        self._small: deque[Item] = deque()
        self._large: deque[Item] = deque()
        # Large ones among the small, behind a small one of their key.
        self._large_among_small = 0
        self._large_was_last = False
        self.on_their_way: list[Batch[Item]] = []
        """The batches that have left and not come back."""
        self._under_way = 0
        self._bytes_under_way = 0
        # Callers whose calls have come back, and who have not asked again since, but most often do.
        self._expected = 0

    @property
    def is_full(self) -> bool:
        """Whether no further call should be added for now."""
        return self._under_way >= self._most_under_way or self._bytes_under_way >= self._most_bytes_under_way

    @property
    def may_leave(self) -> bool:
        """Whether there is room on the way for a batch of those that wait."""
        return bool(self._small and self._rooms_for_small() > 0) or bool(self._large and self._room_for_large())

    @property
    def queued(self) -> Iterable[Item]:
        """The calls that have not left."""
        return chain(self._small, self._large)

    def add(self, item: Item) -> None:
        """Queue a call."""
        self._under_way += 1
        if self._expected:
            self._expected -= 1
        if self._size_of is None:
            self._small.append(item)
            return
        size = self._size_of(item[0])
        self._bytes_under_way += size
        if size > LARGE_BYTES:
            self._add_large(item)
        elif self._large and self._is_behind_large(item):
            self._large.append(item)
        else:
            self._small.append(item)

    def take(self) -> Batch[Item]:
        """Return the calls that leave now, in order; none if none may."""
        batch: Batch[Item] = Batch()
        if not (self._small or self._large):
            return batch
        # In turn, where the small ones have to wait for the large ones.
        if self._large and self._room_for_large() and not (self._large_was_last and self._small):
            batch = self._departing(self._large, 1)
            batch.is_large = bool(batch)
        rooms = self._rooms_for_small()
        if not batch and self._small and rooms > 0:
            batch = self._departing(self._small, min(self._share_of(rooms), self._most))
        if batch:
            self._expected = 0
            self.on_their_way.append(batch)
            self._large_was_last = batch.is_large and not self._large_beside
        return batch

    def landed(self, batch: Batch[Item]) -> None:
        """Note that a batch has come back, and let go of its calls."""
        self.on_their_way = [other for other in self.on_their_way if other is not batch]
        self._expected += len(batch)
        self._let_go(batch)

    def expect_nobody(self) -> None:
        """Note that of those whose calls have come back nobody asked again."""
        self._expected = 0

    def clear(self) -> list[Item]:
        """Return every call that is queued, and queue it no more."""
        dropped = [*self._small, *self._large]
        self._small.clear()
        self._large.clear()
        self._large_among_small = 0
        self._let_go(dropped)
        return dropped

    def _share_of(self, rooms: int) -> int:
        """Return how many of the calls that wait leave in the first of so many batches.

        Those count that are about to be made. Of batches that come back together, the first one's callers ask again
        before the second one's do, and if they had to share what is there, batches would be small and large by turns.
        """
        if not self._splits:
            return self._most
        return max(-(-(len(self._small) + self._expected) // rooms), _FEWEST_PER_TRIP)

    def _add_large(self, item: Item) -> None:
        key_of = self._key_of
        if key_of is not None:
            key = key_of(item[0])
            if any(key_of(other[0]) == key for other in self._small):
                self._large_among_small += 1
                self._small.append(item)
                return
        self._large.append(item)

    def _is_behind_large(self, item: Item) -> bool:
        key_of = self._key_of
        if key_of is None:
            return False
        key = key_of(item[0])
        return any(key_of(other[0]) == key for other in self._large)

    def _departing(self, queue: deque[Item], most: int) -> Batch[Item]:
        """Return the first of a queue that may leave together, up to so many."""
        count = min(len(queue), most)
        if self._large_among_small or queue is self._large:
            count = self._until_large(queue, count)
        batch = Batch(islice(queue, count))
        # Where there is one way only, nothing can overtake on it.
        if self._key_of is not None and self._at_once > 1:
            batch.keys = {self._key_of(item[0]) for item in batch}
            if any(not batch.keys.isdisjoint(other.keys) for other in self.on_their_way):
                self._cut_before_overtaking(batch, self._key_of)
        for _ in batch:
            queue.popleft()
        if self._large_among_small and queue is self._small:
            self._large_among_small -= sum(map(self._is_large, batch))
        return batch

    def _until_large(self, queue: deque[Item], most: int) -> int:
        """Return how many calls stand before the first large one, or 1 where that stands first."""
        for count, item in enumerate(islice(queue, most)):
            if self._is_large(item):
                return max(count, 1)
        return most

    def _cut_before_overtaking(self, batch: Batch[Item], key_of: Callable[[Any], Hashable]) -> None:
        """Leave behind the first call that has an earlier one of its key on its way, and all after it."""
        taken = set[Hashable]().union(*(other.keys for other in self.on_their_way))
        kept = list(takewhile(lambda item: key_of(item[0]) not in taken, batch))
        batch[:] = kept
        batch.keys = {key_of(item[0]) for item in kept}

    def _let_go(self, items: list[Item]) -> None:
        self._under_way -= len(items)
        if self._size_of is not None:
            self._bytes_under_way -= sum([self._size_of(item[0]) for item in items])

    def _rooms_for_small(self) -> int:
        if not self.on_their_way:
            return self._at_once
        beside = self._large_beside and self._large_is_on_its_way()
        return self._at_once - len(self.on_their_way) + beside

    def _large_is_on_its_way(self) -> bool:
        return any(batch.is_large for batch in self.on_their_way)

    def _room_for_large(self) -> bool:
        if self._large_is_on_its_way():
            return False
        return self._large_beside or len(self.on_their_way) < self._at_once

    def _is_large(self, item: Item) -> bool:
        return self._size_of is not None and self._size_of(item[0]) > LARGE_BYTES
