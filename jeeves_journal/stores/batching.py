"""Group commit: many waiting callers, one flush.

Callers that wait at the same time share one trip. There is no timer: a lone caller goes at once, and a batch is
whatever gathered while those before it were on their way. This room knows nothing of what a flush does.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Generic, TypeAlias, TypeVar, cast

from jeeves_journal.stores.batch_queue import Batch, BatchQueue

Call = TypeVar("Call")
Answer = TypeVar("Answer")


# A plain tuple: each call makes one, and to make a named one takes several times as long.
Waiting: TypeAlias = "tuple[Call, asyncio.Future[Answer], float]"
"""A call whose caller waits: the call, the future of its answer, its deadline."""


class Batcher(Generic[Call, Answer]):
    """Gathers calls into batches and hands each caller its own answer.

    A task runs for each batch that is on its way, and none otherwise.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Call]], Awaitable[Sequence[Answer | Exception]]],
        fail: Callable[[Exception, Call], Exception],
        queue: BatchQueue[Waiting[Call, Answer]],
        *,
        timeout: float,
    ) -> None:
        """Bind to the running event loop; nothing runs yet.

        Args:
            flush: Answers a batch, one answer or exception for each call, in order. What it raises fails all of them.
            fail: Makes a caller's own error of what a flush raised or answered, or of the ``TimeoutError`` of a call
                that waited too long.
            queue: Decides which calls leave together.
            timeout: Seconds after which a caller is given up on, whatever its batch does.
        """
        # Kept, since to ask for it costs each call a system call before Python 3.12.
        self._loop = asyncio.get_running_loop()
        self._flush = flush
        self._fail = fail
        self._queue = queue
        self._timeout = timeout
        self._flushes: set[asyncio.Task[None]] = set()
        self._is_starting = False
        # Callers that are kept out while the queue is full, and how many of them were let in and are about to submit.
        self._kept_out: deque[asyncio.Future[None]] = deque()
        self._let_in = 0
        # One for all calls, set to the earliest deadline.
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_room(self) -> bool:
        """Whether a call can be submitted without waiting for room."""
        return not (self._queue.is_full or self._kept_out or self._let_in)

    async def room(self) -> float:
        """Wait until the queue takes a call; return that call's deadline, in the event loop's time.

        Callers are let in as they came. The call is to be submitted before anything else is awaited.

        Raises:
            TimeoutError: The queue stayed full.
        """
        deadline = self._loop.time() + self._timeout
        if not self.has_room:
            await self._wait_for_room(deadline)
        return deadline

    def submit(self, call: Call, deadline: float | None = None) -> asyncio.Future[Answer]:
        """Queue a call; return the future of its answer.

        Cancelling the future does not take the call out of its batch, and no other caller notices.

        Args:
            call: What to ask for.
            deadline: When to give up on it, as ``room`` returned it; by default the whole timeout from now on.
        """
        loop = self._loop
        if deadline is None:
            deadline = loop.time() + self._timeout
        answer: asyncio.Future[Answer] = loop.create_future()
        self._queue.add((call, answer, deadline))
        if not self._is_starting and self._queue.may_leave:
            self._start()
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)
        return answer

    @property
    def is_idle(self) -> bool:
        """Whether no call is kept out, queued or on its way."""
        return not (self._flushes or self._kept_out or self._let_in)

    async def drain(self) -> None:
        """Wait until no call is queued or on its way; end a flush that no caller waits for any more."""
        while not self.is_idle:
            if not self._flushes:
                # Those that were let in are about to submit.
                await asyncio.sleep(0)
                continue
            _, unfinished = await asyncio.wait(self._flushes, timeout=self._timeout)
            for flush in unfinished:
                # By now every caller has its answer, if only that the time is over.
                flush.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _wait_for_room(self, deadline: float) -> None:
        ticket: asyncio.Future[None] = self._loop.create_future()
        self._kept_out.append(ticket)
        try:
            async with asyncio.timeout_at(deadline):
                await ticket
        finally:
            if ticket.done() and not ticket.cancelled():
                self._let_in -= 1
            # One at a time, since only the call itself tells how large it is: the next one once this one is queued.
            self._loop.call_soon(self._let_next_in)

    def _let_next_in(self) -> None:
        while self._kept_out and not self._let_in and not self._queue.is_full:
            ticket = self._kept_out.popleft()
            if not ticket.done():
                ticket.set_result(None)
                self._let_in += 1

    def _start(self) -> None:
        self._is_starting = True
        flush = self._loop.create_task(self._run(), name="jeeves-journal flush")
        self._flushes.add(flush)
        flush.add_done_callback(self._ended)

    async def _run(self) -> None:
        self._is_starting = False
        while batch := self._queue.take() or await self._next_batch():
            if self._queue.may_leave and not self._is_starting:
                self._start()
            try:
                await self._answer(batch)
            finally:
                self._queue.landed(batch)
            # What answered calls hold may be large.
            del batch
            self._let_next_in()
        if not self._is_starting:
            self._queue.expect_nobody()
        # Now, for whoever asks before the loop tells of the end.
        self._flushes.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _next_batch(self) -> Batch[Waiting[Call, Answer]]:
        """Return what those ask for next who were answered just now, or nothing.

        They run in this turn of the event loop. A new task for it would begin in the one after.
        """
        if self._is_starting:
            return Batch()
        self._is_starting = True
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._is_starting = False
            if all(answer.done() for _, answer, _ in self._queue.queued):
                raise
            # With all tasks, as an event loop does at its end: what they ask for in that turn gets a task of its own.
            self._start()
            return Batch()
        self._is_starting = False
        return self._queue.take()

    def _ended(self, flush: asyncio.Task[None]) -> None:
        self._flushes.discard(flush)
        if flush.cancelled():
            # Maybe before it ran at all, as the end of an event loop does with every task.
            self._is_starting = False
            for _, answer, _ in self._queue.clear():
                answer.cancel()
            self._let_next_in()

    async def _answer(self, batch: Batch[Waiting[Call, Answer]]) -> None:
        now = self._loop.time()
        # A call whose time is over is not sent any more: its caller may have put another value since. One that was
        # cancelled is until then, since its work is done and recording it spares doing it again.
        calls, answers = list[Call](), list["asyncio.Future[Answer]"]()
        for call, answer, deadline in batch:
            if not answer.done() or (answer.cancelled() and deadline > now):
                calls.append(call)
                answers.append(answer)
        if not calls:
            return
        try:
            results = await self._flush(calls)
        except asyncio.CancelledError:
            for answer in answers:
                answer.cancel()
            raise
        except Exception as error:
            results = [error] * len(calls)
        for call, answer, result in zip(calls, answers, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(self._fail(result, call))
            else:
                answer.set_result(result)

    def _expire(self) -> None:
        """Give up on the callers whose time is over, and look again when the next one's is."""
        self._timer = None
        now, earliest = self._loop.time(), math.inf
        for call, answer, deadline in chain(self._queue.queued, *self._queue.on_their_way):
            if answer.done():
                continue
            if deadline <= now:
                answer.set_exception(self._fail(TimeoutError(), call))
            else:
                earliest = min(earliest, deadline)
        if earliest < math.inf:
            self._timer = self._loop.call_at(earliest, self._expire)
