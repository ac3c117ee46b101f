"""What somebody may have meant who named a session or a step that is not recorded."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import takewhile
from typing import Final

from jeeves_journal.errors import NotRecordedError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.records import StepSummary

_MOST_NAMED: Final = 3
# Bounds the time that comparing takes, which grows with the square of a name's length.
_MOST_COMPARED: Final = 500
_LONGEST_COMPARED: Final = 100


async def recorded_steps(
    store: OperableJournalStore, session_id: str, step_name: str | None = None
) -> list[StepSummary]:
    """Return what a session recorded, and see that a step is among it.

    Raises:
        NotRecordedError: There is no such session or step. It names the nearest ones.
    """
    steps = await store.steps(session_id)
    if not steps:
        remedy = _proposal(session_id, await _similar_sessions(store, session_id), "the journal has no sessions")
        raise NotRecordedError("there is no such session", remedy, session_id)
    if step_name is not None and all(step.name != step_name for step in steps):
        remedy = _proposal(step_name, [step.name for step in steps], "")
        raise NotRecordedError("there is no such step", remedy, session_id, step_name)
    return steps


def nearest(name: str, others: Iterable[str]) -> list[str]:
    """Return the three names that are most like this one, the most like first."""
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(name[:_LONGEST_COMPARED])

    def likeness(other: str) -> float:
        matcher.set_seq1(other[:_LONGEST_COMPARED])
        return matcher.ratio()

    # Of very many, those that begin alike.
    compared = nlargest(_MOST_COMPARED, dict.fromkeys(others), key=lambda other: _common_start(name, other))
    return nlargest(_MOST_NAMED, compared, key=likeness)


def _common_start(name: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False)))


async def _similar_sessions(store: OperableJournalStore, session_id: str) -> list[str]:
    """Return sessions that begin so or alike, a bounded number of them, and the latest ones."""
    found = dict[str, None]()
    cut = 0
    while cut < len(session_id) and len(found) < _MOST_NAMED:
        page = await store.sessions(session_id[: len(session_id) - cut], limit=_MOST_COMPARED)
        found.update(dict.fromkeys(each.id for each in page))
        cut = cut * 2 or 1
    recent = await store.sessions(order="recent", limit=_MOST_COMPARED)
    return [*found, *(each.id for each in recent)]


def _proposal(name: str, others: list[str], otherwise: str) -> str:
    names = nearest(name, others)
    if not names:
        return otherwise
    return f"the nearest {'is' if len(names) == 1 else 'are'} {', '.join(map(repr, names))}"
