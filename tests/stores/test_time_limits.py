"""Time limits, by a model of time: the same as ``asyncio.timeout_at`` sets, at less cost."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import AbstractContextManager
from typing import Any

import pytest

from jeeves_journal.stores.time_limits import TimeLimits
from tests.stores.counter import now
from tests.stores.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
async def limits() -> TimeLimits:
    return TimeLimits(asyncio.get_running_loop())


async def work(limit: AbstractContextManager[None], seconds: float) -> float:
    """Return when the work was done, or interrupted."""
    try:
        with limit:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return -now()
    return now()


async def test_work_that_is_done_in_time_is_left_alone(limits: TimeLimits):
    assert await work(limits.until(2.0), 1.0) == 1.0
    await asyncio.sleep(5.0)


async def test_work_whose_time_is_over_is_interrupted(limits: TimeLimits):
    assert await work(limits.until(2.0), 9.0) == -2.0


async def test_work_that_begins_when_its_time_is_over_is_interrupted_at_once(limits: TimeLimits):
    await asyncio.sleep(3.0)
    assert await work(limits.until(2.0), 9.0) == -3.0


async def test_each_work_has_its_own_time_whatever_the_order_in_which_they_began(limits: TimeLimits):
    deadlines = (5.0, 2.0, 9.0, 3.0)
    done = await asyncio.gather(*(work(limits.until(deadline), 6.0) for deadline in deadlines))
    assert done == [-5.0, -2.0, 6.0, -3.0]


async def test_a_limit_that_was_not_needed_leaves_the_others_as_they_are(limits: TimeLimits):
    assert await asyncio.gather(work(limits.until(2.0), 1.0), work(limits.until(4.0), 9.0)) == [1.0, -4.0]


class LoopWithoutTimersForNow(VirtualTimeLoop):
    """Makes no timer for what is to be at once, as uvloop does."""

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        if when <= self.time():
            return self.call_soon(callback, *args, context=context)
        return super().call_at(when, callback, *args, context=context)


def test_a_loop_may_make_no_timer_for_what_is_to_be_at_once():
    async def begin_two() -> list[float]:
        limits = TimeLimits(asyncio.get_running_loop())
        return await asyncio.gather(work(limits.until(0.0), 1.0), work(limits.until(-1.0), 1.0))

    with asyncio.Runner(loop_factory=LoopWithoutTimersForNow) as runner:
        assert runner.run(begin_two()) == [-0.0, -0.0]


async def test_who_cancels_the_task_gets_a_cancellation(limits: TimeLimits):
    task = asyncio.create_task(work(limits.until(2.0), 9.0))
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_cancels_the_task_just_when_its_time_is_over_gets_a_cancellation(limits: TimeLimits):
    task = asyncio.create_task(work(limits.until(2.0), 9.0))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(2.0, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_limit_inside_another_interrupts_its_own_work_only(limits: TimeLimits):
    with limits.until(5.0):
        assert await work(limits.until(2.0), 9.0) == -2.0
        await asyncio.sleep(1.0)
    assert now() == 3.0


async def test_work_goes_on_after_it_was_interrupted(limits: TimeLimits):
    await work(limits.until(2.0), 9.0)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    await asyncio.sleep(1.0)
    assert now() == 3.0


async def test_errors_of_the_work_are_raised_as_they_are(limits: TimeLimits):
    with pytest.raises(ZeroDivisionError), limits.until(2.0):
        raise ZeroDivisionError


async def test_once_closed_they_are_held_by_nothing_not_even_by_a_timer():
    limits = TimeLimits(asyncio.get_running_loop())
    watched = weakref.ref(limits)
    await work(limits.until(2.0), 1.0)
    limits.close()
    del limits
    gc.collect()
    assert watched() is None
