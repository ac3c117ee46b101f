"""Which waiting calls leave together, and which have to wait.

Calls leave in the order in which they came, with two exceptions: a large one travels alone and does not hold up the
small ones behind it, and a call never leaves before an earlier one of its key has come back. This room knows nothing of
time, tasks or SQL.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, Protocol, TypeVar

LARGE_BYTES: Final = 1024 * 1024
"""Size in bytes over which a call travels alone."""

# Below this, a second trip costs more than it saves.
_FEWEST_PER_TRIP: Final = 8


class Queued(Protocol):
    """What is queued: something with a call inside."""

    @property
    def call(self) -> Any:
        """What the caller asks for."""
        ...


Item = TypeVar("Item", bound=Queued)


class Batch(list[Item]):
    """Calls that travel together.

    Attributes:
        is_large: Whether it is one call that travels alone.
    """

    is_large = False


class BatchQueue(Generic[Item]):
    """Holds calls from their arrival until their batch has come back."""

    def __init__(
        self,
        *,
        most: int,
        at_once: int = 1,
        large_beside: bool = False,
        key_of: Callable[[Any], Hashable] | None = None,
        size_of: Callable[[Any], int] | None = None,
        most_under_way: int = sys.maxsize,
        most_bytes_under_way: int = sys.maxsize,
    ) -> None:
        """Prepare an empty queue.

        Args:
            most: How many calls one batch may hold.
            at_once: How many batches may be on their way at once.
            large_beside: Whether one large call may be on its way besides.
            key_of: Calls of one key keep their order. Without it, no order is promised.
            size_of: A call's size in bytes. Without it, all are small.
            most_under_way: How many calls may be queued or on their way before the queue is full.
            most_bytes_under_way: How many bytes of them, likewise.
        """
        self._most = most
        self._at_once = at_once
        self._large_beside = large_beside
        self._key_of = key_of
        self._size_of = size_of
        self._most_under_way = most_under_way
        self._most_bytes_under_way = most_bytes_under_way
        self._small: deque[Item] = deque()
        self._large: deque[Item] = deque()
        # For each key that is queued or on its way: where its next call has to wait, and how many of it there are.
        self._places: dict[Hashable, tuple[deque[Item], int]] = {}
        self._keys_on_their_way: set[Hashable] = set()
        self._batches_on_their_way = 0
        self._large_is_on_its_way = False
        self._large_was_last = False
        self._under_way = 0
        self._bytes_under_way = 0

    @property
    def under_way(self) -> int:
        """How many calls are queued or on their way."""
        return self._under_way

    @property
    def is_full(self) -> bool:
        """Whether no further call should be added for now."""
        return self._under_way >= self._most_under_way or self._bytes_under_way >= self._most_bytes_under_way

    @property
    def may_leave(self) -> bool:
        """Whether there is room on the way for a batch of those that wait."""
        return bool(self._small and self._rooms_for_small()) or bool(self._large and self._room_for_large())

    def add(self, item: Item) -> None:
        """Queue a call."""
        size = self._size(item.call)
        self._under_way += 1
        self._bytes_under_way += size
        queue = self._large if size > LARGE_BYTES else self._small
        if self._key_of is not None:
            key = self._key_of(item.call)
            queue, count = self._places.get(key, (queue, 0))
            self._places[key] = queue, count + 1
        queue.append(item)

    def take(self) -> Batch[Item]:
        """Return the calls that leave now, in order; none if none may."""
        batch: Batch[Item] = Batch()
        # In turn, where the small ones have to wait for the large ones.
        if self._large and self._room_for_large() and not (self._large_was_last and self._small):
            self._fill(batch, self._large, 1)
            batch.is_large = bool(batch)
        rooms = self._rooms_for_small()
        if not batch and rooms:
            # Those that are free share what waits.
            share = max(-(-len(self._small) // rooms), _FEWEST_PER_TRIP)
            self._fill(batch, self._small, min(share, self._most))
        if batch:
            self._batches_on_their_way += 1
            self._large_is_on_its_way |= batch.is_large
            self._large_was_last = batch.is_large and not self._large_beside
            if self._key_of is not None:
                self._keys_on_their_way.update(self._key_of(item.call) for item in batch)
        return batch

    def landed(self, batch: Batch[Item]) -> None:
        """Note that a batch has come back, and let go of its calls."""
        self._batches_on_their_way -= 1
        if batch.is_large:
            self._large_is_on_its_way = False
        if self._key_of is not None:
            self._keys_on_their_way.difference_update(self._key_of(item.call) for item in batch)
        self._let_go(batch)

    def clear(self) -> list[Item]:
        """Return every call that is queued, and queue it no more."""
        dropped = [*self._small, *self._large]
        self._small.clear()
        self._large.clear()
        self._let_go(dropped)
        return dropped

    def _fill(self, batch: Batch[Item], queue: deque[Item], most: int) -> None:
        while queue and len(batch) < most:
            call = queue[0].call
            if self._key_of is not None and self._key_of(call) in self._keys_on_their_way:
                return
            is_large = self._size(call) > LARGE_BYTES
            if batch and is_large:
                return
            batch.append(queue.popleft())
            if is_large:
                return

    def _let_go(self, items: list[Item]) -> None:
        self._under_way -= len(items)
        if self._size_of is not None:
            self._bytes_under_way -= sum(self._size(item.call) for item in items)
        if self._key_of is not None:
            for item in items:
                key = self._key_of(item.call)
                queue, count = self._places.pop(key)
                if count > 1:
                    self._places[key] = queue, count - 1

    def _rooms_for_small(self) -> int:
        beside = self._large_beside and self._large_is_on_its_way
        return self._at_once - self._batches_on_their_way + beside

    def _room_for_large(self) -> bool:
        if self._large_is_on_its_way:
            return False
        return self._large_beside or self._batches_on_their_way < self._at_once

    def _size(self, call: Any) -> int:
        return 0 if self._size_of is None else self._size_of(call)
