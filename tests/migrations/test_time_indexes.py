"""The indexes by time are built on tables that hold rows while others go on writing, and once only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from jeeves_journal import JournalStore, StoreUnavailableError, migrations
from tests.migrations.catalogue import schema_of
from tests.migrations.databases import gather, query, run_script
from tests.servers.postgres import execute
from tests.stores.pgbouncer import find_pgbouncer, pgbouncer
from tests.stores.processes import run_together

pytestmark = pytest.mark.migrations

BEFORE = "1_inline_values"
INDEXES = ["journal_steps_created_at_session_id_idx", "journal_streams_created_at_session_id_idx"]
MANY = 12
ROWS = 200_000

BUILDING = "SELECT pid, phase FROM pg_stat_progress_create_index WHERE datname = current_database()"

UPGRADE = """
    import sys
    from jeeves_journal import migrations

    print("ready", flush=True)
    input()
    migrations.upgrade(sys.argv[1])
"""


def fill(url: str, rows: int) -> None:
    """Record steps and streams by plain SQL in tables of the revision before."""
    migrations.upgrade(url, BEFORE)
    for table in ("journal_steps", "journal_streams"):
        query(
            url,
            f"INSERT INTO {table} SELECT 'run-' || n / 50, n::text, decode(md5(n::text), 'hex'), n "
            f"FROM generate_series(1, {rows}) AS n",
        )


def indexes(url: str) -> list[tuple[Any, ...]]:
    """Return the name, the validity and the file of each index by time."""
    return query(
        url,
        "SELECT relname, indisvalid, relfilenode FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE relname LIKE 'journal_%\\_idx' ORDER BY 1",
    )


def assert_built(url: str) -> None:
    assert [(name, valid) for name, valid, _ in indexes(url)] == [(name, True) for name in INDEXES]
    migrations.check(url)


async def until(url: str, statement: str, wanted: Callable[[list[Any]], bool]) -> list[Any]:
    """Ask the server until it answers what is wanted."""
    deadline = time.monotonic() + 30
    while not wanted(rows := await asyncio.to_thread(execute, url, statement)):
        assert time.monotonic() < deadline, rows
    return rows


async def until_the_build_waits(url: str) -> int:
    """Wait until a build has come to others' old transactions; return the process id of its backend."""
    rows = await until(url, BUILDING, lambda rows: bool(rows) and "waiting" in rows[0]["phase"])
    return int(rows[0]["pid"])


