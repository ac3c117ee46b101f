"""Whole sessions that are deleted since nobody has added to them for long."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import ConfigurationError, JournalStore, Pruned, SQLAlchemyJournalStore
from tests.operations.lost_answers import losing_an_answer
from tests.operations.records import record, steps_of
from tests.stores.rows import PostgresRows, Rows, SqliteRows

pytestmark = pytest.mark.anyio

DAY = 86_400.0
WEEK = timedelta(days=7)

Given = tuple[str, str, float]
"""A session, a step (or after ``~`` a stream), and its age in days."""


def given(rows: Rows, records: Iterable[Given], size: int = 5) -> None:
    """Record bytes of a given age; the tables are there."""
    now, by_table = time.time(), dict[str, list[tuple[Any, ...]]](journal_steps=[], journal_streams=[])
    for session_id, name, age in records:
        table = "journal_streams" if name.startswith("~") else "journal_steps"
        by_table[table].append((session_id, name.removeprefix("~"), os.urandom(size), now - age * DAY))
    for table, of_table in by_table.items():
        rows.run(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", of_table)


async def opened(rows: Rows) -> None:
    """Make the file and its tables."""
    async with JournalStore.from_url(rows.url) as store:
        await store.get_step("run", "a")


async def names_of(store: SQLAlchemyJournalStore, session_id: str) -> list[str]:
    """Return the names of a session's steps, whose bytes are not looked at."""
    names = list((await store.read_ahead(session_id, 1 << 30)).rows)
    return sorted(names)


async def test_sessions_whose_last_record_is_old_are_deleted_whole(rows: Rows) -> None:
    await opened(rows)
    given(rows, [("old", "a", 30), ("old", "~b", 9), ("old", "c", 8), ("young", "a", 30), ("young", "b", 6)])
    given(rows, [("streams", "~a", 8), ("held", "a", 30), ("held", "~b", 1), ("new", "a", 0)])
    async with JournalStore.from_url(rows.url) as store:
        assert await store.prune(WEEK) == Pruned(2, 4, 20)
        assert await names_of(store, "old") == []
        assert await names_of(store, "young") == ["a", "b"]
        assert await names_of(store, "held") == await names_of(store, "new") == ["a"]
        assert await store.prune(WEEK) == Pruned(0, 0, 0)
        assert await store.delete_session("held") == 2


async def test_a_dry_run_only_counts(rows: Rows) -> None:
    await opened(rows)
    given(rows, [("old", "a", 30), ("old", "~b", 9), ("young", "a", 30), ("young", "b", 6)])
    async with JournalStore.from_url(rows.url) as store:
        assert await store.prune(WEEK, dry_run=True) == Pruned(1, 2, 10)
        assert await names_of(store, "old") == ["a"]
        assert await store.prune(WEEK) == Pruned(1, 2, 10)


async def test_what_begins_with_a_kept_prefix_stays(rows: Rows) -> None:
    await opened(rows)
    sessions = ["keep-1", "keep-", "keep", "Keep-1", "kee_-1", "ä%", "ä%b", "äb"]
    given(rows, [(session_id, "a", 30) for session_id in sessions])
    async with JournalStore.from_url(rows.url) as store:
        assert (await store.prune(WEEK, keep=["keep-", "ä%"])).sessions == 4
        left = {session_id for session_id in sessions if await names_of(store, session_id)}
        assert left == {"keep-1", "keep-", "ä%", "ä%b"}
        assert (await store.prune(WEEK, keep=[""])).sessions == 0
        assert (await store.prune(timedelta(0))).sessions == 4


async def test_nothing_is_too_young_for_an_age_of_zero(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "~b")
        assert (await store.prune(timedelta(0))).records == 2
        assert await steps_of(store, "run") == {}


@pytest.mark.parametrize(
    "options",
    [
        {"older_than": timedelta(seconds=-1)},
        {"older_than": 7},
        {"older_than": WEEK, "keep": "run"},
        {"older_than": WEEK, "keep": [7]},
        {"older_than": WEEK, "batch": 0},
    ],
)
async def test_nonsense_is_refused(rows: Rows, options: dict[str, Any]) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a")
        with pytest.raises(ConfigurationError):
            await store.prune(**options)
        assert await steps_of(store, "run") == {"a": "a"}


