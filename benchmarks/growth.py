"""What a call costs in a journal that has grown, as a multiple of what it costs in a small one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from itertools import count
from statistics import median
from typing import Any, Final

from benchmarks.load import measure
from benchmarks.sides import VALUE
from jeeves_journal import JournalStore

SMALL: Final = 10_000
_STEPS: Final = 100
_FILLERS: Final = 256

_runs = count()


async def growth(
    fresh_url: Callable[[], AbstractContextManager[str]], rows: int, *, rounds: int, seconds: float
) -> dict[str, float]:
    """Return for each call how many times as long it takes among ``rows`` rows as among 10,000.

    Args:
        fresh_url: Makes a database and yields its URL.
        rows: How many steps the large journal holds.
        rounds: How often each is measured; the median counts.
        seconds: How long each measurement takes.
    """
    async with _filled(fresh_url, SMALL) as small, _filled(fresh_url, rows) as large:
        ratios: dict[str, list[float]] = {}
        for _ in range(rounds):
            for call, callers in (("put_step", 1), ("put_step", 64), ("get_step", 1), ("get_step", 64)):
                costs = [
                    (await measure(_calls(store, call, size), callers, seconds)).per_call
                    for store, size in ((small, SMALL), (large, rows))
                ]
                ratios.setdefault(f"{call}, {callers} callers", []).append(costs[1] / costs[0])
        return {name: median(measured) for name, measured in ratios.items()}


def _calls(store: Any, call: str, rows: int) -> Callable[[int, int], Any]:
    if call == "get_step":
        return lambda caller, number: store.get_step(*_key(random.randrange(rows)))
    run = next(_runs)
    return lambda caller, number: store.put_step(f"new-{run}-{caller}", f"step-{number}", VALUE)


def _key(row: int) -> tuple[str, str]:
    return f"session-{row // _STEPS}", f"step-{row % _STEPS}"


@asynccontextmanager
async def _filled(fresh_url: Callable[[], AbstractContextManager[str]], rows: int) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(fresh_url())
        store = await stack.enter_async_context(JournalStore.from_url(url))
        await store.init_schema()

        async def fill(first: int) -> None:
            for row in range(first, rows, _FILLERS):
                await store.put_step(*_key(row), VALUE)

        await asyncio.gather(*map(fill, range(_FILLERS)))
        yield store
