"""Group commit, by a model of time: several batches at once, and callers beyond what the queue takes."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from tests.stores.counter import TIMEOUT, Counter, now
from tests.stores.virtual_time import VirtualTimeLoop, settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Payload:
    """What can be watched going."""


def start(counter: Counter, calls: str) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(counter.call(call)) for call in calls]


async def test_two_batches_are_on_their_way_at_once_where_two_may_be():
    counter = Counter(most=2, at_once=2)
    callers = start(counter, "abcde")
    await settle()
    assert counter.batches == [["a", "b"], ["c", "d"]]
    counter.pending[0].set_result("AB")
    await settle()
    assert counter.batches == [["a", "b"], ["c", "d"], ["e"]], "the one that came back is followed at once"
    counter.pending[1].set_result("CD")
    await counter.answer("E")
    assert await asyncio.gather(*callers) == list("ABCDE")


async def test_a_batch_that_fails_leaves_the_one_beside_it_alone():
    counter = Counter(most=1, at_once=2)
    bad, good = start(counter, "ab")
    await settle()
    counter.pending[0].set_exception(OSError("gone"))
    await counter.answer("B")
    assert await good == "B"
    assert bad.exception()


async def test_callers_beyond_the_bound_wait_until_a_batch_has_come_back_and_keep_their_order():
    counter = Counter(most_under_way=2)
    callers = start(counter, "abcde")
    await settle()
    assert counter.batches == [["a", "b"]]
    while not all(caller.done() for caller in callers):
        await counter.answer()
    assert "".join(call for batch in counter.batches for call in batch) == "abcde"
    assert await asyncio.gather(*callers) == list("abcde")


async def test_a_newcomer_does_not_overtake_a_caller_that_is_kept_out():
    counter = Counter(most_under_way=1)
    callers = start(counter, "ab")
    await settle()
    counter.pending[0].set_result("A")
    callers += start(counter, "c")
    await settle()
    await counter.answer()
    await counter.answer()
    assert counter.batches == [["a"], ["b"], ["c"]]
    await asyncio.gather(*callers)


async def test_a_caller_that_is_kept_out_is_given_up_on_when_its_time_is_over():
    counter = Counter(most_under_way=1)
    counter.submit("a").cancel()
    await settle()
    with pytest.raises(TimeoutError):
        await counter.batcher.room()
    assert now() == TIMEOUT
    await counter.answer()


async def test_the_time_for_which_a_caller_was_kept_out_counts():
    counter = Counter(most_under_way=1)
    callers = start(counter, "ab")
    await asyncio.sleep(TIMEOUT - 1)
    await counter.answer()
    (failed,) = [await asyncio.gather(callers[1], return_exceptions=True)][0]
    assert (type(failed).__name__, now()) == ("FailedCallError", TIMEOUT)
    await counter.answer()


@pytest.mark.parametrize("turns", range(8))
async def test_a_caller_that_is_cancelled_before_or_after_it_is_let_in_holds_up_nobody(turns: int):
    counter = Counter(most_under_way=1)
    first, cancelled, last = start(counter, "abc")
    await settle()
    counter.pending[0].set_result("a")
    for _ in range(turns):
        await asyncio.sleep(0)
    cancelled.cancel()
    await settle()
    while not last.done():
        await counter.answer()
    assert (await first, await last) == ("a", "c")
    assert cancelled.cancelled()
    assert now() == 0.0


async def test_a_caller_that_was_let_in_and_calls_nothing_holds_up_nobody():
    counter = Counter(most_under_way=1)
    first = asyncio.create_task(counter.call("a"))
    await settle()
    without_call = asyncio.create_task(counter.batcher.room())
    (last,) = start(counter, "c")
    await settle()
    await counter.answer()
    await counter.answer()
    await asyncio.gather(first, without_call, last)
    assert counter.batches == [["a"], ["c"]]


async def test_drain_waits_for_callers_that_are_kept_out():
    counter = Counter(most_under_way=1)
    callers = start(counter, "abc")
    await settle()
    draining = asyncio.create_task(counter.batcher.drain())
    for _ in range(2):
        await counter.answer()
        assert not draining.done()
    await counter.answer()
    assert draining.done()
    assert await asyncio.gather(*callers) == list("abc")


async def test_a_flush_that_is_cancelled_before_it_ran_cancels_its_callers_and_others_can_follow():
    counter = Counter()
    before = asyncio.all_tasks()
    answer = counter.submit("a")
    (flush,) = asyncio.all_tasks() - before
    flush.cancel()
    await settle()
    assert answer.cancelled()
    await counter.batcher.drain()
    following = counter.submit("b")
    await settle()
    await counter.answer()
    assert await following == "b"


async def test_answered_calls_are_not_held_behind_one_that_takes_long():
    counter = Counter(most=1, at_once=2)
    counter.submit("slow")
    await settle()
    alive: weakref.WeakSet[Payload] = weakref.WeakSet()
    for _ in range(500):
        alive.add(payload := Payload())
        counter.submit(payload)
        del payload
        await settle()
        await counter.answer()
        del counter.batches[1:], counter.pending[1:]
    gc.collect()
    assert len(alive) < 100
    counter.pending[0].set_result(["S"])
    await settle()
