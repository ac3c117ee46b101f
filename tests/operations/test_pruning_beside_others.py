"""Pruning while other processes put, and pruning that is killed."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from textwrap import dedent
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event

from jeeves_journal import JournalStore, Pruned, SQLAlchemyJournalStore
from tests.operations.test_pruning import given, opened
from tests.stores.engines import engine_on
from tests.stores.processes import environment
from tests.stores.rows import PostgresRows, Rows, SqliteRows

pytestmark = pytest.mark.anyio

WEEK = timedelta(days=7)
# Seconds for which locks may be held.
LONGEST = 0.1

PUTTING = """
    import asyncio, itertools, sys, time
    from jeeves_journal import JournalStore

    async def main(url):
        reading = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        longest = 0.0
        async with JournalStore.from_url(url) as store:
            await store.put_step("putting", "first", 0)
            print("ready", flush=True)
            for number in itertools.count():
                started = time.perf_counter()
                await store.put_step("putting", f"{number}", number)
                longest = max(longest, time.perf_counter() - started)
                if reading.done():
                    break
        print(number, longest)

    asyncio.run(main(sys.argv[1]))
"""

PRUNING = """
    import asyncio, sys
    from datetime import timedelta
    from jeeves_journal import JournalStore

    async def main(url):
        async with JournalStore.from_url(url) as store:
            await store.prune(timedelta(days=7), batch=20, keep=["keep"], progress=lambda done: print(done, flush=True))

    asyncio.run(main(sys.argv[1]))
"""


@contextmanager
def running(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "ignore", "-c", dedent(script), *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment()) as process:
        assert process.stdout is not None
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def putting(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which puts all the time and in the end prints how often and the longest put's seconds."""
    with running(PUTTING, url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def old_sessions(rows: Rows, *, sizes: tuple[int, ...], size: int = 1000) -> Pruned:
    """Record old sessions of so many records; return what pruning them comes to."""
    records = [(f"old-{number}", f"{name}", 30) for number, many in enumerate(sizes) for name in range(many)]
    given(rows, records, size)
    return Pruned(len(sizes), len(records), len(records) * size)


async def median_transaction(store: SQLAlchemyJournalStore, held: list[float], expected: Pruned) -> float:
    assert await store.prune(WEEK) == expected
    assert held
    return sorted(held)[len(held) // 2]


@pytest.mark.parametrize(
    ("sizes", "size"), [((10,) * 2_000, 1_000), ((20_000,), 100), ((2,) * 60, 1_000_000)], ids=["many", "long", "large"]
)
async def test_the_write_lock_of_a_file_is_held_for_a_moment(tmp_path: Any, sizes: tuple[int, ...], size: int) -> None:
    rows = SqliteRows(tmp_path / "journal.db")
    await opened(rows)
    expected = old_sessions(rows, sizes=sizes, size=size)
    held = list[float]()
    async with engine_on(rows.url.replace("sqlite:", "sqlite+aiosqlite:")) as engine:

        @event.listens_for(engine.sync_engine.pool, "checkout")
        def note_the_loan(_: Any, record: Any, __: Any) -> None:
            record.info["lent"] = time.perf_counter()

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def note_the_lock(connection: Any, _: Any, statement: str, *__: Any) -> None:
            if statement.startswith("DELETE"):
                connection.info["locked"] = connection.info["lent"]

        @event.listens_for(engine.sync_engine.pool, "checkin")
        def note_the_end(_: Any, record: Any) -> None:
            if "locked" in record.info:
                held.append(time.perf_counter() - record.info.pop("locked"))

        async with SQLAlchemyJournalStore(engine) as store:
            middle = await median_transaction(store, held, expected)
    # A busy machine may stand still now and then, and not all the time.
    assert middle < LONGEST, held
    assert sum(seconds > 2 * LONGEST for seconds in held) <= len(held) / 4, held


@asynccontextmanager
async def ages_of_transactions(url: str) -> AsyncIterator[list[float]]:
    """How old each writing transaction was when it was seen last, in seconds by the server's clock."""
    query = (
        "SELECT pid, xact_start, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age "
        "FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
    )
    connection, seen = await asyncpg.connect(url), dict[Any, float]()
    ages = list[float]()

    async def watch() -> None:
        while True:
            for pid, start, age in await connection.fetch(query):
                seen[pid, start] = age

    watching = asyncio.ensure_future(watch())
    try:
        yield ages
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        ages.extend(seen.values())
        await connection.close()


@pytest.mark.parametrize(
    ("sizes", "size"), [((10,) * 1_500, 1_000), ((15_000,), 100), ((2,) * 30, 1_000_000)], ids=["many", "long", "large"]
)
async def test_rows_of_postgres_are_locked_for_a_moment(
    migrated_postgres_url: str, sizes: tuple[int, ...], size: int
) -> None:
    rows = PostgresRows(migrated_postgres_url)
    expected = old_sessions(rows, sizes=sizes, size=size)
    async with JournalStore.from_url(rows.url) as store, ages_of_transactions(rows.url) as ages:
        assert await store.prune(WEEK) == expected
    assert ages
    assert sorted(ages)[len(ages) // 2] < LONGEST, ages
    assert sum(seconds > 2 * LONGEST for seconds in ages) <= len(ages) / 4, ages


async def test_a_process_that_puts_all_the_time_goes_on(rows: Rows) -> None:
    await opened(rows)
    expected = old_sessions(rows, sizes=(10,) * 1_500 + (5_000,))
    with putting(rows.url) as process:
        async with JournalStore.from_url(rows.url) as store:
            started = time.perf_counter()
            assert await store.prune(WEEK) == expected
            seconds = time.perf_counter() - started
        printed = await asyncio.to_thread(process.communicate)
    puts, longest = printed[0].split()
    assert int(puts) > 10 * seconds
    assert float(longest) < 1, f"the longest put of {puts} took {longest} s"
    assert rows.fetch("SELECT count(DISTINCT session_id) FROM journal_steps") == [(1,)]


def everything(rows: Rows) -> list[tuple[Any, ...]]:
    return [
        tuple(map(str, row))
        for table in ("journal_steps", "journal_streams")
        for row in rows.fetch(f"SELECT session_id, step_name FROM {table} ORDER BY 1, 2")
    ]


async def test_a_pruning_that_is_killed_again_and_again_ends_as_one_that_is_not(rows: Rows) -> None:
    await opened(rows)
    dice = random.Random(7)
    order = [f"{'~' * (number % 2)}{number:03}" for number in range(100)]
    for number in range(6):
        given(rows, [(f"old-{number}", name, 60 - at / 10) for at, name in enumerate(order)])
        given(rows, [(f"{kind}-{number}", name, 30) for kind in ("keep", "young") for name in "ab"])
        given(rows, [(f"young-{number}", "c", 1)])
    kept = [row for row in everything(rows) if not row[0].startswith("old")]
    kills = -1
    is_done = False
    while not is_done:
        kills += 1
        with running(PRUNING, rows.url) as process:
            assert process.stdout is not None
            # Some progress, so that it comes to an end.
            for _ in range(12):
                process.stdout.readline()
            await asyncio.sleep(dice.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            is_done = process.wait() == 0
        for number in range(6):
            steps, streams = (
                {row[0] for row in rows.fetch(f"SELECT step_name FROM {table} WHERE session_id = 'old-{number}'")}
                for table in ("journal_steps", "journal_streams")
            )
            left = [name for name in order if name.lstrip("~") in (streams if name.startswith("~") else steps)]
            assert left == order[: len(left)]
    assert kills > 1
    assert everything(rows) == kept
