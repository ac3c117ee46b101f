"""Rows that reseal finds otherwise than it read them, or than any store writes them."""

from __future__ import annotations

import asyncio
import pickle
import threading
import traceback
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from jeeves_journal import (
    DecodeError,
    JournalStore,
    JSONCodec,
    Keyring,
    PostgresJournalStore,
    SQLAlchemyJournalStore,
)
from jeeves_journal.codecs import PickleCodec
from tests.stores.attacks import Attack
from tests.stores.engines import engine_on, url_of
from tests.stores.rows import Rows, SqliteRows, put_raw

pytestmark = pytest.mark.anyio

KEYS = Keyring.generate()


class Overtaken(PickleCodec):
    """While a value is read, somebody without keys puts it again: the bytes stay as they are, the time does not."""

    def __init__(self, rows: Rows) -> None:
        self._puts: Iterator[Any] = iter([rows])

    def loads(self, payload: bytes | memoryview) -> Any:
        for rows in self._puts:
            rows.run("UPDATE journal_steps SET created_at = created_at + ?", [(1.0,)])
        return super().loads(payload)


class Served(PickleCodec):
    """Reads a value once the event loop has answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def loads(self, payload: bytes | memoryview) -> Any:
        answered = threading.Event()
        self._loop.call_soon_threadsafe(answered.set)
        assert answered.wait(timeout=10)
        return super().loads(payload)


async def test_others_are_served_while_a_value_is_read(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("run", "step", 1)
    async with JournalStore.from_url(rows.url, codec="json") as store:
        done = await store.reseal(from_codec=Served(asyncio.get_running_loop()))
    assert (done.resealed, done.refusals) == (1, ())


async def test_a_value_put_again_with_the_same_bytes_is_not_sealed_for_its_earlier_time(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("run", "step", 1)
        before = (await store.get_steps("run"))["step"]
    async with JournalStore.from_url(rows.url, codec=JSONCodec(), keys=KEYS, allow_unsealed=True) as store:
        assert (await store.reseal(from_codec=Overtaken(rows))).resealed == 0
        assert (await store.reseal(from_codec="pickle")).resealed == 1
        entry = await store.get_step("run", "step")
    assert entry is not None
    assert (entry.value, entry.created_at) == (1, before.created_at + 1)


def make_loose_tables(rows: Rows) -> None:
    """Make tables in which anything may stand."""
    columns = "session_id TEXT, step_name TEXT, {} BLOB, created_at REAL, PRIMARY KEY (session_id, step_name)"
    rows.run(f"CREATE TABLE journal_steps ({columns.format('value')})", [()])
    rows.run(f"CREATE TABLE journal_streams ({columns.format('chunks')})", [()])


@pytest.mark.parametrize(
    "change",
    [
        "created_at = 'yesterday'",
        "created_at = x'00'",
        "created_at = NULL",
        "created_at = CAST(x'ff' AS TEXT)",
        "session_id = x'61'",
        "session_id = CAST(x'61ff' AS TEXT)",
        "step_name = CAST(x'edb3bf' AS TEXT)",
        "value = NULL",
        "value = 'text'",
        "value = CAST(x'ff' AS TEXT)",
        "value = 5",
    ],
)
async def test_a_row_that_no_store_wrote_is_refused_and_the_others_are_sealed(tmp_path: Path, change: str) -> None:
    rows = SqliteRows(tmp_path / "journal.db")
    make_loose_tables(rows)
    rows.run("INSERT INTO journal_steps VALUES (?, 'step', ?, 1.5)", [(run, pickle.dumps(run)) for run in "abc"])
    rows.run(f"UPDATE journal_steps SET {change} WHERE session_id = ?", [("b",)])
    async with JournalStore.from_url(rows.url, keys=KEYS, allow_unsealed=True) as store:
        done = await store.reseal()
        assert (done.records, done.resealed, done.refused) == (3, 2, 1)
        assert isinstance(done.refusals[0], DecodeError)
        assert {(await store.get_steps(run))["step"].value for run in "ac"} == {"a", "c"}


@pytest.mark.parametrize("kind", ["file", "memory"])
async def test_a_key_that_is_no_utf8_is_passed_over_on_a_callers_engine_too(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    damaged = text("SELECT CAST(x'61ff' AS TEXT)")
    async with (
        engine_on(url_of(kind, request, tmp_path)) as engine,
        SQLAlchemyJournalStore(engine, keys=KEYS, allow_unsealed=True) as store,
    ):
        await store.put_step("run", "step", 1)
        async with engine.begin() as connection:
            insert = "INSERT INTO journal_steps SELECT 'run', CAST(x'61ff' AS TEXT), x'00', 1.5"
            await connection.execute(text(insert))
        done = await store.reseal()
        assert (done.records, done.refused) == (2, 1)
        async with engine.connect() as connection:
            with pytest.raises(OperationalError, match="decode"):
                await connection.execute(damaged)


@pytest.mark.parametrize(
    ("session_id", "is_refused"),
    [("CAST(? || x'ff' AS TEXT)", True), ("CAST(? AS BLOB)", True), ("nullif(?, ?)", False)],
)
async def test_any_number_of_rows_without_a_key_hides_none_that_has_one(
    tmp_path: Path, session_id: str, *, is_refused: bool
) -> None:
    rows = SqliteRows(tmp_path / "journal.db")
    make_loose_tables(rows)
    count = 2_500
    insert = f"INSERT INTO journal_steps VALUES ({session_id}, ?, ?, 1.5)"
    names = [f"{number:04}" for number in range(count)]
    keys = [(name,) * session_id.count("?") for name in names]
    rows.run(insert, [(*key, name, pickle.dumps(1)) for key, name in zip(keys, names, strict=True)])
    put_raw(rows, "-before", {"step": pickle.dumps(1)})
    put_raw(rows, "behind", {"step": pickle.dumps(1)})
    async with JournalStore.from_url(rows.url, keys=KEYS, allow_unsealed=True) as store:
        done = await store.reseal()
    assert (done.resealed, done.refused) == (2, count if is_refused else 0)


async def test_a_plain_row_is_sealed_without_being_unpickled(rows: Rows) -> None:
    gone = pickle.dumps(Attack()).replace(b"_attack", b"is_gone")
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("other", "step", 1)
    plain = {"code": pickle.dumps(Attack()), "cut": pickle.dumps(1) + b"cut.", "none": b"none."}
    put_raw(rows, "run", {"gone": gone, **plain})
    async with JournalStore.from_url(rows.url, keys=KEYS, allow_unsealed=True) as store:
        done = await store.reseal()
    assert (done.records, done.resealed, {error.step_name for error in done.refusals}) == (5, 3, {"cut", "none"})
    assert not Attack.ran


async def test_the_key_may_change_before_all_rows_have_the_new_codec(rows: Rows) -> None:
    newer = Keyring([*Keyring.generate(), *KEYS])
    async with JournalStore.from_url(rows.url, keys=KEYS) as store:
        await store.put_step("run", "old codec", 1)
    async with JournalStore.from_url(rows.url, keys=KEYS, codec="json") as store:
        await store.put_step("run", "new codec", 2)
    async with JournalStore.from_url(rows.url, keys=newer, codec="json") as store:
        assert (await store.reseal(from_codec="pickle")).resealed == 2
        assert [entry.value for entry in (await store.get_steps("run")).values()] == [1, 2]


async def _decimal_times(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.set_type_codec("float8", schema="pg_catalog", encoder=str, decoder=Decimal)


async def test_a_callers_pool_may_make_decimals_of_times(migrated_postgres_url: str) -> None:
    async with asyncpg.create_pool(migrated_postgres_url, min_size=1, max_size=2, init=_decimal_times) as pool:
        store = PostgresJournalStore(pool, keys=KEYS)
        await store.put_step("run", "step", 1)
        newer = PostgresJournalStore(pool, keys=Keyring([*Keyring.generate(), *KEYS]))
        assert (await newer.reseal()).resealed == 1
        entry = await newer.get_step("run", "step")
        assert entry is not None
        assert entry.value == 1
        await store.aclose()
        await newer.aclose()


async def test_what_was_refused_holds_no_value(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("other", "step", 1)
    put_raw(rows, "run", {"set": pickle.dumps({"hunter2"}), "damaged": b"hunter2"})
    async with JournalStore.from_url(rows.url, codec="json") as store:
        done = await store.reseal(from_codec="pickle")
    assert done.refused == 2
    for error in done.refusals:
        said = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True).format()
        assert "hunter2" not in "".join(said)
