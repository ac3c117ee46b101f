"""Calls that the contracts make over and over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import anyio

from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.protocol import JournalStore
from jeeves_journal.records import StoredRecord


def every_call(store: JournalStore, session_id: str, step_name: str) -> Iterator[Callable[[], Awaitable[object]]]:
    """Return every call that takes a key."""
    yield lambda: store.get_step(session_id, step_name)
    yield lambda: store.put_step(session_id, step_name, 1)
    yield lambda: store.get_stream(session_id, step_name)
    yield lambda: store.put_stream(session_id, step_name, [1])


def every_operation(store: OperableJournalStore, session_id: str) -> Iterator[Callable[[], Awaitable[object]]]:
    """Return every call that an operator may make."""

    async def read_records() -> list[StoredRecord]:
        return [record async for record in store.records(session_id)]

    yield store.sessions
    yield lambda: store.steps(session_id)
    yield lambda: store.delete_session(session_id)
    yield lambda: store.delete_step(session_id, "fetch")
    yield lambda: store.rewind(session_id, "fetch")
    yield lambda: store.fork_session(session_id, f"{session_id}-fork")
    yield lambda: store.prune(timedelta())
    yield store.usage
    yield read_records
    yield lambda: store.restore_session(session_id, [])


async def recorded(store: JournalStore, session_id: str, step_name: str) -> Any:
    """Return the value of a step that is recorded."""
    entry = await store.get_step(session_id, step_name)
    assert entry is not None
    return entry.value


async def at_once(call: Callable[[int], Coroutine[Any, Any, None]], numbers: range) -> None:
    """Await a call for each number, all at the same time."""
    async with anyio.create_task_group() as tasks:
        for number in numbers:
            tasks.start_soon(call, number)
