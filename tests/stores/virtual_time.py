"""An event loop whose clock moves only when everything waits for it: minutes pass at once, and always the same way."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0.0 s. When no callback is left to run, its clock jumps to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Move the clock forwards."""
        self._now += seconds


class _JumpingSelector(selectors.BaseSelector):
    """Never waits: where another selector would sleep, it moves its loop's clock."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._real.select(0)
        if not events:
            assert timeout is not None, "every task waits for another: nothing will ever happen"
            self._loop.jump(max(timeout, 0.0))
        return events

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


async def settle() -> None:
    """Let every task run until it waits; no time passes."""
    for _ in range(10):
        await asyncio.sleep(0)
