"""Reads on the event loop's own thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jeeves_journal import JournalStore, StoreUnavailableError
from jeeves_journal.stores.dialects.rows import Key
from jeeves_journal.stores.dialects.sqlite.quick import QuickReader

SLOW = """
ALTER TABLE journal_steps RENAME TO kept;
CREATE VIEW journal_steps AS
WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 200000)
SELECT * FROM kept WHERE (SELECT max(n) FROM count) > 0;
"""
SHORT: Key = ("step", "run", "short")
LONG: Key = ("step", "run", "long")
OTHER: Key = ("step", "run", "other")
STREAM: Key = ("stream", "run", "short")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE journal_steps (session_id, step_name, value, created_at)")
        connection.execute("CREATE TABLE journal_streams (session_id, step_name, chunks, created_at)")
        rows = [("run", "short", b"value", 1.5), ("run", "long", bytes(70_000), 1.5)]
        connection.executemany("INSERT INTO journal_steps VALUES (?, ?, ?, ?)", rows)
        connection.execute("INSERT INTO journal_streams VALUES ('run', 'short', x'ff', 2.5)")
    return path


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no read for slow, however busy the machine is."""
    monkeypatch.setattr("jeeves_journal.stores.dialects.sqlite.quick.PATIENCE", 60)


@pytest.fixture
def reader(file: Path, patience: None) -> Iterator[QuickReader]:
    with closing(QuickReader(file)) as reader:
        yield reader


def test_a_short_record_is_read(reader: QuickReader) -> None:
    assert reader.read([SHORT]) == [(b"value", 1.5)]


def test_a_record_that_is_not_there_is_known_not_to_be(reader: QuickReader) -> None:
    assert reader.read([OTHER]) == [None]


@pytest.mark.parametrize("times", [1, 4])
def test_several_records_are_read_in_the_order_of_their_keys(times: int, reader: QuickReader) -> None:
    found = reader.read([STREAM, SHORT, OTHER, STREAM] * times)
    assert found == [(b"\xff", 2.5), (b"value", 1.5), None, (b"\xff", 2.5)] * times


@pytest.mark.parametrize("times", [1, 16])
def test_a_row_without_a_value_is_no_record_that_is_not_there(times: int, reader: QuickReader, file: Path) -> None:
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE journal_steps SET value = NULL")
    assert reader.read([SHORT] * times) == [(None, 1.5)] * times


def test_of_many_records_only_the_first_are_read_at_once(reader: QuickReader) -> None:
    assert reader.read([SHORT] * 1_000) == [(b"value", 1.5)] * 16


def test_a_long_record_is_left_to_another_thread(reader: QuickReader) -> None:
    assert reader.read([LONG]) == []


def test_a_long_record_among_short_ones_leaves_all_of_them_to_another_thread(reader: QuickReader) -> None:
    for count in (1, 15):
        assert reader.read([SHORT] * count + [LONG]) == []
        assert reader.read([SHORT] * count + [OTHER]) == [(b"value", 1.5)] * count + [None]


def test_a_lock_is_left_to_another_thread(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        # In WAL mode nobody can keep a reader out.
        other.execute("PRAGMA journal_mode = DELETE")
        with closing(QuickReader(file)) as reader:
            other.execute("BEGIN EXCLUSIVE")
            assert reader.read([SHORT]) == []


def test_what_cannot_be_read_is_left_to_another_thread(reader: QuickReader, file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("DROP TABLE journal_steps")
    assert reader.read([SHORT]) == []


@pytest.mark.parametrize("count", [1, 2, 16])
def test_after_a_slow_read_the_loop_is_spared_for_a_while(count: int, file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.executescript(SLOW)
    with closing(QuickReader(file)) as reader:
        reader.read([SHORT] * count)
        assert reader.read([STREAM]) == []


@pytest.mark.parametrize("count", [2, 16])
def test_a_read_of_several_is_left_to_another_thread_as_soon_as_it_is_slow(count: int, file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.executescript(SLOW)
    with closing(QuickReader(file)) as reader:
        assert reader.read([SHORT] * count) == []


@pytest.mark.parametrize(
    "keys", [[SHORT], [SHORT, OTHER], [SHORT, LONG], [SHORT] * 15 + [OTHER], [SHORT] * 15 + [LONG]]
)
def test_a_read_leaves_nothing_open_that_keeps_the_log_from_starting_anew(
    keys: list[Key], reader: QuickReader, file: Path
) -> None:
    reader.read(keys)
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def test_it_sees_what_another_connection_has_committed_since(reader: QuickReader, file: Path) -> None:
    reader.read([SHORT])
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE journal_steps SET value = x'00' WHERE step_name = 'short'")
    assert reader.read([SHORT]) == [(b"\0", 1.5)]


@pytest.mark.anyio
async def test_values_of_every_size_are_read_through_a_store(tmp_path: Path) -> None:
    async with JournalStore.from_url(f"sqlite:///{tmp_path}/journal.db") as store:
        for size in (0, 1, 65_000, 65_536, 66_000, 2_000_000):
            await store.put_step("run", str(size), bytes(size))
            entry = await store.get_step("run", str(size))
            assert entry is not None
            assert entry.value == bytes(size)


@pytest.mark.anyio
async def test_a_task_that_only_reads_lets_others_run(tmp_path: Path) -> None:
    async with JournalStore.from_url(f"sqlite:///{tmp_path}/journal.db") as store:
        await store.put_step("run", "step", 1)
        other = asyncio.create_task(asyncio.sleep(0))
        reads = 0
        while not other.done():
            await store.get_step("run", "step")
            reads += 1
        assert reads <= 2


@pytest.mark.anyio
async def test_short_and_long_values_are_read_at_the_same_time(tmp_path: Path) -> None:
    sizes = [10 * number if number % 7 else 70_000 + number for number in range(100)]
    async with JournalStore.from_url(f"sqlite:///{tmp_path}/journal.db") as store:
        await asyncio.gather(*(store.put_step("run", str(size), bytes(size)) for size in sizes))
        entries = await asyncio.gather(*(store.get_step("run", str(size)) for size in sizes))
        assert [entry and entry.value for entry in entries] == [bytes(size) for size in sizes]


@pytest.mark.anyio
async def test_each_of_many_that_wait_for_long_values_is_told_that_the_file_is_gone(tmp_path: Path) -> None:
    path, aside = tmp_path / "journal.db", tmp_path / "aside.db"
    async with JournalStore.from_url(f"sqlite:///{path}") as store:
        await asyncio.gather(*(store.put_step("run", str(number), bytes(70_000)) for number in range(20)))
        path.rename(aside)
        gets = [store.get_step("run", str(number)) for number in range(20)]
        answers = await asyncio.gather(*gets, return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailableError}
        aside.rename(path)
        entry = await store.get_step("run", "7")
        assert entry is not None
        assert entry.value == bytes(70_000)


@pytest.mark.anyio
async def test_tasks_that_read_at_the_same_time_let_others_run_in_between(tmp_path: Path, patience: None) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with JournalStore.from_url(f"sqlite:///{tmp_path}/journal.db") as store:
        await store.put_step("run", "step", 1)
        counting = asyncio.create_task(count())
        await asyncio.gather(*(store.get_step("run", "step") for _ in range(200)))
        counting.cancel()
    # In thirteen parts, with a turn between two.
    assert turns >= 12
