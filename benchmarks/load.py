"""Callers in a closed loop: each awaits its call before it makes the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

Call: TypeAlias = Callable[[int, int], Awaitable[object]]
"""Makes one call, given the caller's number and the number of its call."""


@dataclass(frozen=True)
class Load:
    """What callers measured.

    Attributes:
        per_call: Seconds that passed, divided by the calls that were answered meanwhile.
        median: Seconds from a call to its answer, the median.
        p99: The same, the 99th percentile.
    """

    per_call: float
    median: float
    p99: float

    @classmethod
    def of(cls, elapsed: float, latencies: list[float]) -> Load:
        """Return the figures of calls that took this long, in seconds."""
        latencies.sort()
        count = len(latencies)
        return cls(elapsed / count, latencies[count // 2], latencies[min(int(count * 0.99), count - 1)])


async def measure(call: Call, callers: int, seconds: float) -> Load:
    """Let callers call for some seconds."""
    latencies: list[float] = []

    async def work(caller: int) -> None:
        number = 0
        before = perf_counter()
        while before < end:
            await call(caller, number)
            number += 1
            now = perf_counter()
            latencies.append(now - before)
            before = now

    start = perf_counter()
    end = start + seconds
    await asyncio.gather(*(work(caller) for caller in range(callers)))
    return Load.of(perf_counter() - start, latencies)
