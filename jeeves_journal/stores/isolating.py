"""One call that is at fault takes none of its batch with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Call = TypeVar("Call")
Answer = TypeVar("Answer")


async def isolated(
    calls: Sequence[Call],
    answer: Callable[[Sequence[Call]], Awaitable[Sequence[Answer]]],
    is_shared: Callable[[Exception], bool],
) -> Sequence[Answer | Exception]:
    """Return the answers to a batch's calls: together, or where that fails, to each alone its answer or its error.

    Args:
        calls: The batch.
        answer: Answers calls together, or raises.
        is_shared: Whether an error is none of a single call, so that each alone would fail likewise.

    Raises:
        Exception: What ``answer`` raised, if it is shared, or the batch's only call's.
    """
    try:
        return await answer(calls)
    except Exception as error:
        if len(calls) == 1 or is_shared(error):
            raise
    answers = list[Answer | Exception]()
    for call in calls:
        try:
            answers += await answer([call])
        except Exception as error:
            answers.append(error)
    return answers
