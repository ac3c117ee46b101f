"""Many that upgrade, or use a database for the first time, at the same moment."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import cycle, islice
from pathlib import Path

import pytest

from jeeves_journal import JournalStore, migrations
from tests.migrations import jeeves_agent
from tests.migrations.databases import TABLES, VERSION_TABLE, gather, is_sqlite, path_of, query, table_names
from tests.migrations.ways import CHECKOUT
from tests.servers.postgres import fresh_database
from tests.stores.processes import run_together

pytestmark = pytest.mark.migrations

MANY = 12

IN_A_PROCESS = """
import asyncio, sys
from alembic.config import main
from jeeves_journal import JournalStore, migrations

way, url, number, ini = sys.argv[1:]

async def put():
    async with JournalStore.from_url(url, create_tables=True) as store:
        await store.put_step("many", number, int(number))

print("ready", flush=True)
input()
if way == "put":
    asyncio.run(put())
elif way == "upgrade":
    migrations.upgrade(url)
else:
    main(["-c", ini, "-x", f"url={url}", "upgrade", "head"])
"""

ON_AN_ENGINE_THAT_BEGINS_BY_ITSELF = """
import asyncio, sys
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine
from jeeves_journal import SQLAlchemyJournalStore

url, number = sys.argv[1:]

async def put():
    engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))

    @event.listens_for(engine.sync_engine, "connect")
    def stop_the_drivers_own_begin(connection, record):
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN")

    async with SQLAlchemyJournalStore(engine) as store:
        await store.put_step("many", number, int(number))
    await engine.dispose()

print("ready", flush=True)
input()
asyncio.run(put())
"""


@pytest.fixture(params=["empty", "JeevesAgent's"])
def unversioned_url(request: pytest.FixtureRequest, url: str) -> str:
    """The URL of a database without a version: without tables, or with JeevesAgent's."""
    if request.param != "empty":
        jeeves_agent.record_runs(url)
    return url


@pytest.fixture
def many_urls(request: pytest.FixtureRequest, url: str) -> Iterator[list[str]]:
    """The URLs of many databases without tables."""
    if is_sqlite(url):
        yield [url.replace("journal.db", f"{number}.db") for number in range(MANY)]
        return
    server = request.getfixturevalue("postgres_server")
    with ExitStack() as stack:
        yield [stack.enter_context(fresh_database(server)) for _ in range(MANY)]


async def init(url: str) -> None:
    async with JournalStore.from_url(url) as store:
        await store.init_schema()


async def put(url: str, number: int) -> None:
    async with JournalStore.from_url(url, create_tables=True) as store:
        await store.put_step("many", str(number), number)


def numbers_put(url: str) -> set[int]:
    return {int(name) for (name,) in query(url, "SELECT step_name FROM journal_steps WHERE session_id = 'many'")}


def test_processes_that_upgrade_and_put_all_succeed(unversioned_url: str) -> None:
    ways = list(islice(cycle(["put", "upgrade", "alembic"]), MANY))
    ini = CHECKOUT / "alembic.ini"
    run_together(IN_A_PROCESS, [(way, unversioned_url, number, ini) for number, way in enumerate(ways)])
    migrations.check(unversioned_url)
    assert numbers_put(unversioned_url) == {number for number, way in enumerate(ways) if way == "put"}


def test_processes_whose_engines_begin_transactions_by_themselves_all_succeed(sqlite_url: str) -> None:
    run_together(ON_AN_ENGINE_THAT_BEGINS_BY_ITSELF, [(sqlite_url, number) for number in range(MANY)])
    migrations.check(sqlite_url)
    assert numbers_put(sqlite_url) == set(range(MANY))


def test_stores_of_one_loop_that_upgrade_one_database_all_succeed(unversioned_url: str) -> None:
    gather(init(unversioned_url) for _ in range(MANY))
    migrations.check(unversioned_url)


def test_stores_of_one_loop_that_put_into_one_database_all_succeed(unversioned_url: str) -> None:
    gather(put(unversioned_url, number) for number in range(MANY))
    migrations.check(unversioned_url)
    assert numbers_put(unversioned_url) == set(range(MANY))


def test_stores_of_one_loop_that_put_into_databases_of_their_own_all_succeed(many_urls: list[str]) -> None:
    gather(put(url, number) for number, url in enumerate(many_urls))
    for number, url in enumerate(many_urls):
        migrations.check(url)
        assert numbers_put(url) == {number}


