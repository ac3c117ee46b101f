"""Time limits for many short calls, by one timer for all of them.

``asyncio.timeout_at`` sets a timer and takes it back each time, which takes as long as a fifth of a short read.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class TimeLimits:
    """Interrupts work whose time is over, within one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare; no timer is set before the first work begins."""
        self._loop = loop
        self._pending = set[_Limit]()
        self._timer: asyncio.Handle | None = None
        # Kept, since a handle of uvloop's does not tell it when it goes off at once.
        self._goes_off_at = 0.0

    def until(self, deadline: float) -> _Limit:
        """Return a context manager that raises ``TimeoutError`` where its body is not done by then, in the loop's time.

        The current task is cancelled for it, as ``asyncio.timeout_at`` does.
        """
        return _Limit(self, deadline)

    def begin(self, limit: _Limit) -> None:
        """Watch over a limit until it ends."""
        if self._timer is None or limit.deadline < self._goes_off_at:
            self._set(limit.deadline)
        self._pending.add(limit)

    def end(self, limit: _Limit) -> None:
        """Watch over a limit no more. The timer stays, since most often the next work begins before it goes off."""
        self._pending.discard(limit)

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, deadline: float) -> None:
        self.close()
        self._goes_off_at = deadline
        self._timer = self._loop.call_at(deadline, self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        now = self._loop.time()
        for limit in [each for each in self._pending if each.deadline <= now]:
            self._pending.discard(limit)
            limit.expire()
        if self._pending:
            self._set(min(limit.deadline for limit in self._pending))


class _Limit:
    """The limit of one piece of work."""

    __slots__ = ("_cancelling", "_has_expired", "_limits", "_task", "deadline")

    def __init__(self, limits: TimeLimits, deadline: float) -> None:
        self.deadline = deadline
        self._limits = limits
        self._has_expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("only the work of a task can be interrupted")
        self._task = task
        self._cancelling = task.cancelling()
        self._limits.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._limits.end(self)
        # Others may have cancelled it too, and have the last word.
        if self._has_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Interrupt the work."""
        self._has_expired = True
        self._task.cancel()
