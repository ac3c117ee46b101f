"""Group commit: many waiting callers, one flush.

Callers that wait at the same time share one trip. There is no timer: a lone caller goes at once, and a batch is
whatever gathered while the one before it was on its way. This room knows nothing of what a flush does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

Call = TypeVar("Call")
Answer = TypeVar("Answer")


class _Waiting(NamedTuple, Generic[Call, Answer]):
    call: Call
    answer: asyncio.Future[Answer]
    deadline: float


class Batcher(Generic[Call, Answer]):
    """Gathers calls into batches and hands each caller its own answer.

    Batches leave one after the other, in the order of the calls. A task runs while calls wait, and none otherwise.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Call]], Awaitable[Sequence[Answer | Exception]]],
        fail: Callable[[Exception, Call], Exception],
        *,
        timeout: float,
        most: int,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            flush: Answers a batch, one answer or exception for each call, in order. What it raises fails all of them.
            fail: Makes a caller's own error of what a flush raised or answered, or of the ``TimeoutError`` of a call
                that waited too long.
            timeout: Seconds after which a caller is given up on, whatever its batch does.
            most: How many calls one batch may hold.
        """
        self._flush = flush
        self._fail = fail
        self._timeout = timeout
        self._most = most
        self._waiting: deque[_Waiting[Call, Answer]] = deque()
        self._flusher: asyncio.Task[None] | None = None
        # In order of their deadlines, since every call gets the same time: one timer serves them all.
        self._deadlines: deque[_Waiting[Call, Answer]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, call: Call) -> asyncio.Future[Answer]:
        """Queue a call; return the future of its answer.

        Cancelling the future does not take the call out of its batch, and no other caller notices.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        waiting = _Waiting(call, loop.create_future(), deadline)
        self._waiting.append(waiting)
        if self._flusher is None:
            self._flusher = loop.create_task(self._run(), name="jeeves-journal flush")
        self._deadlines.append(waiting)
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)
        return waiting.answer

    async def drain(self) -> None:
        """Wait until no call is queued or on its way; end a flush that no caller waits for any more."""
        while self._flusher is not None:
            _, unfinished = await asyncio.wait([self._flusher], timeout=self._timeout)
            for flusher in unfinished:
                # By now every caller has its answer, if only that the time is over.
                flusher.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._answer(batch)
                self._forget_answered()
        except asyncio.CancelledError:
            for waiting in self._waiting:
                waiting.answer.cancel()
            self._waiting.clear()
            raise
        finally:
            self._flusher = None

    def _take(self) -> list[_Waiting[Call, Answer]]:
        batch: list[_Waiting[Call, Answer]] = []
        now = asyncio.get_running_loop().time()
        while self._waiting and len(batch) < self._most:
            waiting = self._waiting.popleft()
            # A call whose time is over is not sent any more: its caller may have put another value since. One that was
            # cancelled is until then, since its work is done and recording it spares doing it again.
            if not waiting.answer.done() or (waiting.answer.cancelled() and waiting.deadline > now):
                batch.append(waiting)
        return batch

    async def _answer(self, batch: list[_Waiting[Call, Answer]]) -> None:
        try:
            answers = await self._flush([waiting.call for waiting in batch])
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.answer.cancel()
            raise
        except Exception as error:
            answers = [error] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(self._fail(answer, waiting.call))
            else:
                waiting.answer.set_result(answer)

    def _forget_answered(self) -> None:
        """Let go of what answered calls hold, which may be large."""
        while self._deadlines and self._deadlines[0].answer.done():
            self._deadlines.popleft()

    def _expire(self) -> None:
        """Give up on the callers whose time is over, and look again when the next one's is."""
        loop = asyncio.get_running_loop()
        self._timer = None
        self._forget_answered()
        while self._deadlines:
            waiting = self._deadlines[0]
            if waiting.deadline > loop.time():
                self._timer = loop.call_at(waiting.deadline, self._expire)
                break
            waiting.answer.set_exception(self._fail(TimeoutError(), waiting.call))
            self._forget_answered()
