"""Servers that go away and come back, upgrades that never end, callers that are cancelled: nothing recorded is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from jeeves_journal import JournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.servers.postgres import ExternalPostgres, PostgresServer, execute
from tests.stores.servers import faster_than

pytestmark = pytest.mark.anyio

# What every upgrade of a journal locks, in the whole database.
UPGRADE_LOCK = int.from_bytes(b"jeeves")


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[PostgresServer]:
    with PostgresServer({"synchronous_commit": "off"}) as server:
        yield server


@asynccontextmanager
async def endless_upgrade(url: str) -> AsyncIterator[None]:
    """Somebody else is upgrading, or died without his connection noticing."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({UPGRADE_LOCK})")
        yield
    finally:
        await connection.close()


def stop_upgrades_that_wait(url: str) -> list[int]:
    """Stop the server's processes for upgrades that wait for another, once there is one, and return them."""
    waiting: list[int] = []
    while not waiting:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE $1"
        waiting = [pid for (pid,) in execute(url, query, "SELECT pg_try_advisory_lock%")]
    for each in waiting:
        os.kill(each, signal.SIGSTOP)
    return waiting


async def test_an_upgrade_that_waits_for_anothers_is_given_up_in_time(postgres_url: str):
    async with JournalStore.from_url(postgres_url, timeout=1) as store:
        async with endless_upgrade(postgres_url):
            with pytest.raises(StoreUnavailableError):
                # Not bounded by a test's own patience: the store's timeout bounds every call.
                await asyncio.wait_for(store.init_schema(), 5)
        await store.init_schema()
        await store.put_step("s", "n", 1)


async def test_a_first_call_that_waits_for_anothers_upgrade_is_given_up_in_time(postgres_url: str):
    # Long enough for the upgrade that the second call makes, also on a machine that has more to do.
    async with JournalStore.from_url(postgres_url, timeout=3, create_tables=True) as store:
        async with endless_upgrade(postgres_url):
            with faster_than(6), pytest.raises(StoreUnavailableError):
                await store.put_step("s", "n", 1)
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2


async def test_an_upgrade_whose_server_process_is_stopped_while_it_waits_leaves_no_connection_open(
    postgres_server: PostgresServer | ExternalPostgres, postgres_url: str
):
    if not isinstance(postgres_server, PostgresServer):
        pytest.skip("the processes of a server that we did not start may be anywhere")
    async with endless_upgrade(postgres_url):
        stopping = asyncio.ensure_future(asyncio.to_thread(stop_upgrades_that_wait, postgres_url))
        try:
            async with JournalStore.from_url(postgres_url, timeout=1, create_tables=True) as store:
                # The first call's upgrade is given up while the later ones wait.
                for _ in range(3):
                    with pytest.raises(StoreUnavailableError):
                        await store.put_step("s", "n", 1)
        finally:
            for each in await stopping:
                os.kill(each, signal.SIGCONT)
    # The database is dropped after the test, once nobody is connected to it.


async def test_closing_does_not_wait_for_an_upgrade_that_never_ends(postgres_url: str):
    async with endless_upgrade(postgres_url):
        store = JournalStore.from_url(postgres_url, timeout=1, create_tables=True)
        with pytest.raises(StoreUnavailableError):
            await store.put_step("s", "n", 1)
        await asyncio.wait_for(store.aclose(), 5)


async def test_a_server_that_is_down_for_a_while_fails_calls_in_time_and_serves_again_afterwards(
    mortal_server: PostgresServer,
):
    async with JournalStore.from_url(mortal_server.url(), timeout=3, create_tables=True) as store:
        await store.put_step("down", "n", 1)
        mortal_server.stop("immediate")
        with faster_than(6), pytest.raises(StoreUnavailableError):
            await store.put_step("down", "n", 2)
        mortal_server.start()
        await store.put_step("down", "n", 3)
        assert await recorded(store, "down", "n") == 3


async def test_a_crash_of_the_server_under_load_is_ridden_out_and_loses_nothing_that_was_acknowledged(
    mortal_server: PostgresServer,
):
    acknowledged: set[str] = set()
    over = asyncio.Event()

    async def work(worker: int) -> None:
        number = 0
        while not over.is_set():
            name = f"{worker}-{number}"
            await store.put_step("crash", name, name)
            acknowledged.add(name)
            number += 1

    async with JournalStore.from_url(mortal_server.url(), timeout=30, create_tables=True) as store:
        workers = asyncio.gather(*(work(worker) for worker in range(16)))
        for _ in range(3):
            enough = len(acknowledged) + 200
            while len(acknowledged) < enough:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(mortal_server.restart, "immediate")
        over.set()
        await workers
        assert acknowledged <= set(await store.get_steps("crash"))


async def test_a_storm_of_cancelled_calls_leaves_a_healthy_store_and_no_task(migrated_postgres_url: str):
    before = asyncio.all_tasks()
    async with JournalStore.from_url(migrated_postgres_url, pool_size=2, max_overflow=0) as store:
        for turns in range(150):
            calls = [store.put_step("s", "n", turns), store.get_step("s", "n"), store.get_steps("s")]
            futures = [asyncio.ensure_future(call) for call in calls]
            for _ in range(turns % 12):
                await asyncio.sleep(0)
            for future in futures:
                future.cancel()
            await asyncio.gather(*futures, return_exceptions=True)
        await store.put_step("s", "n", "last")
        assert await recorded(store, "s", "n") == "last"
    assert asyncio.all_tasks() == before
