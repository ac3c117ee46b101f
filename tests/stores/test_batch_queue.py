"""Which calls leave together: sizes, order by key, large ones apart, and bounds. No time passes and no task runs."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from jeeves_journal.stores.batch_queue import LARGE_BYTES, Batch, BatchQueue

LARGE = LARGE_BYTES + 1
NAMES = [f"step-{number}" for number in range(40)]


class Put(NamedTuple):
    key: str
    size: int = 1
    number: int = 0


class Item(NamedTuple):
    call: Any


def put_queue(*puts: Put, **settings: Any) -> BatchQueue[Item]:
    settings = {"most": 100, "key_of": lambda put: put.key, "size_of": lambda put: put.size, **settings}
    queue: BatchQueue[Item] = BatchQueue(**settings)
    for put in puts:
        queue.add(Item(put))
    return queue


def take(queue: BatchQueue[Item]) -> tuple[str, Batch[Item]]:
    batch = queue.take()
    return "".join(item.call.key for item in batch), batch


def test_calls_leave_together_in_the_order_in_which_they_came():
    queue = put_queue(Put("b"), Put("a"), Put("c"))
    assert queue.may_leave
    assert take(queue)[0] == "bac"
    assert take(queue)[0] == ""
    assert not queue.may_leave


def test_a_batch_holds_no_more_calls_than_it_may():
    queue = put_queue(*map(Put, "abcde"), most=2)
    first, batch = take(queue)
    assert first == "ab"
    queue.landed(batch)
    assert take(queue)[0] == "cd"


def test_calls_that_wait_are_shared_among_the_batches_that_may_leave():
    queue = put_queue(*map(Put, NAMES), at_once=2)
    assert [len(queue.take()) for _ in range(3)] == [20, 20, 0]


def test_of_batches_that_come_back_together_the_first_ones_callers_leave_together_again():
    queue = put_queue(*map(Put, NAMES), at_once=2)
    for batch in [queue.take(), queue.take()]:
        queue.landed(batch)
    for name in NAMES[:20]:
        queue.add(Item(Put(name)))
    assert len(queue.take()) == 20
    for name in NAMES[20:]:
        queue.add(Item(Put(name)))
    assert len(queue.take()) == 20


def test_callers_who_are_known_not_to_ask_again_are_not_expected():
    queue = put_queue(*map(Put, NAMES), at_once=2)
    for batch in [queue.take(), queue.take()]:
        queue.landed(batch)
    queue.expect_nobody()
    for name in NAMES[:20]:
        queue.add(Item(Put(name)))
    assert [len(queue.take()), len(queue.take())] == [10, 10]


def test_no_more_batches_are_on_their_way_than_may_be():
    queue = put_queue(*map(Put, "abcdef"), most=2, at_once=2)
    first = take(queue)
    assert (first[0], take(queue)[0]) == ("ab", "cd")
    assert not queue.may_leave
    assert take(queue)[0] == ""
    queue.landed(first[1])
    assert take(queue)[0] == "ef"


def test_those_that_may_leave_at_once_share_what_waits():
    queue = put_queue(*[Put(str(number)) for number in range(64)], at_once=2)
    assert [len(queue.take()), len(queue.take())] == [32, 32]


def test_few_calls_are_not_shared_out():
    queue = put_queue(*map(Put, "abcdef"), at_once=2)
    assert take(queue)[0] == "abcdef"


def test_where_calls_are_not_split_those_that_come_later_leave_beside_them():
    queue = put_queue(*[Put(str(number)) for number in range(64)], at_once=2, splits=False)
    assert len(queue.take()) == 64
    queue.add(Item(Put("later")))
    assert take(queue)[0] == "later"


def test_calls_of_one_key_share_a_batch_in_their_order():
    queue = put_queue(Put("a", number=1), Put("b"), Put("a", number=2))
    assert [item.call.number for item in queue.take()] == [1, 0, 2]


def test_a_call_does_not_leave_before_an_earlier_one_of_its_key_has_come_back():
    queue = put_queue(Put("a"), at_once=2)
    _, first = take(queue)
    queue.add(Item(Put("a")))
    queue.add(Item(Put("b")))
    assert take(queue)[0] == "", "and what came after it waits too"
    queue.landed(first)
    assert take(queue)[0] == "ab"


def test_a_large_call_travels_alone():
    queue = put_queue(Put("a"), Put("L", LARGE), Put("b"))
    trips = []
    while batch := queue.take():
        trips.append("".join(item.call.key for item in batch))
        queue.landed(batch)
    assert sorted(trips) == ["L", "ab"]


def test_a_value_of_just_the_bound_is_not_large():
    assert take(put_queue(Put("a", LARGE_BYTES), Put("b")))[0] == "ab"


def test_small_calls_overtake_a_large_one_that_is_on_its_way():
    queue = put_queue(Put("L", LARGE), Put("M", LARGE), at_once=2)
    assert take(queue)[0] == "L"
    queue.add(Item(Put("a")))
    assert queue.may_leave
    assert take(queue)[0] == "a"
    assert not queue.may_leave
    assert take(queue)[0] == "", "one large call is on its way at a time"


def test_large_calls_do_not_take_the_way_from_small_ones_where_there_is_only_one():
    queue = put_queue(*(Put(key, LARGE) for key in "LMN"))
    trips = ""
    for _ in range(6):
        queue.add(Item(Put("a")))
        key, batch = take(queue)
        trips += key[0]
        queue.landed(batch)
    assert trips == "LaMaNa"


def test_a_small_call_stays_behind_a_large_one_of_its_key():
    queue = put_queue(Put("a", LARGE), Put("a"), at_once=2)
    _, large = take(queue)
    assert take(queue)[0] == ""
    queue.landed(large)
    assert take(queue)[0] == "a"


def test_a_large_call_stays_behind_a_small_one_of_its_key():
    queue = put_queue(Put("a"), Put("a", LARGE), at_once=2)
    _, small = take(queue)
    assert (len(small), take(queue)[0]) == (1, "")
    queue.landed(small)
    (large,) = queue.take()
    assert large.call.size == LARGE


def test_the_queue_is_full_by_count_until_a_batch_has_come_back():
    queue = put_queue(Put("a"), Put("b"), most_under_way=2)
    assert queue.is_full
    _, batch = take(queue)
    assert queue.is_full, "what is on its way counts"
    queue.landed(batch)
    assert not queue.is_full


def test_the_queue_is_full_by_bytes_likewise():
    queue = put_queue(Put("a", 60), most_bytes_under_way=100)
    assert not queue.is_full
    queue.add(Item(Put("b", 40)))
    assert queue.is_full
    queue.landed(queue.take())
    assert not queue.is_full


def test_what_is_cleared_does_not_leave_and_does_not_count():
    queue = put_queue(Put("a"), Put("L", LARGE), most_under_way=2)
    assert {item.call.key for item in queue.clear()} == {"a", "L"}
    assert not queue.is_full
    assert not queue.may_leave
    queue.add(Item(Put("a")))
    assert take(queue)[0] == "a"


PUTS = st.builds(Put, st.sampled_from("abcd"), st.sampled_from([1, 1, 1, LARGE]))


@given(st.lists(st.one_of(PUTS, st.integers(0, 2), st.just("take"))), st.integers(1, 3))
def test_every_call_leaves_once_in_the_order_of_its_key_and_never_beside_another_of_it(
    moves: list[Put | int | str], at_once: int
):
    queue = put_queue(at_once=at_once, most=3)
    on_their_way: list[Batch[Item]] = []
    added: list[Put] = []
    left: list[Put] = []

    def leave() -> None:
        if batch := queue.take():
            keys = {item.call.key for item in batch}
            assert not any(item.call.key in keys for other in on_their_way for item in other)
            assert len(batch) == 1 or all(item.call.size == 1 for item in batch)
            on_their_way.append(batch)
            assert len(on_their_way) <= at_once + (at_once > 1)
            left.extend(item.call for item in batch)

    for move in moves:
        if isinstance(move, Put):
            added.append(move._replace(number=len(added)))
            queue.add(Item(added[-1]))
        elif move == "take":
            leave()
        elif move < len(on_their_way):
            queue.landed(on_their_way.pop(move))
    while len(left) < len(added) or on_their_way:
        leave()
        queue.landed(on_their_way.pop(0))
    assert sorted(left, key=lambda put: put.number) == added
    for key in "abcd":
        numbers = [put.number for put in left if put.key == key]
        assert numbers == sorted(numbers)
    assert not queue.may_leave
