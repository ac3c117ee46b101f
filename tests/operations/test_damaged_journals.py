"""Journals in which a row or two cannot be right: whatever else is there can be operated."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from jeeves_journal import DecodeError, JournalStore, export_bundle
from tests.operations.journals import Given, make
from tests.stores.rows import PostgresRows, Rows, SqliteRows

pytestmark = pytest.mark.anyio

IDS = ["a", "m", "z"]
INSERT = "INSERT INTO journal_steps (session_id, step_name, value, created_at) VALUES (?, ?, ?, ?)"
AS_TEXT = "UPDATE journal_steps SET session_id = CAST(session_id AS TEXT) WHERE typeof(session_id) = 'blob'"


@pytest.fixture(params=["bytes", "texts"])
async def odd_ids(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteRows:
    """A file with sessions whose ids are no text or no UTF-8, among others. Only SQLite keeps such."""
    rows = SqliteRows(tmp_path / "journal.db")
    await make(rows, [Given("step", session_id, "n", 1, 5.0) for session_id in IDS])
    damaged = [b"%c\xff%d" % (first, number) for first in b"\x01bn\xf5" for number in range(3)]
    rows.run(INSERT, [(each, "n", b".", 5.0) for each in damaged])
    if request.param == "texts":
        rows.run(AS_TEXT, [()])
    return rows


@pytest.mark.parametrize("order", ["id", "recent"])
@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_session_whose_id_is_no_text_is_passed_over(
    odd_ids: SqliteRows, order: Literal["id", "recent"], limit: int
) -> None:
    listed = list[str]()
    async with JournalStore.from_url(odd_ids.url) as store:
        after = None
        while page := await store.sessions(order=order, limit=limit, after=after):
            listed += [session.id for session in page]
            after = page[-1]
    assert listed == IDS


async def test_a_session_whose_id_is_no_text_is_not_pruned(odd_ids: SqliteRows) -> None:
    async with JournalStore.from_url(odd_ids.url) as store:
        pruned = await store.prune(timedelta(days=1), keep=["m"])
    assert pruned.sessions == 2
    assert len(odd_ids.fetch("SELECT 1 FROM journal_steps")) == 12 + 1


async def test_a_session_whose_id_is_no_text_is_not_exported(odd_ids: SqliteRows, tmp_path: Path) -> None:
    async with JournalStore.from_url(odd_ids.url) as store:
        assert (await export_bundle(store, tmp_path / "bundle")).sessions == len(IDS)


@pytest.mark.parametrize("created_at", ["yesterday", b"\0", float("inf"), float("-inf")])
async def test_no_run_is_taken_back_to_a_step_without_a_time(tmp_path: Path, created_at: Any) -> None:
    rows = SqliteRows(tmp_path / "journal.db")
    await make(rows, [Given("step", "s", name, 1, at) for at, name in enumerate("abc")])
    rows.run("UPDATE journal_steps SET created_at = ? WHERE step_name = 'b'", [(created_at,)])
    async with JournalStore.from_url(rows.url) as store:
        for call in (store.rewind("s", "b"), store.fork_session("s", "copy", before="b")):
            with pytest.raises(DecodeError) as refused:
                await call
            assert (refused.value.session_id, refused.value.step_name) == ("s", "b")
        assert len(await store.steps("s")) == 3
        assert await store.steps("copy") == []


async def test_no_run_is_taken_back_to_a_time_that_is_no_number(migrated_postgres_url: str) -> None:
    rows = PostgresRows(migrated_postgres_url)
    rows.run(INSERT, [("s", "a", b".", 1.0), ("s", "b", b".", float("nan"))])
    async with JournalStore.from_url(rows.url) as store:
        with pytest.raises(DecodeError):
            await store.rewind("s", "b")
        assert len(await store.steps("s")) == 2


@pytest.mark.parametrize("session_id", ["", "x" * 1_001])
async def test_a_session_that_no_store_takes_stops_an_export(rows: Rows, tmp_path: Path, session_id: str) -> None:
    await make(rows, [Given("step", session_id, "n", 1, 5.0)])
    async with JournalStore.from_url(rows.url) as store:
        with pytest.raises(DecodeError) as refused:
            await export_bundle(store, tmp_path / "bundle")
    assert refused.value.session_id == session_id
