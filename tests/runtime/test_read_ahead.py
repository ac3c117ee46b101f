"""Replay is one query: after the first step that was found recorded, the rest is read at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from jeeves_journal import DecodeError, InMemoryJournalStore, JournaledRuntime, StoreUnavailableError
from tests.runtime.stores import Fickle, FiveMethodStore, Gate, LendingStore, ManagedStore, Work

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def records() -> AsyncIterator[InMemoryJournalStore]:
    """A journal in which run-1 has steps a to d."""
    async with InMemoryJournalStore() as store:
        for name in "abcd":
            await store.put_step("run-1", name, f"recorded {name}")
        yield store


async def replay(runtime: JournaledRuntime, names: str) -> list[object]:
    return [await runtime.step(name, Work(), f"new {name}") for name in names]


@pytest.mark.parametrize(("store_type", "query"), [(LendingStore, "read_ahead"), (ManagedStore, "get_steps")])
async def test_the_rest_of_a_session_is_one_query(
    records: InMemoryJournalStore, store_type: type[FiveMethodStore], query: str
) -> None:
    runtime = JournaledRuntime(store := store_type(records))
    async with runtime.session("run-1"):
        assert await replay(runtime, "abcd") == ["recorded a", "recorded b", "recorded c", "recorded d"]
    assert store.calls == ["get_step a", query]


async def test_a_store_of_five_methods_is_asked_for_each_step(records: InMemoryJournalStore) -> None:
    runtime = JournaledRuntime(store := FiveMethodStore(records))
    async with runtime.session("run-1"):
        assert await replay(runtime, "ab") == ["recorded a", "recorded b"]
    assert store.calls == ["get_step a", "get_step b"]


async def test_nothing_is_read_ahead_before_a_step_was_found(records: InMemoryJournalStore) -> None:
    runtime = JournaledRuntime(store := LendingStore(records))
    async with runtime.session("run-1"):
        await replay(runtime, "x")
    assert "read_ahead" not in store.calls


async def test_what_is_read_ahead_is_bounded(records: InMemoryJournalStore) -> None:
    runtime = JournaledRuntime(store := LendingStore(records))
    async with runtime.session("run-1"):
        await replay(runtime, "a")
    assert store.max_bytes == 64 * 1024 * 1024


async def test_a_step_that_was_not_fetched_still_asks_the_store(records: InMemoryJournalStore) -> None:
    runtime = JournaledRuntime(store := LendingStore(records))
    async with runtime.session("run-1"):
        await replay(runtime, "a")
        await records.put_step("run-1", "x", "recorded elsewhere")
        assert await replay(runtime, "x") == ["recorded elsewhere"]
    assert store.calls == ["get_step a", "read_ahead", "get_step x"]


async def test_a_fetched_step_is_used_once(records: InMemoryJournalStore) -> None:
    runtime = JournaledRuntime(store := LendingStore(records))
    async with runtime.session("run-1"):
        assert await replay(runtime, "abba") == ["recorded a", "recorded b", "recorded b", "recorded a"]
    assert store.calls == ["get_step a", "read_ahead", "get_step b", "get_step a"]


async def test_each_opening_of_a_session_reads_ahead_once(records: InMemoryJournalStore) -> None:
    runtime = JournaledRuntime(store := LendingStore(records))
    for _ in range(2):
        async with runtime.session("run-1"):
            await replay(runtime, "aabb")
    assert store.calls.count("read_ahead") == 2


async def test_steps_found_at_the_same_time_read_ahead_once(records: InMemoryJournalStore) -> None:
    runtime = JournaledRuntime(store := LendingStore(records))
    gate = store.gates["read_ahead"] = Gate()
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(runtime.step, name, Work())
        await anyio.wait_all_tasks_blocked()
        gate.opened.set()
    assert store.calls.count("read_ahead") == 1


@pytest.mark.parametrize("store_type", [LendingStore, ManagedStore])
async def test_a_row_that_cannot_be_decoded_fails_its_own_step_only(
    records: InMemoryJournalStore, store_type: type[FiveMethodStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    await records.put_step("run-1", "b", Fickle())
    monkeypatch.setattr(Fickle, "readable", False)
    runtime = JournaledRuntime(store_type(records))
    async with runtime.session("run-1"):
        assert await replay(runtime, "a") == ["recorded a"]
        with pytest.raises(DecodeError) as caught:
            await replay(runtime, "b")
        assert caught.value.step_name == "b"
        assert await replay(runtime, "cd") == ["recorded c", "recorded d"]


async def test_an_error_of_the_query_does_not_fail_the_step_that_was_found(records: InMemoryJournalStore) -> None:
    store = LendingStore(records)
    store.errors["read_ahead"] = StoreUnavailableError("down")
    runtime = JournaledRuntime(store)
    async with runtime.session("run-1"):
        assert await replay(runtime, "abc") == ["recorded a", "recorded b", "recorded c"]
    assert store.calls == ["get_step a", "read_ahead", "get_step b", "get_step c"]


async def test_a_step_that_ran_while_the_query_was_under_way_is_not_hidden_by_it() -> None:
    runtime = JournaledRuntime(store := LendingStore())
    gate = store.gates["read_ahead"] = Gate()
    await store.records.put_step("run-1", "a", "recorded a")
    await store.records.put_step("run-1", "b", "old b")
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.step, "a", Work())
        await gate.reached.wait()
        # An operator starts the journal afresh: b has to run again.
        store.records = InMemoryJournalStore()
        assert await replay(runtime, "b") == ["new b"]
        gate.opened.set()
        await anyio.wait_all_tasks_blocked()
        assert await replay(runtime, "b") == ["new b"]
    assert store.records.step_keys() == [("run-1", "b")]


async def test_a_step_that_is_running_when_the_query_starts_is_not_hidden_by_it() -> None:
    runtime = JournaledRuntime(store := LendingStore())
    work = Work(Gate())
    await store.records.put_step("run-1", "a", "recorded a")
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.step, "b", work, "ours")
        await work.gate.reached.wait()
        # Another process records b meanwhile, and the query sees it.
        await store.records.put_step("run-1", "b", "theirs")
        await replay(runtime, "a")
        work.gate.opened.set()
        await anyio.wait_all_tasks_blocked()
        assert await replay(runtime, "b") == ["ours"]


async def test_a_task_that_outlives_its_session_reads_nothing_ahead_to_keep(records: InMemoryJournalStore) -> None:
    runtime = JournaledRuntime(store := LendingStore(records))
    gate = Gate()

    async def straggle() -> None:
        await gate()
        assert await replay(runtime, "ab") == ["recorded a", "recorded b"]

    async with anyio.create_task_group() as tasks:
        async with runtime.session("run-1"):
            tasks.start_soon(straggle)
            await gate.reached.wait()
        gate.opened.set()
    assert store.calls == ["get_step a", "read_ahead", "get_step b"]
