"""Locals are forgotten beneath a function of ours, and nowhere else."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from jeeves_journal import DecodeError, InMemoryJournalStore, JournaledRuntime
from jeeves_journal.tracebacks import without_locals
from tests.runtime.stores import Fickle

SECRET = "hunter2"


def fail(secret: str) -> None:
    raise KeyError("no secret")


@without_locals
def fail_with_a_cause(secret: str) -> None:
    copied = secret * 2
    try:
        fail(copied)
    except KeyError as error:
        raise ValueError from error


@without_locals
async def fail_in_a_group(secret: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(fail, secret))


def locals_of(error: BaseException) -> str:
    """Return the locals of all frames of an error and of those that led to it."""
    shown = []
    for each in (error, error.__cause__, *getattr(error, "exceptions", ())):
        if each is not None:
            shown += [repr(frame.f_locals) for frame, _ in traceback.walk_tb(each.__traceback__)]
    return "\n".join(shown)


@pytest.mark.parametrize(
    "call", [lambda: fail_with_a_cause(SECRET), lambda: asyncio.run(fail_in_a_group(SECRET))], ids=["cause", "group"]
)
def test_neither_an_error_nor_what_led_to_it_keeps_locals(call: Callable[[], Any]):
    with pytest.raises((ValueError, ExceptionGroup)) as failed:
        call()
    assert SECRET not in locals_of(failed.value)
    assert "fail" in "".join(traceback.format_exception(failed.value))


async def replay(store: InMemoryJournalStore, *steps: str) -> None:
    runtime = JournaledRuntime(store)
    async with runtime.session("run-1"):
        for step in steps:
            await runtime.step(step, asyncio.sleep, 0)


def test_the_error_of_a_replayed_step_keeps_nothing_of_its_record(monkeypatch: pytest.MonkeyPatch):
    store, gone = InMemoryJournalStore(), Fickle()
    gone.content = SECRET
    for step, value in {"first": 1, "gone": gone}.items():
        asyncio.run(store.put_step("run-1", step, value))
    monkeypatch.setattr(Fickle, "readable", False)
    with pytest.raises(DecodeError) as failed:
        asyncio.run(replay(store, "first", "gone"))
    assert SECRET not in locals_of(failed.value)


def test_what_the_caller_was_handling_stays_as_it_is():
    def callers_own(kept: str) -> None:
        raise LookupError(kept)

    with pytest.raises(ValueError) as failed:
        try:
            callers_own("of the caller")
        except LookupError:
            fail_with_a_cause(SECRET)
    handled = failed.value.__cause__.__context__  # type: ignore[union-attr]
    assert isinstance(handled, LookupError)
    assert "of the caller" in repr([frame.f_locals for frame, _ in traceback.walk_tb(handled.__traceback__)])


def test_names_and_signatures_are_kept():
    assert str(inspect.signature(InMemoryJournalStore.put_step)).startswith("(self, session_id: 'str', step_name")
    assert inspect.iscoroutinefunction(InMemoryJournalStore.put_step)
    assert InMemoryJournalStore.get_step.__qualname__ == "InMemoryJournalStore.get_step"