def test_stores_of_one_loop_that_put_into_both_kinds_all_succeed(sqlite_url: str, postgres_url: str) -> None:
    gather(put(url, number) for number in range(MANY // 2) for url in (sqlite_url, postgres_url))
    for url in (sqlite_url, postgres_url):
        assert numbers_put(url) == set(range(MANY // 2))
        migrations.check(url)


def test_stores_that_have_a_host_name_to_resolve_all_succeed(postgres_url: str) -> None:
    # Names are resolved in the loop's few threads, which nothing may occupy while it waits.
    named = postgres_url.replace("127.0.0.1", "localhost")
    gather(put(named, number) for number in range(MANY))
    assert numbers_put(postgres_url) == set(range(MANY))


def test_threads_with_loops_of_their_own_all_succeed(many_urls: list[str]) -> None:
    with ThreadPoolExecutor(MANY) as executor:
        list(executor.map(migrations.upgrade, many_urls))
    for url in many_urls:
        migrations.check(url)


def test_memory_databases_are_not_mixed_up() -> None:
    async def put_and_list(number: int) -> list[str]:
        async with JournalStore.from_url("sqlite+aiosqlite:///:memory:") as store:
            await store.put_step("many", str(number), number)
            return list(await store.get_steps("many"))

    assert gather(put_and_list(number) for number in range(MANY)) == [[str(number)] for number in range(MANY)]


def test_cancelling_some_leaves_the_others_to_succeed(many_urls: list[str]) -> None:
    async def cancel_half() -> None:
        upgrades = [asyncio.create_task(init(url)) for url in many_urls]
        await asyncio.wait(upgrades, return_when=asyncio.FIRST_COMPLETED)
        for upgrade in upgrades[::2]:
            upgrade.cancel()
        ended = await asyncio.gather(*upgrades, return_exceptions=True)
        assert [error for error in ended[1::2] if error] == []
        # Nothing that the cancelled ones held is left locked.
        await asyncio.gather(*map(init, many_urls))

    asyncio.run(cancel_half())
    for url in many_urls:
        migrations.check(url)


def test_cancelling_some_of_one_database_leaves_the_others_to_succeed(unversioned_url: str) -> None:
    async def cancel_half() -> None:
        upgrades = [asyncio.create_task(init(unversioned_url)) for _ in range(MANY)]
        await asyncio.wait(upgrades, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
        for upgrade in upgrades[::2]:
            upgrade.cancel()
        ended = await asyncio.gather(*upgrades, return_exceptions=True)
        assert [error for error in ended[1::2] if error] == []

    asyncio.run(cancel_half())
    migrations.check(unversioned_url)


def test_one_that_waits_for_another_process_does_not_keep_the_rest_waiting(tmp_path: Path) -> None:
    blocked, free = (f"sqlite:///{tmp_path}/{name}.db" for name in ("blocked", "free"))
    migrations.upgrade(blocked)
    migrations.downgrade(blocked, "base")
    with closing(sqlite3.connect(path_of(blocked), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def upgrade_both() -> None:
            waiting = asyncio.create_task(init(blocked))
            await asyncio.wait([waiting], timeout=0.3)
            await asyncio.wait_for(init(free), 10)
            assert not waiting.done()
            other.execute("ROLLBACK")
            await waiting

        asyncio.run(upgrade_both())
    migrations.check(blocked)
    migrations.check(free)


def test_one_that_is_cancelled_while_it_waits_for_another_process_takes_nothing_along(tmp_path: Path) -> None:
    blocked, free = (f"sqlite:///{tmp_path}/{name}.db" for name in ("blocked", "free"))
    migrations.upgrade(blocked)
    migrations.downgrade(blocked, "base")
    with closing(sqlite3.connect(path_of(blocked), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def cancel_one() -> None:
            waiting = asyncio.create_task(init(blocked))
            await asyncio.wait([waiting], timeout=0.3)
            waiting.cancel()
            await asyncio.wait_for(init(free), 10)
            other.execute("ROLLBACK")
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            await init(blocked)

        asyncio.run(cancel_one())
    migrations.check(blocked)
    migrations.check(free)


def test_printing_sql_beside_upgrades_prints_only_sql(many_urls: list[str]) -> None:
    with ThreadPoolExecutor(MANY) as executor:
        upgrades = [executor.submit(migrations.upgrade, url) for url in many_urls]
        printed = {executor.submit(migrations.sql, many_urls[0]).result() for _ in range(5)}
        for upgrade in upgrades:
            upgrade.result()
    assert len(printed) == 1
    for url in many_urls:
        assert table_names(url) == {*TABLES, VERSION_TABLE}
