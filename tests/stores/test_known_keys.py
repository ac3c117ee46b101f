"""Batches of puts on Postgres are inserted as if their keys were new, and recorded all the same where some are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from jeeves_journal import JournalStore, ManagedJournalStore, PostgresJournalStore, SchemaError
from jeeves_journal.testing.calls import recorded
from tests.servers.postgres import execute
from tests.stores.engines import store_on
from tests.stores.servers import backends

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def store_of(kind: str, url: str) -> AsyncIterator[ManagedJournalStore]:
    if kind == "engine":
        async with store_on(url) as (_, store):
            yield store
    elif kind == "pool":
        async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool, PostgresJournalStore(pool) as store:
            yield store
    else:
        options = {"pgbouncer": True} if kind == "like a pooler's" else {}
        async with JournalStore.from_url(url, **options) as store:
            yield store


async def put(store: JournalStore, numbers: range, value: object) -> None:
    """Put steps and streams of these numbers together."""
    steps = (store.put_step("s", f"{number}", value) for number in numbers)
    streams = (store.put_stream("s", f"{number}", [value]) for number in numbers)
    await asyncio.gather(*steps, *streams)


async def rolled_back(url: str) -> int:
    """How many transactions of a database came to nothing, once all connections to it have ended."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(backends, url):
            pass
    return int(execute(url, "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")[0][0])


@pytest.mark.parametrize("kind", ["own", "like a pooler's", "engine", "pool"])
async def test_keys_that_are_there_are_replaced_and_the_others_added(migrated_postgres_url: str, kind: str):
    async with store_of(kind, migrated_postgres_url) as store:
        await put(store, range(1_000, 1_010), "first")
        await put(store, range(20), "old")
        await put(store, range(10, 40), "new")
        for number, value in ((0, "old"), (9, "old"), (10, "new"), (19, "new"), (20, "new"), (39, "new")):
            assert await recorded(store, "s", f"{number}") == value
            assert await store.get_stream("s", f"{number}") == [value]


async def test_after_a_known_key_nothing_is_inserted_in_vain_for_a_while(migrated_postgres_url: str):
    before = await rolled_back(migrated_postgres_url)
    async with JournalStore.from_url(migrated_postgres_url) as store:
        for value in range(20):
            await asyncio.gather(*(store.put_step("s", f"{number}", value) for number in range(8)))
        assert await recorded(store, "s", "0") == 19
    assert await rolled_back(migrated_postgres_url) - before == 1


async def test_new_keys_are_never_inserted_in_vain(migrated_postgres_url: str):
    before = await rolled_back(migrated_postgres_url)
    async with JournalStore.from_url(migrated_postgres_url) as store:
        for number in range(20):
            await put(store, range(8 * number, 8 * number + 8), number)
        assert len(await store.get_steps("s")) == 160
    assert await rolled_back(migrated_postgres_url) == before


@pytest.mark.parametrize("table", ["journal_steps", "journal_streams"])
async def test_a_table_without_its_primary_key_takes_no_batch(migrated_postgres_url: str, table: str):
    execute(migrated_postgres_url, f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
    async with JournalStore.from_url(migrated_postgres_url) as store:
        put = store.put_step if table == "journal_steps" else store.put_stream
        for _ in range(2):
            done = await asyncio.gather(*(put("s", f"{number}", [1]) for number in range(8)), return_exceptions=True)
            assert {type(each) for each in done} == {SchemaError}
    assert not execute(migrated_postgres_url, f"SELECT FROM {table}")


async def test_a_table_that_has_lost_its_primary_key_takes_no_batch(migrated_postgres_url: str):
    async with JournalStore.from_url(migrated_postgres_url) as store:
        for number in range(3):
            await put(store, range(8 * number, 8 * number + 8), "old")
        execute(migrated_postgres_url, "ALTER TABLE journal_steps DROP CONSTRAINT journal_steps_pkey")
        for _ in range(2):
            puts = (store.put_step("s", f"{number}", "new") for number in range(8))
            done = await asyncio.gather(*puts, return_exceptions=True)
            assert {type(each) for each in done} == {SchemaError}
        assert await recorded(store, "s", "0") == "old"
    assert len(execute(migrated_postgres_url, "SELECT FROM journal_steps")) == 24
