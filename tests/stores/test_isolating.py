"""One call of a batch that is at fault: the others are answered, and it alone has its error."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jeeves_journal.stores.isolating import isolated

pytestmark = pytest.mark.anyio


class Answers:
    """Answers with each call's length, and refuses batches that an empty call is in."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def __call__(self, calls: Sequence[str]) -> list[int]:
        self.batches.append(list(calls))
        if "" in calls:
            raise ValueError("an empty call")
        return list(map(len, calls))


def belongs_to_one(error: Exception) -> bool:
    return False


def belongs_to_all(error: Exception) -> bool:
    return True


async def test_calls_without_a_fault_are_answered_together():
    answers = Answers()
    assert await isolated(["a", "bb"], answers, belongs_to_one) == [1, 2]
    assert answers.batches == [["a", "bb"]]


async def test_a_call_at_fault_has_its_error_and_the_others_their_answers():
    first, refused, last = await isolated(["a", "", "bb"], Answers(), belongs_to_one)
    assert (first, type(refused), last) == (1, ValueError, 2)


async def test_an_error_that_all_calls_would_have_is_raised_at_once():
    answers = Answers()
    with pytest.raises(ValueError, match="an empty call"):
        await isolated(["a", ""], answers, belongs_to_all)
    assert answers.batches == [["a", ""]]


async def test_the_only_call_of_a_batch_is_not_tried_again():
    answers = Answers()
    with pytest.raises(ValueError, match="an empty call"):
        await isolated([""], answers, belongs_to_one)
    assert answers.batches == [[""]]