@asynccontextmanager
async def old_transaction(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction of somebody else's, which has written a step and for which a build has to wait."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN")
        await connection.execute("INSERT INTO journal_steps VALUES ('old', 'old', '', 1)")
        yield connection
    finally:
        await connection.close()


async def init(url: str, **options: Any) -> None:
    async with JournalStore.from_url(url, **options) as store:
        await store.init_schema()


@pytest.fixture
def filled_url(postgres_url: str) -> str:
    """The URL of a database whose tables hold a few rows and are at the revision before."""
    fill(postgres_url, 100)
    return postgres_url


async def interrupt_build(url: str) -> None:
    """Let an upgrade begin to build, and end its backend in the middle of it."""
    async with old_transaction(url):
        upgrading = asyncio.create_task(init(url))
        execute(url, "SELECT pg_terminate_backend($1, 5000)", await until_the_build_waits(url))
        upgrading.cancel()
        await asyncio.wait([upgrading])


def test_writers_go_on_while_it_waits_for_an_old_transaction_for_longer_than_the_timeout(postgres_url: str) -> None:
    fill(postgres_url, ROWS)

    async def run() -> int:
        puts = 0
        async with old_transaction(postgres_url) as old, JournalStore.from_url(postgres_url, timeout=5) as writer:
            upgrading = asyncio.create_task(init(postgres_url, timeout=1))
            await until_the_build_waits(postgres_url)
            started = time.monotonic()
            while time.monotonic() < started + 3:
                async with asyncio.timeout(2):
                    await writer.put_step("meanwhile", f"{puts}", puts)
                    await writer.put_stream("meanwhile", f"{puts}", [puts])
                puts += 1
            assert not upgrading.done()
            assert execute(postgres_url, BUILDING)
            await old.execute("COMMIT")
            await upgrading
            assert len(await writer.get_steps("meanwhile")) == puts
        return puts

    assert asyncio.run(run()) > 10
    assert_built(postgres_url)


def test_another_upgrade_is_told_of_the_one_that_is_going_on(filled_url: str) -> None:
    async def run() -> None:
        async with old_transaction(filled_url):
            upgrading = asyncio.create_task(init(filled_url))
            await until_the_build_waits(filled_url)
            with pytest.raises(StoreUnavailableError, match="another upgrade"):
                await init(filled_url, timeout=0.5)
            assert not upgrading.done()
            upgrading.cancel()
            await asyncio.wait([upgrading])

    asyncio.run(run())


def test_what_an_interrupted_build_left_is_built_again(filled_url: str) -> None:
    asyncio.run(interrupt_build(filled_url))
    ((name, valid, file),) = indexes(filled_url)
    assert (name, valid) == (INDEXES[0], False)
    migrations.upgrade(filled_url)
    assert_built(filled_url)
    assert file not in {file for _, _, file in indexes(filled_url)}


def test_a_build_whose_connection_is_lost_is_unavailable(filled_url: str) -> None:
    async def run() -> None:
        async with old_transaction(filled_url):
            upgrading = asyncio.create_task(asyncio.to_thread(migrations.upgrade, filled_url))
            execute(filled_url, "SELECT pg_terminate_backend($1, 5000)", await until_the_build_waits(filled_url))
            with pytest.raises(StoreUnavailableError):
                await upgrading

    asyncio.run(run())
    assert migrations.current(filled_url) == BEFORE
    migrations.upgrade(filled_url)
    assert_built(filled_url)


def test_one_that_an_administrator_built_is_kept(filled_url: str) -> None:
    for table in ("journal_steps", "journal_streams"):
        query(
            filled_url,
            f"CREATE INDEX CONCURRENTLY {table}_created_at_session_id_idx ON {table} (created_at, session_id)",
        )
    before = indexes(filled_url)
    migrations.upgrade(filled_url)
    assert_built(filled_url)
    assert indexes(filled_url) == before


def test_one_that_an_administrator_is_building_is_waited_for_and_kept(filled_url: str) -> None:
    by_hand = f"CREATE INDEX CONCURRENTLY {INDEXES[0]} ON journal_steps (created_at, session_id)"

    async def run() -> list[tuple[Any, ...]]:
        async with old_transaction(filled_url) as old:
            building = asyncio.create_task(asyncio.to_thread(query, filled_url, by_hand))
            await until_the_build_waits(filled_url)
            upgrading = asyncio.create_task(init(filled_url))
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'ShareUpdateExclusiveLock'"
            await until(filled_url, waiting, bool)
            before = indexes(filled_url)
            await old.execute("COMMIT")
            await building
            await upgrading
            return before

    before = asyncio.run(run())
    assert_built(filled_url)
    assert indexes(filled_url)[0][2] == before[0][2]


def test_an_empty_table_that_somebody_writes_to_keeps_no_writer_waiting(postgres_url: str) -> None:
    migrations.upgrade(postgres_url, BEFORE)

    async def run() -> None:
        async with old_transaction(postgres_url) as old, JournalStore.from_url(postgres_url) as writer:
            upgrading = asyncio.create_task(init(postgres_url))
            await until_the_build_waits(postgres_url)
            async with asyncio.timeout(2):
                await writer.put_step("meanwhile", "step", 1)
            await old.execute("COMMIT")
            await upgrading

    asyncio.run(run())
    assert_built(postgres_url)


def test_processes_that_upgrade_filled_tables_all_succeed(filled_url: str) -> None:
    run_together(UPGRADE, [(filled_url,)] * MANY)
    assert_built(filled_url)


def test_processes_that_upgrade_after_an_interrupted_build_all_succeed(filled_url: str) -> None:
    asyncio.run(interrupt_build(filled_url))
    run_together(UPGRADE, [(filled_url,)] * MANY)
    assert_built(filled_url)


def test_it_is_built_in_a_named_schema(postgres_url: str) -> None:
    schema = 'we"ird 50% :a'
    migrations.upgrade(postgres_url, BEFORE, schema=schema)
    run_script(
        postgres_url,
        "INSERT INTO \"we\"\"ird 50% :a\".journal_steps VALUES ('run', 'step', '', 1)",
    )
    migrations.upgrade(postgres_url, schema=schema)
    migrations.check(postgres_url, schema=schema)
    where = "SELECT indexname FROM pg_indexes WHERE schemaname = 'we\"ird 50% :a' AND indexname LIKE '%_idx' ORDER BY 1"
    assert query(postgres_url, where) == [(name,) for name in INDEXES]


def test_a_downgrade_leaves_it(filled_url: str) -> None:
    migrations.upgrade(filled_url)
    before = schema_of(filled_url)
    migrations.downgrade(filled_url, BEFORE)
    assert schema_of(filled_url) == before
    migrations.upgrade(filled_url)
    assert schema_of(filled_url) == before


@pytest.mark.parametrize("connections", [2, 3])
def test_behind_a_pooler_processes_that_upgrade_filled_tables_all_succeed(filled_url: str, connections: int) -> None:
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with pgbouncer(program, filled_url, connections=connections) as pooled:
        run_together(UPGRADE, [(f"{pooled}?pgbouncer=true",)] * MANY)
        gather(init(f"{pooled}?pgbouncer=true") for _ in range(MANY))
    assert_built(filled_url)


def test_a_pooler_with_one_connection_is_told_to_be_too_small(filled_url: str) -> None:
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with (
        pgbouncer(program, filled_url, connections=1) as pooled,
        pytest.raises(StoreUnavailableError, match="two connections"),
    ):
        migrations.upgrade(f"{pooled}?pgbouncer=true", timeout=2)
    assert migrations.current(filled_url) == BEFORE
