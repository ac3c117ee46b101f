"""Group commit, by a model of time: what a batch holds, who gets which answer, and who is given up on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.stores.counter import TIMEOUT, Counter, FailedCallError, now
from tests.stores.virtual_time import VirtualTimeLoop, settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


async def test_a_lone_caller_goes_at_once():
    counter = Counter()
    counter.submit("a")
    await settle()
    assert (counter.batches, now()) == ([["a"]], 0.0)
    await counter.answer()


async def test_callers_that_come_together_share_a_batch():
    counter = Counter()
    answers = [counter.submit(call) for call in "abc"]
    await settle()
    await counter.answer("ABC")
    assert counter.batches == [["a", "b", "c"]]
    assert [await answer for answer in answers] == ["A", "B", "C"]


async def test_callers_that_come_during_a_flush_form_the_next_batch():
    counter = Counter()
    counter.submit("a")
    await settle()
    for call in "bcd":
        counter.submit(call)
        await settle()
    assert counter.batches == [["a"]], "one batch is on its way at a time"
    await counter.answer()
    assert counter.batches == [["a"], ["b", "c", "d"]]
    await counter.answer()


async def test_what_answered_callers_ask_next_leaves_in_the_turn_of_the_loop_in_which_they_ask():
    counter = Counter()
    batches_a_turn_later: list[int] = []

    async def call_twice(name: str) -> None:
        await counter.submit(f"{name}1")
        asyncio.get_running_loop().call_soon(lambda: batches_a_turn_later.append(len(counter.batches)))
        await counter.submit(f"{name}2")

    callers = asyncio.gather(call_twice("a"), call_twice("b"))
    await settle()
    await counter.answer()
    assert counter.batches == [["a1", "b1"], ["a2", "b2"]]
    assert batches_a_turn_later == [2, 2]
    await counter.answer()
    await callers


@pytest.mark.parametrize("asks_again", [True, False])
async def test_batches_that_come_back_together_are_of_one_size_also_the_next_time(asks_again: bool):
    counter = Counter(at_once=2)

    async def call_twice(name: int) -> None:
        await counter.submit(name)
        if asks_again:
            await counter.submit(name)

    callers = asyncio.gather(*map(call_twice, range(40)))
    await settle()
    for pending, batch in zip(counter.pending, counter.batches, strict=True):
        pending.set_result(batch)
    await settle()
    if not asks_again:
        callers = asyncio.gather(callers, *map(counter.submit, range(40)))
        await settle()
    assert [len(batch) for batch in counter.batches] == [20, 20, 20, 20]
    for pending, batch in zip(counter.pending[2:], counter.batches[2:], strict=True):
        pending.set_result(batch)
    await callers


async def test_a_batch_holds_no_more_calls_than_it_may_and_keeps_their_order():
    counter = Counter(most=3)
    answers = [counter.submit(call) for call in range(7)]
    await settle()
    for _ in range(3):
        await counter.answer()
    assert counter.batches == [[0, 1, 2], [3, 4, 5], [6]]
    assert [await answer for answer in answers] == list(range(7))


async def test_an_answer_that_is_an_exception_fails_its_own_caller_only():
    counter = Counter()
    good, bad, also_good = (counter.submit(call) for call in "abc")
    await settle()
    await counter.answer(["A", KeyError("b"), "C"])
    assert (await good, await also_good) == ("A", "C")
    with pytest.raises(FailedCallError) as failed:
        await bad
    assert failed.value.args == (KeyError, "b")


async def test_a_flush_that_raises_fails_each_caller_with_an_error_object_of_its_own():
    counter = Counter()
    answers = [counter.submit(call) for call in "abc"]
    await settle()
    await counter.refuse(OSError("gone"))
    errors = [answer.exception() for answer in answers]
    assert [error.args for error in errors if error] == [(OSError, "a"), (OSError, "b"), (OSError, "c")]
    assert len({id(error) for error in errors}) == 3


async def test_a_flush_that_raises_does_not_touch_the_batch_after_it():
    counter = Counter()
    failing = counter.submit("a")
    await settle()
    waiting = counter.submit("b")
    await counter.refuse(OSError("gone"))
    await counter.answer()
    assert await waiting == "b"
    assert failing.exception()


async def test_a_caller_cancelled_in_the_queue_is_still_sent_and_no_other_caller_notices():
    counter = Counter()
    counter.submit("a")
    await settle()
    cancelled, other = counter.submit("b"), counter.submit("c")
    cancelled.cancel()
    await counter.answer()
    await counter.answer()
    assert counter.batches[1] == ["b", "c"], "its work is done: recording it spares doing it again"
    assert await other == "c"


@pytest.mark.parametrize("answers", [["A", "B"], [OSError(), "B"]], ids=["answered", "failed"])
async def test_a_caller_cancelled_on_the_way_disturbs_no_other(answers: list[Any]):
    counter = Counter()
    cancelled, other = counter.submit("a"), counter.submit("b")
    await settle()
    cancelled.cancel()
    await counter.answer(answers)
    assert await other == "B"
    assert cancelled.cancelled()


async def test_a_call_on_its_way_is_given_up_on_when_its_time_is_over():
    counter = Counter()
    with pytest.raises(FailedCallError) as failed:
        await counter.submit("a")
    assert (failed.value.args, now()) == ((TimeoutError, "a"), TIMEOUT)
    await counter.answer()


async def test_a_queued_call_is_given_up_on_when_its_time_is_over():
    counter = Counter()
    counter.submit("a").cancel()
    await settle()
    with pytest.raises(FailedCallError) as failed:
        await counter.submit("b")
    assert (failed.value.args, now()) == ((TimeoutError, "b"), TIMEOUT)
    await counter.answer()


async def test_a_call_that_was_given_up_on_is_never_sent_afterwards():
    counter = Counter()
    stuck, queued = counter.submit("a"), None
    await settle()
    queued = counter.submit("old")
    await asyncio.wait([stuck, queued])
    newer = counter.submit("new")
    await counter.answer()
    await counter.answer()
    assert counter.batches == [["a"], ["new"]], "its caller may have put something newer since"
    assert await newer == "new"
    assert stuck.exception()
    assert queued.exception()


async def test_each_call_gets_its_time_from_the_moment_it_was_made():
    counter = Counter()
    ends: dict[str, float] = {}
    answers = []
    for call in "abc":
        answer = counter.submit(call)
        answer.add_done_callback(lambda done, call=call: ends.setdefault(call, now()) and done.exception())
        answers.append(answer)
        await asyncio.sleep(3)
    await asyncio.wait(answers)
    assert ends == {"a": TIMEOUT, "b": 3 + TIMEOUT, "c": 6 + TIMEOUT}
    await counter.answer()


async def test_calls_answered_in_time_are_not_failed_later():
    counter = Counter()
    answers = []
    for call in range(5):
        answers.append(counter.submit(call))
        await settle()
        await counter.answer()
        await asyncio.sleep(TIMEOUT / 2)
    await asyncio.sleep(3 * TIMEOUT)
    assert [await answer for answer in answers] == list(range(5))


async def test_an_answer_that_comes_too_late_is_dropped_and_the_next_call_goes_on():
    counter = Counter()
    late = counter.submit("a")
    await asyncio.wait([late])
    await counter.answer()
    following = counter.submit("b")
    await settle()
    await counter.answer()
    assert await following == "b"
    assert isinstance(late.exception(), FailedCallError)
