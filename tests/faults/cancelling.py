"""Ways to be cancelled that asyncio and AnyIO have: each makes a call, and returns whether it was cancelled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

MEAN_TURNS: Final = 30
"""Of the event loop, before a call is cancelled; about as many as one takes."""
MEAN_SECONDS: Final = 0.01

Work = Callable[[], Awaitable[Any]]
Way = Callable[[Work, random.Random], Awaitable[bool]]


async def by_task(work: Work, chance: random.Random) -> bool:
    task = asyncio.ensure_future(_awaited(work))
    for _ in range(some_turns(chance)):
        await asyncio.sleep(0)
    # Whoever cancels may do so again before the first has taken effect.
    for _ in range(chance.choice([1, 1, 3])):
        task.cancel()
    await asyncio.wait([task])
    return _is_cancelled(task)


async def by_timeout(work: Work, chance: random.Random) -> bool:
    try:
        async with asyncio.timeout(chance.expovariate(1 / MEAN_SECONDS)):
            await work()
    except TimeoutError:
        return True
    return False


async def by_scope(work: Work, chance: random.Random) -> bool:
    with anyio.move_on_after(chance.expovariate(1 / MEAN_SECONDS)) as scope:
        await work()
    return scope.cancelled_caught


async def by_level(work: Work, chance: random.Random) -> bool:
    """In a group that is cancelled: every await in it is cancelled again, turn after turn."""
    was_cancelled = False

    async def run() -> None:
        nonlocal was_cancelled
        try:
            await work()
        except asyncio.CancelledError:
            was_cancelled = True
            # As a cleanup that goes on using the store does; it is cancelled, too.
            await work()
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(some_turns(chance)):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return was_cancelled


async def before_it_starts(work: Work, chance: random.Random) -> bool:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await work()
    return scope.cancelled_caught


async def undisturbed(work: Work, chance: random.Random) -> bool:
    await work()
    return False


WAYS: Final[list[Way]] = [undisturbed, by_task, by_timeout, by_scope, by_level, before_it_starts]


def some_turns(chance: random.Random) -> int:
    return int(chance.expovariate(1 / MEAN_TURNS))


async def _awaited(work: Work) -> None:
    await work()


def _is_cancelled(task: asyncio.Task[None]) -> bool:
    if task.cancelled():
        return True
    error = task.exception()
    if error is not None:
        raise error
    return False
