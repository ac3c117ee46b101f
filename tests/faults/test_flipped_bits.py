"""Every bit of a stored record flipped in turn, by SQL and in the file itself: no wrong value is returned.

A record does not know its own key. One that is moved to another key, by hand or because a bit of an index flipped, is
another matter: ``docs/durability.md`` says so.
"""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import DecodeError, IntegrityError, JournalError, JournalStore, StoreError
from tests.faults.figures import Figures
from tests.stores.rows import PostgresRows, Rows, SqliteRows, outcomes

pytestmark = pytest.mark.anyio

SMALL = [None, True, 0, 7, -1.5, "", "a page", b"\x00\xff", [1, "two", None], {"rows": 3, "of": ("a", 2.5)}]
LONG = [*SMALL, "x" * 1000, list(range(300)), {f"{number}": number for number in range(100)}, b"\0" * 5000]

TABLES = {"journal_steps": "value", "journal_streams": "chunks"}


@pytest.fixture(params=["sqlite", "postgres"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Rows:
    if request.param == "postgres":
        return PostgresRows(request.getfixturevalue("migrated_postgres_url"))
    return SqliteRows(tmp_path / "journal.db")


def flipped(data: bytes) -> Iterator[bytes]:
    """Yield the data with each of its bits flipped in turn."""
    for bit in range(8 * len(data)):
        copy = bytearray(data)
        copy[bit // 8] ^= 1 << bit % 8
        yield bytes(copy)


async def test_every_flipped_bit_of_a_record_is_found(rows: Rows, figures: Figures, long: bool):
    for value in LONG if long else SMALL:
        whole = await recorded_bytes(rows, value)
        damaged = [[data, f"{place}"] for place, data in enumerate(flipped(whole))]
        await fill(rows, [name for _, name in damaged])
        for table, column in TABLES.items():
            update = f"UPDATE {table} SET {column} = ? WHERE step_name = ?"
            rows.run(update, damaged)
        async with JournalStore.from_url(rows.url) as store:
            found = await outcomes(store.get_step("s", name) for _, name in damaged)
            found += await outcomes(store.get_stream("s", name) for _, name in damaged)
        figures.refused += sum(isinstance(each, IntegrityError) for each in found)
        figures.wrong += sum(not isinstance(each, JournalError) for each in found)
        figures.acknowledged += len(found)
    assert figures.wrong == 0
    assert figures.refused == figures.acknowledged > 10_000


async def recorded_bytes(rows: Rows, value: Any) -> bytes:
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("whole", "n", value)
        entry = await store.get_step("whole", "n")
        assert entry is not None
        assert entry.value == value
    return rows.value("whole", "n")


async def fill(rows: Rows, names: list[str]) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await outcomes(store.put_step("s", name, name) for name in names)
        await outcomes(store.put_stream("s", name, [name]) for name in names)


async def test_the_same_search_finds_wrong_values_where_no_checksum_is(rows: Rows, figures: Figures):
    # As JeevesAgent wrote them: what the checksum is for, and what is not promised of its rows.
    value = {"rows": 3, "of": ("a", 2.5)}
    damaged = [[data, f"{place}"] for place, data in enumerate(flipped(pickle.dumps(value)))]
    await fill(rows, [name for _, name in damaged])
    rows.run("UPDATE journal_steps SET value = ? WHERE step_name = ?", damaged)
    async with JournalStore.from_url(rows.url) as store:
        found = await outcomes(store.get_step("s", name) for _, name in damaged)
    assert all(not isinstance(each, Exception) or isinstance(each, DecodeError) for each in found)
    unnoticed = [each for each in found if not isinstance(each, Exception) and each.value != value]
    figures.others["flips of a bare pickle"] = len(found)
    figures.others["of them unnoticed"] = len(unnoticed)
    assert unnoticed


async def test_a_flipped_time_changes_no_value_and_a_flipped_key_is_another_key(rows: Rows, figures: Figures):
    names = [f"{place}" for place in range(52 + 10)]
    await fill(rows, names)
    async with JournalStore.from_url(rows.url) as store:
        before = await store.get_steps("s")
        # The fraction and most of the exponent, so that it stays a number of a sane size.
        changed = [[entry.created_at * (1 + 2.0**-place), name] for place, (name, entry) in enumerate(before.items())]
        rows.run("UPDATE journal_steps SET created_at = ? WHERE step_name = ?", changed)
        rows.run("UPDATE journal_steps SET created_at = ? WHERE step_name = ?", [[float("inf"), "0"], [-0.0, "1"]])
        after = await store.get_steps("s")
        assert {name: entry.value for name, entry in after.items()} == {name: name for name in names}
        figures.others["times changed unnoticed"] = sum(
            after[name].created_at != entry.created_at for name, entry in before.items()
        )
        # Every bit of a key that gives another text.
        moved = [data.decode() for data in flipped(b"n") if data.isascii() and data != b"\0"]
        for name in moved:
            await store.put_step("key", "n", "n's")
            rows.run("UPDATE journal_steps SET step_name = ? WHERE session_id = 'key'", [[name]])
            assert await store.get_step("key", "n") is None
            rows.run("DELETE FROM journal_steps WHERE session_id = ?", [["key"]])
        figures.others["keys changed, record not found"] = len(moved)


async def test_no_flipped_bit_in_the_row_as_it_lies_in_a_file_gives_a_wrong_value(
    tmp_path: Path, figures: Figures, long: bool
):
    """Header, key, value and time of one row of the table, past SQLite; its neighbours must not suffer either."""
    original, damaged = tmp_path / "original.db", tmp_path / "damaged.db"
    wanted = {"before": "b" * 20, "damaged": ["a", 7, None], "after": {"rows": 3}}
    async with JournalStore.from_url(f"sqlite:///{original}") as store:
        for name, value in wanted.items():
            await store.put_step("session-of-this", name, value)
    data = bytearray(original.read_bytes())
    start, end = row_in(original, data)
    figures.others["bits of the row"] = 8 * (end - start)
    for bit in range(8 * start, 8 * end, 1 if long else 3):
        data[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(data)
        data[bit // 8] ^= 1 << bit % 8
        await read_damaged(damaged, wanted, figures)
        for leftover in tmp_path.glob("damaged.db-*"):
            leftover.unlink()
    assert figures.wrong == 0
    assert figures.refused > 100
    shutil.copy(original, damaged)
    await read_damaged(damaged, wanted, figures)
    assert figures.others["right all the same"] > figures.refused


def row_in(path: Path, data: bytearray) -> tuple[int, int]:
    """Return where the row "damaged" begins and ends in the file, with its header and its rowid."""
    query = "SELECT session_id || step_name, value FROM journal_steps WHERE step_name = 'damaged'"
    with closing(sqlite3.connect(path)) as connection:
        key, value = connection.execute(query).fetchone()
    # The cell: size and rowid, header of the four columns, then session, step, value and time. The index has no value.
    at = data.index(key.encode() + value)
    return at - 8, at + len(key) + len(value) + 8


async def read_damaged(path: Path, wanted: dict[str, Any], figures: Figures) -> None:
    async with JournalStore.from_url(f"sqlite:///{path}", timeout=5) as store:
        found = await outcomes(store.get_step("session-of-this", name) for name in wanted)
    for each, value in zip(found, wanted.values(), strict=True):
        if isinstance(each, BaseException):
            assert isinstance(each, DecodeError | StoreError), each
            figures.refused += 1
        elif each is None:
            figures.others["not found"] = figures.others.get("not found", 0) + 1
        elif each.value != value:
            figures.wrong += 1
        else:
            figures.others["right all the same"] = figures.others.get("right all the same", 0) + 1