@pytest.mark.parametrize("batch", [1, 7, 1_000])
async def test_no_transaction_deletes_more_than_a_batch(rows: Rows, batch: int) -> None:
    await opened(rows)
    given(rows, [(f"old-{number % 9}", f"{'~' * (number % 2)}{number}", 8 + number) for number in range(90)])
    told = [Pruned(0, 0, 0)]
    async with JournalStore.from_url(rows.url) as store:
        done = await store.prune(WEEK, batch=batch, progress=told.append)
    assert done == told[-1] == Pruned(9, 90, 450)
    assert max(after.records - before.records for before, after in pairwise(told)) <= batch


async def test_the_latest_records_of_a_session_go_first(rows: Rows) -> None:
    await opened(rows)
    order = ["c", "~a", "b", "~d", "e", "a"]
    given(rows, [("old", name, 30 - number) for number, name in enumerate(order)])
    left = list[list[str]]()

    def look(_: Pruned) -> None:
        found = [*stored(rows, "journal_steps"), *(f"~{name}" for name in stored(rows, "journal_streams"))]
        left.append(sorted(found, key=order.index))

    async with JournalStore.from_url(rows.url) as store:
        await store.prune(WEEK, batch=1, progress=look)
    seen = [names for number, names in enumerate(left) if number == 0 or names != left[number - 1]]
    assert seen == [order[:count] for count in range(6, -1, -1)]


def stored(rows: Rows, table: str) -> list[str]:
    return [row[0] for row in rows.fetch(f"SELECT step_name FROM {table}")]


async def test_what_an_interrupted_pruning_left_is_a_run_that_goes_on_and_is_pruned_later(rows: Rows) -> None:
    class EnoughError(Exception):
        pass

    def interrupt(pruned: Pruned) -> None:
        if pruned.records == 3:
            raise EnoughError

    await opened(rows)
    given(rows, [("old", f"{number}", 30 - number) for number in range(9)])
    async with JournalStore.from_url(rows.url) as store:
        with pytest.raises(EnoughError):
            await store.prune(WEEK, batch=1, progress=interrupt)
        assert await names_of(store, "old") == ["0", "1", "2", "3", "4", "5"]
        assert await store.prune(WEEK) == Pruned(1, 6, 30)


async def test_a_session_that_wakes_up_before_its_turn_is_kept_whole(rows: Rows) -> None:
    await opened(rows)
    given(rows, [(f"{number}", name, 30 - number) for number in range(5) for name in "ab"])

    def wake_up(pruned: Pruned) -> None:
        if pruned.sessions == 1:
            given(rows, [("3", f"c{time.monotonic()}", 0)])

    async with JournalStore.from_url(rows.url) as store:
        assert await store.prune(WEEK, batch=2, progress=wake_up) == Pruned(4, 8, 40)
        assert (await names_of(store, "3"))[:2] == ["a", "b"]


@pytest.mark.parametrize("change", ["new", "again"])
async def test_a_session_that_wakes_up_half_way_keeps_its_beginning_and_what_is_put(rows: Rows, change: str) -> None:
    await opened(rows)
    given(rows, [("old", name, 30 - number) for number, name in enumerate("abcdef")])

    def wake_up(pruned: Pruned) -> None:
        if pruned.records != 2 or "new" in stored(rows, "journal_steps"):
            return
        if change == "new":
            given(rows, [("old", "new", 0)])
        else:
            rows.run("UPDATE journal_steps SET created_at = ? WHERE step_name = 'a'", [(time.time(),)])

    async with JournalStore.from_url(rows.url) as store:
        assert await store.prune(WEEK, batch=1, progress=wake_up) == Pruned(0, 2, 10)
        assert await names_of(store, "old") == [*"abcd", *(["new"] if change == "new" else [])]


