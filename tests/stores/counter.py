"""What a batcher's flushes go to in the tests: it holds each batch until it is told the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from jeeves_journal.stores.batch_queue import BatchQueue
from jeeves_journal.stores.batching import Batcher
from tests.stores.virtual_time import settle

TIMEOUT: Final = 10.0


class FailedCallError(Exception):
    """A caller's own error."""


class Counter:
    """What flushes go to: it holds each batch until it is told the answers."""

    def __init__(self, *, most: int = 100, **settings: Any) -> None:
        self.batches: list[list[Any]] = []
        self.pending: list[asyncio.Future[Any]] = []
        queue: BatchQueue[Any] = BatchQueue(most=most, **settings)
        self.batcher: Batcher[Any, Any] = Batcher(self.flush, self.fail, queue, timeout=TIMEOUT)
        self.submit = self.batcher.submit

    async def flush(self, calls: Sequence[Any]) -> Sequence[Any]:
        self.batches.append(list(calls))
        pending = asyncio.get_running_loop().create_future()
        self.pending.append(pending)
        return await pending

    def fail(self, error: Exception, call: Any) -> Exception:
        return FailedCallError(type(error), call)

    async def answer(self, answers: Sequence[Any] | None = None) -> None:
        """Answer the batch on its way, by default with its own calls, and let everyone notice."""
        self.pending[-1].set_result(self.batches[-1] if answers is None else answers)
        await settle()

    async def call(self, call: Any) -> Any:
        """Call as a store does: once there is room."""
        deadline = await self.batcher.room()
        return await self.submit(call, deadline)

    async def refuse(self, error: Exception) -> None:
        """Let the flush on its way raise."""
        self.pending[-1].set_exception(error)
        await settle()


def now() -> float:
    return asyncio.get_running_loop().time()
