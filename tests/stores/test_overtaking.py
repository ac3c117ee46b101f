"""A put that was given up on never overwrites one that was acknowledged later."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from jeeves_journal import JournalStore, PostgresJournalStore, SqliteJournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.stores.processes import environment

pytestmark = pytest.mark.anyio

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

# The first of two that are put together: the second one is free until then.
LOCK = "BEGIN; SELECT * FROM journal_steps WHERE step_name = 'a' FOR UPDATE"

PUTS_TOGETHER = """
import asyncio, sys
from jeeves_journal import JournalStore

async def put_together():
    async with JournalStore.from_url(sys.argv[1], timeout=20) as store:
        await asyncio.gather(*(store.put_step("s", name, "late") for name in "ab"))

asyncio.run(put_together())
"""


async def put_at_last(store: SqliteJournalStore, version: int) -> None:
    """Put again and again until it is acknowledged."""
    while True:
        try:
            return await store.put_step("s", "n", version)
        except StoreUnavailableError:
            continue


async def test_on_sqlite_a_put_that_timed_out_behind_a_long_read_stays_behind(tmp_path: Path):
    path = tmp_path / "journal.db"
    async with SqliteJournalStore(path) as store:
        for number in range(40):
            await store.put_step("big", f"{number}", os.urandom(2_000_000))
    async with SqliteJournalStore(path, timeout=0.1) as hasty, SqliteJournalStore(path) as patient:
        await put_at_last(hasty, 0)
        for version in range(1, 20):
            reading = asyncio.ensure_future(hasty.get_steps("big"))
            late = asyncio.ensure_future(hasty.put_step("s", "n", f"late {version}"))
            await asyncio.wait([reading, late])
            reading.exception()
            late.exception()
            await put_at_last(hasty, version)
            assert await recorded(patient, "s", "n") == version
    async with SqliteJournalStore(path) as store:
        assert await recorded(store, "s", "n") == 19


async def test_on_postgres_a_put_that_timed_out_on_a_lock_is_over_before_it_is_answered(migrated_postgres_url: str):
    holder = await asyncpg.connect(migrated_postgres_url)
    async with JournalStore.from_url(migrated_postgres_url, timeout=1) as store:
        await store.put_step("s", "n", "first")
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT * FROM journal_steps FOR UPDATE")
        with pytest.raises(StoreUnavailableError):
            await store.put_step("s", "n", "given up on")
        assert await holder.fetchval(WAITING) == 0
        again = asyncio.ensure_future(store.put_step("s", "n", "again"))
        await asyncio.sleep(0)
        await transaction.rollback()
        await again
        assert await recorded(store, "s", "n") == "again"
    await holder.close()


def test_on_postgres_a_put_that_its_event_loop_left_on_a_lock_does_not_come_late(migrated_postgres_url: str):
    store = JournalStore.from_url(migrated_postgres_url, timeout=20)

    async def put_together(value: str) -> None:
        await asyncio.gather(*(store.put_step("s", name, value) for name in "ab"))

    async def leave() -> None:
        left = asyncio.ensure_future(put_together("left"))
        await until_waiting(migrated_postgres_url, 1)
        left.cancel()

    with asyncio.Runner() as other:
        asyncio.run(put_together("first"))
        holder = other.run(asyncpg.connect(migrated_postgres_url))
        other.run(holder.execute(LOCK))
        asyncio.run(leave())
        asyncio.run(store.put_step("s", "b", "acknowledged"))
        other.run(until_waiting(migrated_postgres_url, 0))
        other.run(holder.close())
    assert asyncio.run(recorded(store, "s", "b")) == "acknowledged"
    asyncio.run(store.aclose())


async def test_on_postgres_a_put_of_a_killed_process_does_not_come_late(migrated_postgres_url: str):
    holder = await asyncpg.connect(migrated_postgres_url)
    async with JournalStore.from_url(migrated_postgres_url) as store:
        await store.put_step("s", "a", "first")
        await holder.execute(LOCK)
        command = [sys.executable, "-c", PUTS_TOGETHER, migrated_postgres_url]
        process = subprocess.Popen(command, env=environment())
        with process:
            await until_waiting(migrated_postgres_url, 1)
            process.kill()
        await store.put_step("s", "b", "acknowledged")
        await until_waiting(migrated_postgres_url, 0)
        await holder.close()
        assert await recorded(store, "s", "b") == "acknowledged"


async def until_waiting(url: str, count: int) -> None:
    """Wait until so many statements wait for a lock, a few seconds at most."""
    watcher = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(10 if count else 3):
            while await watcher.fetchval(WAITING) != count:
                await asyncio.sleep(0.02)
    finally:
        await watcher.close()


async def test_on_postgres_a_put_that_was_tried_again_is_over_before_it_is_answered(migrated_postgres_url: str):
    holder, watcher = [await asyncpg.connect(migrated_postgres_url) for _ in range(2)]
    async with JournalStore.from_url(migrated_postgres_url, timeout=1) as store:
        await store.put_step("s", "n", "first")
        async with holder.transaction():
            await holder.execute("SELECT * FROM journal_steps FOR UPDATE")
            given_up = asyncio.ensure_future(store.put_step("s", "n", "given up on"))
            await asyncio.sleep(0.6)
            assert await watcher.fetchval(WAITING.replace("count(*)", "count(pg_terminate_backend(pid))")) == 1
            with pytest.raises(StoreUnavailableError):
                await given_up
            assert await watcher.fetchval(WAITING) == 0
    for connection in (holder, watcher):
        await connection.close()


async def test_on_postgres_streams_that_waited_for_steps_are_over_before_they_are_answered(postgres_url: str):
    pool = await asyncpg.create_pool(postgres_url, min_size=1, max_size=1)
    holders = [await asyncpg.connect(postgres_url) for _ in range(2)]
    for store in (JournalStore.from_url(postgres_url, timeout=1), PostgresJournalStore(pool, timeout=1)):
        async with store:
            await store.init_schema()
            await asyncio.gather(store.put_step("s", "n", "first"), store.put_stream("s", "n", ["first"]))
            steps, streams = (holder.transaction() for holder in holders)
            await steps.start()
            await streams.start()
            await holders[0].execute("SELECT * FROM journal_steps FOR UPDATE")
            await holders[1].execute("SELECT * FROM journal_streams FOR UPDATE")
            puts = asyncio.gather(store.put_step("s", "n", 2), store.put_stream("s", "n", [2]), return_exceptions=True)
            await asyncio.sleep(0.6)
            await steps.rollback()
            assert StoreUnavailableError in map(type, await puts)
            assert await holders[0].fetchval(WAITING) == 0
            await streams.rollback()
    for holder in holders:
        await holder.close()


async def test_a_sqlite_file_that_is_replaced_before_the_first_put_takes_none(tmp_path: Path):
    path, other = tmp_path / "journal.db", tmp_path / "other.db"
    for name in (path, other):
        async with SqliteJournalStore(name) as store:
            await store.put_step("s", "n", name.name)
    async with SqliteJournalStore(path, timeout=2) as store:
        assert await recorded(store, "s", "n") == "journal.db"
        other.replace(path)
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="replaced"):
                await store.put_step("s", "n", "into nowhere")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    async with SqliteJournalStore(path) as store:
        assert await recorded(store, "s", "n") == "other.db"


async def test_closing_waits_for_an_upgrade_that_is_under_way(postgres_url: str):
    store = JournalStore.from_url(postgres_url)
    upgrading = asyncio.ensure_future(store.init_schema())
    await asyncio.sleep(0)
    await store.aclose()
    done = await asyncio.gather(upgrading, return_exceptions=True)
    assert done == [None] or "closed" in str(done[0])


async def test_an_upgrade_that_waits_for_a_table_lock_gives_up_in_time(postgres_url: str):
    holder = await asyncpg.connect(postgres_url)
    # JeevesAgent's table, which an upgrade changes.
    await holder.execute("CREATE TABLE journal_steps (session_id TEXT, step_name TEXT, value BYTEA, created_at FLOAT)")
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK TABLE journal_steps IN ACCESS SHARE MODE")
    async with JournalStore.from_url(postgres_url, timeout=1) as store:
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailableError):
                await store.init_schema()
    await transaction.rollback()
    await holder.close()
