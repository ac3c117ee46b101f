"""What a session recorded, without a value being read, on both databases."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import JournalStore, Keyring
from jeeves_journal.records import StepSummary
from jeeves_journal.testing.planting import names, plant, stored
from tests.operations.journals import Given, make
from tests.stores.rows import PostgresRows, Rows, SqliteRows, put_raw

pytestmark = pytest.mark.anyio


@pytest.fixture
def sqlite_rows(tmp_path: Path) -> SqliteRows:
    """Only SQLite keeps in a column what is not of its type."""
    return SqliteRows(tmp_path / "journal.db")


async def test_an_unknown_session_has_none(rows: Rows):
    await make(rows, [Given("step", "other", "n", 1, 1.0)])
    async with JournalStore.from_url(rows.url) as store:
        assert await store.steps("s") == []


async def test_steps_and_streams_are_in_recorded_order(rows: Rows):
    given = [
        Given("step", "s", "late", 3, 3.0),
        Given("stream", "s", "n", 2, 1.0),
        Given("step", "s", "n", 1, 1.0),
        Given("stream", "s", "a", 4, 2.0),
    ]
    await make(rows, given)
    async with JournalStore.from_url(rows.url) as store:
        found = [(step.kind, step.name, step.bytes, step.recorded_at) for step in await store.steps("s")]
    assert found == [("step", "n", 1, 1.0), ("stream", "n", 2, 1.0), ("stream", "a", 4, 2.0), ("step", "late", 3, 3.0)]


async def test_names_are_ordered_by_their_bytes_also_in_tables_that_were_never_upgraded(migrated_postgres_url: str):
    rows = PostgresRows(migrated_postgres_url)
    rows.run('ALTER TABLE journal_steps ALTER step_name TYPE TEXT COLLATE "default"', [()])
    by_bytes = ["-a", "9", "A", "Z", "_", "a", "b", "é"]
    async with JournalStore.from_url(rows.url) as store:
        await plant(store, "s", dict.fromkeys(by_bytes, 5.0))
        assert await names(store, "s") == by_bytes
        assert [record.step_name for record in await stored(store, "s")] == by_bytes
        assert list(await store.get_steps("s")) == by_bytes
        assert set((await store.read_ahead("s", 1 << 30)).rows) == set(by_bytes)
        bytes_of_three = sum(step.bytes for step in (await store.steps("s"))[:3])
        assert set((await store.read_ahead("s", bytes_of_three)).rows) == set(by_bytes[:3])


@pytest.mark.parametrize("codec", ["pickle", "json"])
async def test_a_step_is_what_was_put(rows: Rows, codec: Any):
    await make(rows)
    async with JournalStore.from_url(rows.url, codec=codec) as store:
        await store.put_step("s", "n", "x" * 10_000)
        entry = await store.get_step("s", "n")
        assert entry is not None
        size = len(rows.value("s", "n"))
        assert await store.steps("s") == [StepSummary("n", "step", entry.created_at, size, codec, None)]


@pytest.mark.parametrize("seal", ["sign", "encrypt"])
async def test_a_sealed_step_names_its_key_to_those_who_do_not_have_it(rows: Rows, seal: Any):
    await make(rows)
    keys = Keyring.generate()
    async with JournalStore.from_url(rows.url, keys=keys, seal=seal, compress="zstd") as store:
        await store.put_step("s", "n", "x" * 10_000)
    async with JournalStore.from_url(rows.url) as store:
        (step,) = await store.steps("s")
    assert (step.codec, step.sealed_by) == ("pickle", keys.first.id)


async def test_a_row_of_jeevesagents_is_a_pickle_that_nobody_sealed(rows: Rows):
    await make(rows)
    put_raw(rows, "s", {"n": pickle.dumps("x" * 1_000)})
    async with JournalStore.from_url(rows.url) as store:
        (step,) = await store.steps("s")
    assert (step.codec, step.sealed_by) == ("pickle", None)


async def test_bytes_that_are_nobodys_have_no_known_codec(rows: Rows):
    await make(rows)
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("s", "n", 1)
        whole = rows.value("s", "n")
        put_raw(rows, "damaged", {"cut": whole[:-1], "empty": b"", "short": b"\xd1", "zeros": bytes(100)})
        assert {step.codec for step in await store.steps("damaged")} == {"?"}


async def test_a_damaged_footer_shows_nothing_that_commands_a_terminal(rows: Rows):
    await make(rows)
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("s", "n", 1)
        damaged = bytearray(rows.value("s", "n"))
        damaged[-68:-4] = b"\x1b[2J" * 16
        put_raw(rows, "damaged", {"n": bytes(damaged)})
        (step,) = await store.steps("damaged")
    assert f"{step.codec}{step.sealed_by}".isprintable()


@pytest.mark.parametrize("value", ["text", "", 7, 1.5])
async def test_what_is_no_blob_is_listed_all_the_same(sqlite_rows: SqliteRows, value: Any):
    await make(sqlite_rows)
    put_raw(sqlite_rows, "s", {"n": value, "whole": b"."})
    async with JournalStore.from_url(sqlite_rows.url) as store:
        assert [step.name for step in await store.steps("s")] == ["n", "whole"]
        (session,) = await store.sessions()
        assert session.steps == 2


async def test_a_text_that_is_no_utf8_is_listed_all_the_same(sqlite_rows: SqliteRows):
    await make(sqlite_rows)
    put_raw(sqlite_rows, "s", {"n": b"\xff" * 100})
    sqlite_rows.run("UPDATE journal_steps SET value = CAST(value AS TEXT)", [()])
    async with JournalStore.from_url(sqlite_rows.url) as store:
        assert [step.codec for step in await store.steps("s")] == ["?"]


@pytest.mark.parametrize("created_at", ["yesterday", b"\0", float("inf"), float("-inf")])
async def test_what_is_no_time_is_the_beginning_of_all_time(sqlite_rows: SqliteRows, created_at: Any):
    await make(sqlite_rows, [Given("step", "s", "n", 1, 5.0), Given("step", "damaged", "n", 1, 5.0)])
    sqlite_rows.run("UPDATE journal_steps SET created_at = ? WHERE session_id = 'damaged'", [(created_at,)])
    async with JournalStore.from_url(sqlite_rows.url) as store:
        assert [step.recorded_at for step in await store.steps("damaged")] == [0.0]
        assert [session.last_recorded for session in await store.sessions()] == [0.0, 5.0]
        assert (await store.sessions(order="recent"))[0].id == "s"
        assert (await store.usage()).steps.oldest == 5.0


async def test_a_key_that_is_no_text_is_passed_over(sqlite_rows: SqliteRows):
    await make(sqlite_rows, [Given("step", "s", "n", 1, 5.0)])
    insert = "INSERT INTO journal_steps (session_id, step_name, value, created_at) VALUES (?, ?, ?, ?)"
    sqlite_rows.run(insert, [(b"damaged", "n", b".", 6.0), ("s", b"damaged", b".", 7.0)])
    async with JournalStore.from_url(sqlite_rows.url) as store:
        assert [step.name for step in await store.steps("s")] == ["n", "damaged"]
        for order in ("id", "recent"):
            assert [session.id for session in await store.sessions(order=order)] == ["s"]