async def test_a_session_that_goes_on_costs_no_other_its_turn(rows: Rows) -> None:
    """What changes while it is looked at is passed over, and all else that is old goes."""
    await opened(rows)
    given(rows, [(f"{number:02}", name, 30) for number in range(60) for name in "abc"])
    async with JournalStore.from_url(rows.url) as store, JournalStore.from_url(rows.url) as other:
        ends = asyncio.Event()

        async def put() -> None:
            while not ends.is_set():
                await asyncio.gather(*(other.put_step(f"{number:02}", "b", 1) for number in range(0, 60, 20)))

        await asyncio.gather(*(other.put_step(f"{number:02}", "b", 1) for number in range(0, 60, 20)))
        putting = asyncio.ensure_future(put())
        assert await store.prune(WEEK, batch=10) == Pruned(57, 171, 855)
        ends.set()
        await putting
        for number in range(0, 60, 20):
            assert await names_of(store, f"{number:02}") == ["a", "b", "c"]


async def test_records_without_a_usable_time_keep_their_session(rows: Rows) -> None:
    await opened(rows)
    given(rows, [("odd", "a", 30), ("odd", "b", 30), ("old", "a", 30)])
    rows.run("UPDATE journal_steps SET created_at = ? WHERE session_id = 'odd' AND step_name = 'b'", [(float("inf"),)])
    async with JournalStore.from_url(rows.url) as store:
        assert (await store.prune(WEEK)).sessions == 1
        assert await names_of(store, "odd") == ["a", "b"]


async def test_many_sessions_with_many_records_are_all_met(rows: Rows) -> None:
    await opened(rows)
    given(rows, [(f"old-{number % 700}", f"{number}", 8 + (number % 50) / 10) for number in range(21_000)])
    given(rows, [(f"kept-{number % 30}", f"{number}", 6 + number % 19) for number in range(12_000)])
    async with JournalStore.from_url(rows.url) as store:
        assert await store.prune(WEEK, dry_run=True) == Pruned(700, 21_000, 105_000)
        assert await store.prune(WEEK) == Pruned(700, 21_000, 105_000)
        assert len(await names_of(store, "kept-7")) == 400


@pytest.mark.parametrize("batch", [2, 5, 1_000])
async def test_the_counts_are_true_where_the_answer_to_a_commit_is_lost(migrated_postgres_url: str, batch: int) -> None:
    rows = PostgresRows(migrated_postgres_url)
    given(rows, [(session_id, name, 30) for session_id in ("x", "y") for name in "abcde"])
    deletes = asyncio.Event()

    def wait_for_the_end_of_looking(pruned: Pruned) -> None:
        # First an index is looked at, then the sessions that were met in it.
        told.append(pruned)
        if len(told) == 2:
            deletes.set()

    told = list[Pruned]()
    async with losing_an_answer(rows.url, since=deletes) as url, JournalStore.from_url(url) as far:
        assert await far.prune(WEEK, batch=batch, progress=wait_for_the_end_of_looking) == Pruned(2, 10, 50)
    assert rows.fetch("SELECT count(*) FROM journal_steps") == [(0,)]


@pytest.mark.parametrize("records", [50_000, 50_001, 150_000])
async def test_a_session_that_is_listed_in_several_pieces_counts_once(tmp_path: Path, records: int) -> None:
    rows = SqliteRows(tmp_path / "journal.db")
    await opened(rows)
    given(rows, [("old", f"{number}", 30) for number in range(records)])
    async with JournalStore.from_url(rows.url) as store:
        assert await store.prune(WEEK, batch=20_000) == Pruned(1, records, 5 * records)


async def test_the_log_tells_how_much_was_pruned(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    await opened(rows)
    given(rows, [("old", "a", 30)])
    caplog.set_level(logging.INFO, "jeeves_journal")
    async with JournalStore.from_url(rows.url) as store:
        await store.prune(WEEK, dry_run=True)
        await store.prune(WEEK)
    said = [message for message in caplog.messages if "pruned" in message]
    assert len(said) == 1
    assert said[0].endswith(": pruned 1 sessions, 1 records, 5 bytes")
