"""Group commit, by a model of time: how it ends, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from tests.stores.counter import TIMEOUT, Counter, FailedCallError, now
from tests.stores.virtual_time import VirtualTimeLoop, settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Payload:
    """What can be watched going."""


async def test_drain_waits_for_what_is_on_its_way_and_for_what_is_queued():
    counter = Counter()
    first = counter.submit("a")
    await settle()
    second = counter.submit("b")
    draining = asyncio.ensure_future(counter.batcher.drain())
    await counter.answer()
    assert not draining.done()
    await counter.answer()
    assert draining.done()
    assert (await first, await second) == ("a", "b")


async def test_drain_has_nothing_to_wait_for_where_nothing_was_called():
    await Counter().batcher.drain()
    assert now() == 0.0


async def test_drain_may_run_twice_at_once():
    counter = Counter()
    counter.submit("a")
    draining = [asyncio.ensure_future(counter.batcher.drain()) for _ in range(2)]
    await settle()
    await counter.answer()
    assert all(done.done() for done in draining)


async def test_drain_outlasts_a_flush_that_raises():
    counter = Counter()
    failing = counter.submit("a")
    draining = asyncio.ensure_future(counter.batcher.drain())
    await settle()
    await counter.refuse(OSError("gone"))
    assert draining.done()
    assert isinstance(failing.exception(), FailedCallError)


async def test_no_task_runs_before_the_first_call_nor_after_the_last_answer():
    before = asyncio.all_tasks()
    counter = Counter()
    assert asyncio.all_tasks() == before
    for _ in range(3):
        counter.submit("a")
        await settle()
        assert len(asyncio.all_tasks()) == len(before) + 1
        await counter.answer()
        assert asyncio.all_tasks() == before


async def test_callers_are_cancelled_with_the_task_that_would_have_answered_them_and_others_can_follow():
    before = asyncio.all_tasks()
    counter = Counter()
    on_its_way = counter.submit("a")
    await settle()
    queued = counter.submit("b")
    (flusher,) = asyncio.all_tasks() - before
    flusher.cancel()  # as asyncio.run does at its end
    await settle()
    assert on_its_way.cancelled()
    assert queued.cancelled()
    following = counter.submit("c")
    await settle()
    await counter.answer()
    assert await following == "c"


@pytest.mark.parametrize("answer_is_wanted", [True, False])
async def test_what_was_asked_since_the_last_answer_outlives_that_task_if_somebody_waits(answer_is_wanted: bool):
    before = asyncio.all_tasks()
    counter = Counter()
    answered = counter.submit("a")
    await settle()
    (flusher,) = asyncio.all_tasks() - before
    counter.pending[0].set_result(["a"])
    await answered
    asked = counter.submit("b")
    flusher.cancel()
    if not answer_is_wanted:
        asked.cancel()
    await settle()
    assert counter.batches[1:] == ([["b"]] if answer_is_wanted else [])
    following = counter.submit("c")
    await settle()
    while not following.done():
        await counter.answer()
    assert await following == "c"
    assert asked.cancelled() is not answer_is_wanted


async def test_it_is_idle_in_the_turn_of_the_loop_after_the_last_answer():
    counter = Counter()
    answered = counter.submit("a")
    await settle()
    counter.pending[0].set_result(["a"])
    await answered
    await asyncio.sleep(0)
    assert counter.batcher.is_idle


async def test_nothing_of_a_call_is_held_once_it_has_its_answer():
    counter = Counter()
    payload = Payload()
    watched = weakref.ref(payload)
    answer = counter.submit(payload)
    await settle()
    await counter.answer(["done"])
    assert await answer == "done"
    counter.batches.clear()
    counter.pending.clear()
    del payload, answer
    gc.collect()
    assert watched() is None


async def test_nothing_of_an_answered_batch_is_held_while_the_next_is_on_its_way():
    counter = Counter()
    payload = Payload()
    watched = weakref.ref(payload)
    counter.submit(payload)
    await settle()
    waiting = counter.submit("b")
    await counter.answer(["done"])
    del counter.batches[0], counter.pending[0], payload
    gc.collect()
    assert watched() is None
    await counter.answer()
    assert await waiting == "b"


async def test_nothing_of_a_call_is_held_once_it_was_given_up_on():
    counter = Counter()
    stuck = counter.submit("a")
    await settle()
    payload = Payload()
    watched = weakref.ref(payload)
    answer = counter.submit(payload)
    await asyncio.wait([stuck, answer])
    assert (stuck.exception(), now()) and answer.exception()
    await counter.answer()
    del payload, answer
    gc.collect()
    assert watched() is None


async def test_a_drained_batcher_is_held_by_nothing_not_even_by_a_timer():
    counter = Counter()
    watched = weakref.ref(counter.batcher)
    counter.submit("a")
    await settle()
    await counter.answer()
    await counter.batcher.drain()
    del counter
    gc.collect()
    assert watched() is None
    assert now() < TIMEOUT
