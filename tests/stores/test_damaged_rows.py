"""Rows whose bytes are not those that were written: each is an error of its own step, and of no other."""

from __future__ import annotations

import pickle
import sqlite3
import sys
import traceback
import types
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import DecodeError, IntegrityError, JournalStore
from jeeves_journal.stores.dialects.sqlite.records import read_session
from jeeves_journal.testing.calls import recorded
from tests.stores.rows import PostgresRows, Rows, SqliteRows, outcomes, put_raw

pytestmark = pytest.mark.anyio

VALUE = {"rows": 3, "secret": "hunter2"}


@pytest.fixture(params=["sqlite", "postgres"])
async def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Rows:
    """A journal that holds VALUE as the step "n" of session "s"."""
    rows: Rows
    if request.param == "postgres":
        rows = PostgresRows(request.getfixturevalue("migrated_postgres_url"))
    else:
        rows = SqliteRows(tmp_path / "journal.db")
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("s", "n", VALUE)
    return rows


@pytest.fixture
async def sqlite_rows(tmp_path: Path) -> SqliteRows:
    rows = SqliteRows(tmp_path / "journal.db")
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("s", "n", VALUE)
    return rows


def flipped(data: bytes) -> dict[str, bytes]:
    """Return the data with each of its bits flipped in turn."""
    damaged = {}
    for bit in range(8 * len(data)):
        copy = bytearray(data)
        copy[bit // 8] ^= 1 << bit % 8
        damaged[f"bit-{bit}"] = bytes(copy)
    return damaged


async def read_each(rows: Rows, steps: dict[str, Any]) -> list[Any]:
    put_raw(rows, "damaged", steps)
    async with JournalStore.from_url(rows.url) as store:
        return await outcomes(store.get_step("damaged", name) for name in steps)


async def test_every_flipped_bit_is_an_integrity_error(rows: Rows):
    found = await read_each(rows, flipped(rows.value("s", "n")))
    assert len(found) > 500
    assert {type(error) for error in found} == {IntegrityError}


async def test_every_flipped_bit_of_a_stream_is_an_integrity_error(rows: Rows):
    streams = flipped(rows.value("s", "n"))
    insert = "INSERT INTO journal_streams (session_id, step_name, chunks, created_at) VALUES (?, ?, ?, ?)"
    rows.run(insert, [("damaged", name, data, 1.0) for name, data in streams.items()])
    async with JournalStore.from_url(rows.url) as store:
        found = await outcomes(store.get_stream("damaged", name) for name in streams)
    assert {type(error) for error in found} == {IntegrityError}


async def test_a_record_that_was_cut_is_refused_unless_nothing_but_its_whole_footer_is_gone(rows: Rows):
    whole = rows.value("s", "n")
    # A pickle alone is what JeevesAgent wrote, and loads to the same value.
    cuts = {f"{size}": whole[:size] for size in range(len(whole))}
    for cut, found in zip(cuts.values(), await read_each(rows, cuts), strict=True):
        if cut == pickle.dumps(VALUE, protocol=5):
            assert found.value == VALUE
        else:
            assert isinstance(found, DecodeError)


async def test_bytes_added_at_an_end_are_an_integrity_error(rows: Rows):
    whole = rows.value("s", "n")
    found = await read_each(rows, {"after": whole + b"\0", "before": b"\0" + whole, "twice": whole + whole})
    assert {type(error) for error in found} == {IntegrityError}


async def test_an_empty_record_is_a_decode_error(rows: Rows):
    (error,) = await read_each(rows, {"empty": b""})
    assert isinstance(error, DecodeError)


async def test_there_can_be_no_record_without_bytes(rows: Rows):
    with pytest.raises(Exception, match="(?i)not.null"):
        put_raw(rows, "damaged", {"null": None})


async def test_the_error_names_the_session_and_the_step_and_never_the_value(rows: Rows):
    whole = rows.value("s", "n")
    cut, gone = whole[:-1], pickle.dumps(VALUE)[:-3] + b"."
    for error in await read_each(rows, {"cut": cut, "broken pickle": gone}):
        assert (error.session_id, error.step_name) in {("damaged", "cut"), ("damaged", "broken pickle")}
        assert "'damaged'" in str(error)
        assert repr(error.step_name) in str(error)
        assert "hunter2" not in f"{error}{error!r}"


async def test_a_damaged_row_fails_no_other_step_that_is_read_at_the_same_time(rows: Rows):
    whole = rows.value("s", "n")
    before, damaged, after = await read_each(rows, {"before": whole, "damaged": whole[1:], "after": whole})
    assert isinstance(damaged, IntegrityError)
    assert before.value == after.value == VALUE


async def test_a_damaged_row_fails_a_read_of_its_whole_session_and_is_named(rows: Rows):
    whole = rows.value("s", "n")
    put_raw(rows, "damaged", {"before": whole, "broken": whole[1:], "after": whole})
    async with JournalStore.from_url(rows.url) as store:
        with pytest.raises(IntegrityError) as failed:
            await store.get_steps("damaged")
        assert (failed.value.session_id, failed.value.step_name) == ("damaged", "broken")
        assert await recorded(store, "damaged", "after") == VALUE


async def test_a_damaged_row_can_be_put_again(rows: Rows):
    put_raw(rows, "damaged", {"n": b"\xff" * 100})
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("damaged", "n", 2)
        assert await recorded(store, "damaged", "n") == 2


async def test_a_value_whose_class_is_gone_is_a_decode_error_that_says_what_to_do(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    module = types.ModuleType("soon_gone")
    exec("class Order: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "soon_gone", module)
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("s", "order", module.Order())
        await store.put_step("s", "after", 1)
        monkeypatch.delitem(sys.modules, "soon_gone")
        with pytest.raises(DecodeError, match="importable") as failed:
            await store.get_step("s", "order")
        assert type(failed.value) is DecodeError
        assert isinstance(failed.value.__cause__, ModuleNotFoundError)
        assert await recorded(store, "s", "after") == 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
async def test_rows_of_jeevesagents_are_read_as_they_are(rows: Rows, protocol: int):
    values = [None, 1, "text", b"bytes" * 100, VALUE, [VALUE] * 50, Path("a"), "ends in a full stop."]
    found = await read_each(rows, {f"{at}": pickle.dumps(value, protocol) for at, value in enumerate(values)})
    assert [entry.value for entry in found] == values


async def test_our_rows_are_read_by_pickle_alone(rows: Rows):
    assert pickle.loads(rows.value("s", "n")) == VALUE


@pytest.mark.parametrize("data", ["text", "", 7, 1.5, "80054b012e"])
async def test_what_is_no_blob_in_sqlite_is_a_decode_error(sqlite_rows: SqliteRows, data: Any):
    (error,) = await read_each(sqlite_rows, {"n": data})
    assert isinstance(error, DecodeError)
    assert (error.session_id, error.step_name) == ("damaged", "n")


async def test_text_in_sqlite_that_is_no_utf8_is_a_decode_error_of_its_own_step_only(sqlite_rows: SqliteRows):
    put_raw(sqlite_rows, "damaged", {"before": sqlite_rows.value("s", "n"), "broken": b"\xff\xfe"})
    sqlite_rows.run("UPDATE journal_steps SET value = CAST(value AS TEXT) WHERE step_name = ?", [("broken",)])
    async with JournalStore.from_url(sqlite_rows.url) as store:
        before, broken = await outcomes(store.get_step("damaged", name) for name in ("before", "broken"))
        assert isinstance(broken, DecodeError)
        assert before.value == VALUE


async def test_a_name_in_sqlite_that_is_no_utf8_keeps_no_other_step_of_its_session_from_being_read(
    sqlite_rows: SqliteRows,
):
    sqlite_rows.run("UPDATE journal_steps SET step_name = CAST(? AS TEXT)", [(b"\xff",)])
    async with JournalStore.from_url(sqlite_rows.url) as store:
        await store.put_step("s", "whole", VALUE)
        found = {name: entry.value for name, entry in (await store.get_steps("s")).items()}
        ahead = await store.read_ahead("s", 1 << 20)
    assert found == {"\udcff": VALUE, "whole": VALUE}
    assert {name: ahead.decode(row) for name, row in ahead.rows.items()} == found


async def test_a_read_of_a_session_that_sqlite_interrupts_is_not_begun_again(sqlite_rows: SqliteRows):
    turns = iter([True])
    with closing(sqlite3.connect(sqlite_rows.path)) as connection:
        connection.set_progress_handler(lambda: next(turns, False), 1)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            read_session(connection, "s", None)


async def test_an_error_behind_a_text_that_is_no_utf8_does_not_quote_it(sqlite_rows: SqliteRows):
    put_raw(sqlite_rows, "damaged", {"n": b'"hunter2"\xff'})
    sqlite_rows.run("UPDATE journal_steps SET value = CAST(value AS TEXT) WHERE session_id = ?", [("damaged",)])
    with closing(sqlite3.connect(sqlite_rows.path)) as connection:
        connection.set_progress_handler(lambda: connection.text_factory is not str, 1)
        with pytest.raises(sqlite3.OperationalError, match="interrupted") as failed:
            read_session(connection, "damaged", None)
    assert "hunter2" not in "".join(traceback.format_exception(failed.value))


async def test_a_time_in_sqlite_that_is_none_is_a_decode_error(sqlite_rows: SqliteRows):
    sqlite_rows.run("UPDATE journal_steps SET created_at = ?", [("yesterday",)])
    async with JournalStore.from_url(sqlite_rows.url) as store:
        found = await outcomes([store.get_step("s", "n"), store.get_steps("s")])
    assert [isinstance(error, DecodeError) for error in found] == [True, True]
