"""A result that a step has returned is not lost to a cancellation on the way to its record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest

from jeeves_journal import InMemoryJournalStore, JournaledRuntime, JournalEntry, SqliteJournalStore

pytestmark = pytest.mark.anyio


class SlowToRecord(InMemoryJournalStore):
    """Lets the test see that a put has begun, and decide when it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = anyio.Event()
        self.may_go_on = anyio.Event()

    async def put_step(self, session_id: str, step_name: str, value: Any) -> None:
        self.begun.set()
        await self.may_go_on.wait()
        await super().put_step(session_id, step_name, value)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_caller_that_comes_after_a_cancelled_one_gets_its_result_and_records_it():
    store = SlowToRecord()
    runtime = JournaledRuntime(store)
    runs = 0

    async def effect() -> int:
        nonlocal runs
        runs += 1
        return runs

    async with runtime.session("s"):
        async with anyio.create_task_group() as group:
            group.start_soon(runtime.step, "n", effect)
            await store.begun.wait()
            group.cancel_scope.cancel()
        store.may_go_on.set()
        assert await runtime.step("n", effect) == 1
    entry = await store.get_step("s", "n")
    assert isinstance(entry, JournalEntry)
    assert entry.value == runs == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_cancelled_while_it_records_leaves_its_result_to_the_next_caller(tmp_path: Path):
    runs = 0

    async def effect() -> int:
        nonlocal runs
        runs += 1
        return runs

    async with JournaledRuntime(SqliteJournalStore(tmp_path / "journal.db")) as runtime, runtime.session("s"):
        for number in range(30):
            name, runs = f"step-{number}", 0
            first = asyncio.ensure_future(runtime.step(name, effect))
            while not runs:
                await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await runtime.step(name, effect) == 1
            assert runs == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_stream_that_yields_one_growing_object_replays_what_it_yielded():
    runtime = JournaledRuntime()

    async def grow():
        whole: list[int] = []
        for number in range(3):
            whole.append(number)
            yield whole

    async with runtime.session("s"):
        live = [list(chunk) async for chunk in runtime.stream_step("n", grow)]
        replayed = [list(chunk) async for chunk in runtime.stream_step("n", grow)]
    assert live == replayed == [[0], [0, 1], [0, 1, 2]]
