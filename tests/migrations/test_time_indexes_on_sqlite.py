"""A large SQLite file is indexed by time on first use, and everybody who meets it meanwhile waits or is told why."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest

from jeeves_journal import JournalStore, StoreUnavailableError, migrations
from tests.migrations import jeeves_agent
from tests.migrations.databases import path_of, query
from tests.stores.processes import run_together

pytestmark = pytest.mark.migrations

BEFORE = "1_inline_values"
INDEXES = ["journal_steps_created_at_session_id_idx", "journal_streams_created_at_session_id_idx"]
# To index so many takes some tenths of a second.
ROWS = 600_000
SHORT = 0.05

OPEN_AND_PUT = """
    import asyncio, sys
    from jeeves_journal import JournalStore

    async def put(url, number):
        async with JournalStore.from_url(url) as store:
            await store.put_step("many", number, int(number))
            return (await store.get_step("many", number)).value

    print("ready", flush=True)
    input()
    print(asyncio.run(put(*sys.argv[1:])))
"""


@pytest.fixture
def filled_url(sqlite_url: str) -> str:
    """The URL of a file with many steps, at the revision before."""
    migrations.upgrade(sqlite_url, BEFORE)
    fill(sqlite_url)
    return sqlite_url


def fill(url: str) -> None:
    query(
        url,
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) "
        # In an order that is not that of the keys, as runs that go on side by side have it.
        "INSERT INTO journal_steps SELECT 'run-' || i / 50, i, randomblob(8), (i * 7919) % 1000003 FROM n",
    )


def assert_built(url: str) -> None:
    assert query(url, "SELECT name FROM sqlite_master WHERE name LIKE 'journal_%_idx' ORDER BY 1") == [
        (name,) for name in INDEXES
    ]
    migrations.check(url)


def test_a_build_that_takes_longer_than_the_timeout_ends_well(filled_url: str) -> None:
    async def init() -> float:
        async with JournalStore.from_url(filled_url, timeout=SHORT) as store:
            started = time.monotonic()
            await store.init_schema()
            return time.monotonic() - started

    assert asyncio.run(init()) > SHORT
    assert_built(filled_url)


def test_a_file_of_jeeves_agents_is_indexed_too(agent_sqlite_url: str) -> None:
    fill(agent_sqlite_url)
    migrations.upgrade(agent_sqlite_url, timeout=SHORT)
    assert_built(agent_sqlite_url)
    steps = query(agent_sqlite_url, "SELECT count(*) FROM journal_steps")
    assert steps == [(ROWS + len(jeeves_agent.STEPS),)]


def test_a_call_that_cannot_wait_for_the_build_says_so_and_a_later_one_succeeds(filled_url: str) -> None:
    async def put() -> list[str]:
        refusals = []
        async with JournalStore.from_url(filled_url, timeout=SHORT) as store:
            while True:
                try:
                    await store.put_step("run", "step", 1)
                except StoreUnavailableError as error:
                    refusals.append(str(error))
                else:
                    return refusals

    assert any("being upgraded" in refusal for refusal in asyncio.run(put()))
    assert_built(filled_url)


def test_the_event_loop_goes_on_during_the_build(filled_url: str) -> None:
    async def init() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        async with JournalStore.from_url(filled_url) as store:
            # Opened, and Alembic imported: what is left is the build.
            await asyncio.to_thread(__import__, "alembic.command")
            building = asyncio.create_task(store.init_schema())
            began = last = loop.time()
            longest = 0.0
            while not building.done():
                await asyncio.sleep(0)
                now = loop.time()
                longest, last = max(longest, now - last), now
            await building
            return longest, loop.time() - began

    longest, whole = asyncio.run(init())
    assert longest < whole / 2


def test_processes_that_open_it_at_once_all_succeed(filled_url: str) -> None:
    answers = run_together(OPEN_AND_PUT, [(filled_url, number) for number in range(6)])
    assert answers == [str(number) for number in range(6)]
    assert_built(filled_url)


def test_who_waits_in_vain_for_another_process_is_told_of_its_upgrade(sqlite_url: str) -> None:
    migrations.upgrade(sqlite_url, BEFORE)

    async def put(**options: float) -> None:
        async with JournalStore.from_url(sqlite_url, **options) as store:
            await store.put_step("run", "step", 1)

    with closing(sqlite3.connect(path_of(sqlite_url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="upgrading it"):
            asyncio.run(put(timeout=2))
        other.execute("ROLLBACK")
    asyncio.run(put())
    assert_built(sqlite_url)
