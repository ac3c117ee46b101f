"""Reads on the event loop's own thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jeeves_journal import JournalStore
from jeeves_journal.stores.dialects.rows import Key
from jeeves_journal.stores.dialects.sqlite.quick import QuickReader

READ = "SELECT value, created_at FROM journal_steps WHERE session_id = ? AND step_name = ?"
SLOW = f"""
WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 200000)
{READ} AND (SELECT max(n) FROM count) > 0
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE journal_steps (session_id, step_name, value, created_at)")
        rows = [("run", "short", b"value", 1.5), ("run", "long", bytes(70_000), 1.5)]
        connection.executemany("INSERT INTO journal_steps VALUES (?, ?, ?, ?)", rows)
    return path


@pytest.fixture
def reader(file: Path) -> Iterator[QuickReader]:
    with closing(QuickReader(file)) as reader:
        yield reader


def test_a_short_record_is_read(reader: QuickReader) -> None:
    assert reader.read(READ, Key("step", "run", "short")) == [(b"value", 1.5)]


def test_a_record_that_is_not_there_is_known_not_to_be(reader: QuickReader) -> None:
    assert reader.read(READ, Key("step", "run", "other")) == []


def test_a_long_record_is_left_to_another_thread(reader: QuickReader) -> None:
    assert reader.read(READ, Key("step", "run", "long")) is None


def test_a_lock_is_left_to_another_thread(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        # In WAL mode nobody can keep a reader out.
        other.execute("PRAGMA journal_mode = DELETE")
        with closing(QuickReader(file)) as reader:
            other.execute("BEGIN EXCLUSIVE")
            assert reader.read(READ, Key("step", "run", "short")) is None


def test_what_cannot_be_read_is_left_to_another_thread(reader: QuickReader, file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("DROP TABLE journal_steps")
    assert reader.read(READ, Key("step", "run", "short")) is None


def test_after_a_slow_read_the_loop_is_spared_for_a_while(reader: QuickReader) -> None:
    assert reader.read(SLOW, Key("step", "run", "short")) == [(b"value", 1.5)]
    assert reader.read(READ, Key("step", "run", "short")) is None


def test_a_read_leaves_nothing_open_that_keeps_the_log_from_starting_anew(reader: QuickReader, file: Path) -> None:
    reader.read(READ, Key("step", "run", "short"))
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def test_it_sees_what_another_connection_has_committed_since(reader: QuickReader, file: Path) -> None:
    reader.read(READ, Key("step", "run", "short"))
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE journal_steps SET value = x'00' WHERE step_name = 'short'")
    assert reader.read(READ, Key("step", "run", "short")) == [(b"\0", 1.5)]


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
