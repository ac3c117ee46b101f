"""The indexes by time are built on tables that hold rows while others go on writing, and once only."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jeeves_journal import (
    JournalStore,
    StoreUnavailableError,
    migrations,
)
from tests.faults.proxy import proxy_before
from tests.migrations.builds import (
    BEFORE,
    BUILDING,
    INDEXES,
    assert_built,
    fill,
    indexes,
    init,
    interrupt_build,
    old_transaction,
    until,
    until_the_build_waits,
)
from tests.migrations.catalogue import schema_of
from tests.migrations.databases import query, run_script
from tests.servers.postgres import execute
from tests.stores.servers import backends, database_of, faster_than

pytestmark = pytest.mark.migrations

ROWS = 200_000


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


def test_another_upgrade_is_told_of_the_one_that_is_going_on(filled_postgres_url: str) -> None:
    async def run() -> None:
        async with old_transaction(filled_postgres_url):
            upgrading = asyncio.create_task(init(filled_postgres_url))
            await until_the_build_waits(filled_postgres_url)
            with pytest.raises(StoreUnavailableError, match="another upgrade"):
                await init(filled_postgres_url, timeout=0.5)
            assert not upgrading.done()
            upgrading.cancel()
            await asyncio.wait([upgrading])

    asyncio.run(run())


@pytest.mark.parametrize("option", ["", "?pgbouncer=true"])
def test_a_build_that_is_cancelled_says_so(filled_postgres_url: str, option: str) -> None:
    async def run() -> bool:
        async with old_transaction(filled_postgres_url):
            upgrading = asyncio.create_task(init(filled_postgres_url + option))
            await until_the_build_waits(filled_postgres_url)
            upgrading.cancel()
            await asyncio.wait([upgrading])
        return upgrading.cancelled()

    assert asyncio.run(run())


def test_a_build_on_a_server_that_falls_silent_is_unavailable(filled_postgres_url: str) -> None:
    async def run() -> None:
        async with old_transaction(filled_postgres_url), proxy_before(filled_postgres_url) as proxy:
            upgrading = asyncio.create_task(init(proxy.url, timeout=1))
            await until_the_build_waits(filled_postgres_url)
            proxy.silence()
            with faster_than(6), pytest.raises(StoreUnavailableError, match="did not answer"):
                await upgrading

    asyncio.run(run())


def test_who_asks_meanwhile_whether_the_server_answers_leaves_no_connection_open(filled_postgres_url: str) -> None:
    execute(filled_postgres_url, "CREATE SCHEMA trap")

    async def run() -> None:
        async with old_transaction(filled_postgres_url) as old, proxy_before(filled_postgres_url) as proxy:
            upgrading = asyncio.create_task(init(f"{proxy.url}?search_path=public,trap,pg_catalog"))
            builder = await until_the_build_waits(filled_postgres_url)
            # Every new connection fails while it is set up.
            trap = "CREATE VIEW trap.pg_stat_activity AS SELECT 1 / 0 AS pid, now() AS backend_start"
            await asyncio.to_thread(execute, filled_postgres_url, trap)
            ours = {*await asyncio.to_thread(backends, filled_postgres_url)} - {builder, old.get_server_pid()}
            for pid in ours:
                await asyncio.to_thread(execute, filled_postgres_url, "SELECT pg_terminate_backend($1, 5000)", pid)
            tried = proxy.opened
            while proxy.opened < tried + 4:
                await proxy.next_words(of_server=True)
            # The builder's, and one that is being tried.
            assert len(proxy.lines) <= 2
            upgrading.cancel()
            await asyncio.wait([upgrading])

    asyncio.run(run())


def test_what_an_interrupted_build_left_is_built_again(filled_postgres_url: str) -> None:
    asyncio.run(interrupt_build(filled_postgres_url))
    ((name, valid, file),) = indexes(filled_postgres_url)
    assert (name, valid) == (INDEXES[0], False)
    migrations.upgrade(filled_postgres_url)
    assert_built(filled_postgres_url)
    assert file not in {file for _, _, file in indexes(filled_postgres_url)}


def test_a_build_whose_connection_is_lost_is_unavailable(filled_postgres_url: str) -> None:
    async def run() -> None:
        async with old_transaction(filled_postgres_url):
            upgrading = asyncio.create_task(asyncio.to_thread(migrations.upgrade, filled_postgres_url))
            execute(
                filled_postgres_url,
                "SELECT pg_terminate_backend($1, 5000)",
                await until_the_build_waits(filled_postgres_url),
            )
            with pytest.raises(StoreUnavailableError):
                await upgrading

    asyncio.run(run())
    assert migrations.current(filled_postgres_url) == BEFORE
    migrations.upgrade(filled_postgres_url)
    assert_built(filled_postgres_url)


def test_one_that_an_administrator_built_is_kept(filled_postgres_url: str) -> None:
    for table in ("journal_steps", "journal_streams"):
        query(
            filled_postgres_url,
            f"CREATE INDEX CONCURRENTLY {table}_created_at_session_id_idx ON {table} (created_at, session_id)",
        )
    before = indexes(filled_postgres_url)
    migrations.upgrade(filled_postgres_url)
    assert_built(filled_postgres_url)
    assert indexes(filled_postgres_url) == before


def test_one_that_an_administrator_is_building_is_waited_for_and_kept(filled_postgres_url: str) -> None:
    by_hand = f"CREATE INDEX CONCURRENTLY {INDEXES[0]} ON journal_steps (created_at, session_id)"

    async def run() -> list[tuple[Any, ...]]:
        async with old_transaction(filled_postgres_url) as old:
            building = asyncio.create_task(asyncio.to_thread(query, filled_postgres_url, by_hand))
            await until_the_build_waits(filled_postgres_url)
            upgrading = asyncio.create_task(init(filled_postgres_url))
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'ShareUpdateExclusiveLock'"
            await until(filled_postgres_url, waiting, bool)
            before = indexes(filled_postgres_url)
            await old.execute("COMMIT")
            await building
            await upgrading
            return before

    before = asyncio.run(run())
    assert_built(filled_postgres_url)
    assert indexes(filled_postgres_url)[0][2] == before[0][2]


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


def test_a_downgrade_leaves_it(filled_postgres_url: str) -> None:
    migrations.upgrade(filled_postgres_url)
    before = schema_of(filled_postgres_url)
    migrations.downgrade(filled_postgres_url, BEFORE)
    assert schema_of(filled_postgres_url) == before
    migrations.upgrade(filled_postgres_url)
    assert schema_of(filled_postgres_url) == before


def test_bounds_that_the_server_sets_for_everybody_do_not_end_it(filled_postgres_url: str) -> None:
    name = database_of(filled_postgres_url)
    query(filled_postgres_url, f"ALTER DATABASE {name} SET lock_timeout = '50ms'")
    query(filled_postgres_url, f"ALTER DATABASE {name} SET statement_timeout = '200ms'")

    async def run() -> None:
        async with old_transaction(filled_postgres_url) as old:
            upgrading = asyncio.create_task(init(filled_postgres_url))
            await until_the_build_waits(filled_postgres_url)
            await old.execute("SELECT pg_sleep(0.1)" + 5 * "; SELECT pg_sleep(0.1)")
            assert not upgrading.done()
            await old.execute("COMMIT")
            await upgrading

    asyncio.run(run())
    assert_built(filled_postgres_url)
