"""A run that an operator took back, cut or forked goes on from there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jeeves_journal import JournaledRuntime, JournalStore, OperableJournalStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OperableJournalStore]:
    match request.param:
        case "memory":
            url = "memory://"
        case "sqlite":
            url = f"sqlite:///{tmp_path}/journal.db"
        case _:
            url = request.getfixturevalue("migrated_postgres_url")
    async with JournalStore.from_url(url) as opened:
        yield opened


class Run:
    """A run of steps a, b, d and, between them, a stream c; it tells which of them it ran and did not replay."""

    def __init__(self, store: OperableJournalStore | JournaledRuntime, label: str) -> None:
        self.runtime = store if isinstance(store, JournaledRuntime) else JournaledRuntime(store)
        self.label = label
        self.ran: list[str] = []

    async def work(self, name: str) -> str:
        self.ran.append(name)
        return f"{self.label} {name}"

    async def chunks(self, name: str) -> AsyncIterator[str]:
        self.ran.append(name)
        yield self.label
        yield name

    async def __call__(self, session_id: str) -> list[str]:
        results = []
        async with self.runtime.session(session_id):
            for name in ("a", "b"):
                results.append(await self.runtime.step(name, self.work, name))
            results.append(" ".join([chunk async for chunk in self.runtime.stream_step("c", self.chunks, "c")]))
            results.append(await self.runtime.step("d", self.work, "d"))
        return results


@pytest.mark.parametrize(("to", "again"), [("a", "abcd"), ("b", "bcd"), ("c", "cd"), ("d", "d")])
async def test_after_a_rewind_what_was_taken_back_runs_again(store: OperableJournalStore, to: str, again: str) -> None:
    await Run(store, "first")("run-1")
    await store.rewind("run-1", to=to)
    second = Run(store, "second")
    results = await second("run-1")
    assert second.ran == list(again)
    assert results == [f"{'second' if name in again else 'first'} {name}" for name in "abcd"]


async def test_a_rewound_run_is_replayed_whole_once_it_has_gone_on(store: OperableJournalStore) -> None:
    await Run(store, "first")("run-1")
    await store.rewind("run-1", to="b")
    results = await Run(store, "second")("run-1")
    third = Run(store, "third")
    assert await third("run-1") == results
    assert third.ran == []


async def test_the_same_runtime_sees_a_rewind_in_its_next_session(store: OperableJournalStore) -> None:
    first = Run(store, "first")
    await first("run-1")
    await first("run-1")
    await store.rewind("run-1", to="c")
    again = Run(first.runtime, "again")
    assert await again("run-1") == ["first a", "first b", "again c", "again d"]


async def test_a_deleted_step_alone_runs_again(store: OperableJournalStore) -> None:
    await Run(store, "first")("run-1")
    await store.delete_step("run-1", "b")
    second = Run(store, "second")
    assert await second("run-1") == ["first a", "second b", "first c", "first d"]
    assert second.ran == ["b"]


async def test_a_deleted_run_begins_anew(store: OperableJournalStore) -> None:
    await Run(store, "first")("run-1")
    await store.delete_session("run-1")
    second = Run(store, "second")
    await second("run-1")
    assert second.ran == list("abcd")


@pytest.mark.parametrize(("before", "anew"), [("a", "abcd"), ("b", "bcd"), ("c", "cd"), ("d", "d"), (None, "")])
async def test_a_fork_replays_what_came_before_and_runs_the_rest(
    store: OperableJournalStore, before: str | None, anew: str
) -> None:
    await Run(store, "first")("run-1")
    await store.fork_session("run-1", "run-2", before=before)
    fork = Run(store, "fork")
    results = await fork("run-2")
    assert fork.ran == list(anew)
    assert results == [f"{'fork' if name in anew else 'first'} {name}" for name in "abcd"]


async def test_the_source_of_a_fork_is_replayed_as_before(store: OperableJournalStore) -> None:
    results = await Run(store, "first")("run-1")
    await store.fork_session("run-1", "run-2", before="b")
    await Run(store, "fork")("run-2")
    replay = Run(store, "replay")
    assert await replay("run-1") == results
    assert replay.ran == []


async def test_a_restored_run_is_replayed(store: OperableJournalStore) -> None:
    results = await Run(store, "first")("run-1")
    async with JournalStore.from_url("memory://") as elsewhere:
        await elsewhere.restore_session("run-1", [record async for record in store.records("run-1")])
        replay = Run(elsewhere, "replay")
        assert await replay("run-1") == results
        assert replay.ran == []
