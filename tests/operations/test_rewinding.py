"""Sessions of which the end is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest

from jeeves_journal import InvalidKeyError, JournaledRuntime, JournalStore, NotRecordedError
from tests.operations.lost_answers import WAYS, losing_an_answer
from tests.operations.records import record, steps_of
from tests.servers.postgres import execute
from tests.stores.rows import PostgresRows, Rows, put_raw

pytestmark = pytest.mark.anyio

WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

Way = Callable[[str], AbstractAsyncContextManager[str]]


async def test_a_step_and_all_recorded_after_it_are_forgotten(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "~b", "c", "~d", "e")
        await record(store, "run-2", "a", "c", "e")
        assert await store.rewind("run", "c") == 3
        assert await steps_of(store, "run") == {"a": "a"}
        assert [await store.get_stream("run", name) for name in "bd"] == [["~b"], None]
        assert len(await steps_of(store, "run-2")) == 3


async def test_a_run_goes_on_from_where_it_was_rewound_to(rows: Rows) -> None:
    ran = list[str]()

    async def work(name: str) -> str:
        ran.append(name)
        return name

    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "b", "c")
        await store.rewind("run", "b")
        runtime = JournaledRuntime(store)
        async with runtime.session("run"):
            for name in "abc":
                assert await runtime.step(name, work, name) == name
    assert ran == ["b", "c"]


async def test_to_a_stream(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "~b", "c")
        assert await store.rewind("run", "b") == 2
        assert await steps_of(store, "run") == {"a": "a"}
        assert await store.get_stream("run", "b") is None


@pytest.mark.parametrize("names", [("a", "x", "b", "~x", "c"), ("a", "~x", "b", "x", "c")])
async def test_of_a_step_and_a_stream_of_one_name_the_earlier_counts(rows: Rows, names: tuple[str, ...]) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", *names)
        assert await store.rewind("run", "x") == 4
        assert await steps_of(store, "run") == {"a": "a"}


async def test_what_was_recorded_at_the_same_time_is_forgotten_too(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "b", "c", "~d")
        for table in ("journal_steps", "journal_streams"):
            rows.run(f"UPDATE {table} SET created_at = ? WHERE step_name <> 'a'", [(5e9,)])
        assert await store.rewind("run", "c") == 3
        assert await steps_of(store, "run") == {"a": "a"}


async def test_a_step_put_again_stands_where_it_was_put_last(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "b", "c", "a")
        assert await store.rewind("run", "a") == 1
        assert list(await steps_of(store, "run")) == ["b", "c"]


@pytest.mark.parametrize("place", [("run", "b"), ("other", "a")])
async def test_an_unknown_step_or_session_is_refused(rows: Rows, place: tuple[str, str]) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a")
        with pytest.raises(NotRecordedError) as refused:
            await store.rewind(*place)
        assert (refused.value.session_id, refused.value.step_name) == place
        assert await steps_of(store, "run") == {"a": "a"}


async def test_a_key_that_no_step_has_is_refused(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        with pytest.raises(InvalidKeyError):
            await store.rewind("run", "")


async def test_a_step_that_another_process_just_puts_again_is_waited_for(migrated_postgres_url: str) -> None:
    async with JournalStore.from_url(migrated_postgres_url) as store:
        await record(store, "run", "a", "b", "c")
        other = await asyncpg.connect(migrated_postgres_url)
        try:
            async with other.transaction():
                await other.execute("UPDATE journal_steps SET created_at = created_at + 1000 WHERE step_name = 'b'")
                rewinding = asyncio.ensure_future(store.rewind("run", "b"))
                while not execute(migrated_postgres_url, WAITING):
                    await asyncio.sleep(0)
        finally:
            await other.close()
        # By the time that it has now, "c" is older.
        assert await rewinding == 1
        assert list(await steps_of(store, "run")) == ["a", "c"]


async def test_what_others_put_meanwhile_is_forgotten_in_the_order_in_which_it_came_or_stays(rows: Rows) -> None:
    """A stream that was put after a step is never forgotten while the step stays."""
    async with JournalStore.from_url(rows.url) as store, JournalStore.from_url(rows.url) as other:
        ends = asyncio.Event()

        async def put_pairs() -> None:
            number = 0
            while not ends.is_set():
                await record(other, "run", f"{number}", f"~{number}")
                number += 1

        await record(store, "run", "start")
        putting = asyncio.ensure_future(put_pairs())
        for _ in range(40):
            start = await store.get_step("run", "start")
            assert start is not None
            assert await store.rewind("run", "start") >= 1
            later = [
                name for name, entry in (await store.get_steps("run")).items() if entry.created_at > start.created_at
            ]
            # The last one's stream may be on its way.
            for name in later[:-1]:
                assert await store.get_stream("run", name) is not None
            await record(store, "run", "start")
        ends.set()
        await putting


@pytest.mark.parametrize("way", WAYS)
async def test_the_count_is_true_where_a_commit_or_its_answer_is_lost(migrated_postgres_url: str, way: Way) -> None:
    async with JournalStore.from_url(migrated_postgres_url) as store:
        await record(store, "run", "a", "b", "~c")
        async with way(migrated_postgres_url) as url, JournalStore.from_url(url) as far:
            assert await far.rewind("run", "b") == 2
        assert await steps_of(store, "run") == {"a": "a"}


async def test_a_run_that_went_on_after_a_commit_whose_answer_is_lost_is_left(migrated_postgres_url: str) -> None:
    def go_on() -> None:
        put_raw(PostgresRows(migrated_postgres_url), "run", {"b": b"again"})

    async with JournalStore.from_url(migrated_postgres_url) as store:
        await record(store, "run", "a", "b", "c")
    async with losing_an_answer(migrated_postgres_url, go_on) as url, JournalStore.from_url(url) as far:
        assert await far.rewind("run", "b") == 2
    left = execute(migrated_postgres_url, "SELECT step_name FROM journal_steps ORDER BY 1")
    assert [row[0] for row in left] == ["a", "b"]
