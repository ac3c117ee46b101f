"""schema_sql() is run by plain asyncpg at every start, as JeevesAgent's users do."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import jeevesagent.runtime as theirs
import pytest

from jeeves_journal import JournalStore, PostgresJournalStore, migrations
from tests.jeevesagent.runtimes import our_store, their_store
from tests.migrations.catalogue import schema_of
from tests.migrations.databases import rows_of
from tests.servers.postgres import execute
from tests.stores.servers import limited_user

pytestmark = pytest.mark.anyio


async def run_schema_sql(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in PostgresJournalStore.schema_sql():
            await connection.execute(statement)
    finally:
        await connection.close()


async def put_one(store: Any) -> None:
    await store.put_step("s", "step", 1)
    await store.put_stream("s", "stream", [1])


def test_it_is_a_list_of_two_statements() -> None:
    for ours, its in zip(PostgresJournalStore.schema_sql(), theirs.PostgresJournalStore.schema_sql(), strict=True):
        name = its.split()[5]
        assert f"CREATE TABLE {name} " in ours


async def test_it_makes_the_tables_in_an_empty_database(postgres_url: str) -> None:
    await run_schema_sql(postgres_url)
    await run_schema_sql(postgres_url)
    store = await PostgresJournalStore.connect(postgres_url)
    await put_one(store)
    assert (await store.get_step("s", "step")).value == 1
    await store.aclose()


async def test_the_tables_are_those_of_the_migrations(postgres_url: str) -> None:
    await run_schema_sql(postgres_url)
    before = schema_of(postgres_url)
    async with our_store(postgres_url):
        pass
    after = schema_of(postgres_url)
    assert {table: after[table] for table in before} == before


@pytest.mark.parametrize("opened", [their_store, our_store])
async def test_it_leaves_tables_alone_that_are_there(opened: Any, postgres_url: str) -> None:
    async with opened(postgres_url) as store:
        await put_one(store)
    before = rows_of(postgres_url), schema_of(postgres_url)
    await run_schema_sql(postgres_url)
    await run_schema_sql(postgres_url)
    assert (rows_of(postgres_url), schema_of(postgres_url)) == before


async def test_jeevesagent_works_on_the_tables(postgres_url: str) -> None:
    await run_schema_sql(postgres_url)
    async with their_store(postgres_url) as yours:
        await put_one(yours)
        assert (await yours.get_step("s", "step")).value == 1


async def test_init_schema_adopts_the_tables(postgres_url: str) -> None:
    await run_schema_sql(postgres_url)
    async with our_store(postgres_url) as store:
        await put_one(store)
    await asyncio.to_thread(migrations.check, postgres_url)


async def test_eight_processes_may_start_at_once(postgres_url: str) -> None:
    started = await asyncio.gather(*(run_schema_sql(postgres_url) for _ in range(8)), return_exceptions=True)
    assert started == [None] * 8


async def test_a_user_who_may_not_create_tables_may_run_it_where_they_are(migrated_postgres_url: str) -> None:
    with limited_user(migrated_postgres_url) as url:
        name = url.partition("://")[2].partition(":")[0]
        execute(migrated_postgres_url, f"GRANT ALL ON journal_steps, journal_streams TO {name}")
        await run_schema_sql(url)
        async with JournalStore.from_url(url) as store:
            await put_one(store)
            assert await store.get_stream("s", "stream") == [1]


async def test_tables_that_are_there_get_no_index_that_writers_would_wait_for(postgres_url: str) -> None:
    async with their_store(postgres_url) as store:
        await put_one(store)
    await run_schema_sql(postgres_url)
    assert execute(postgres_url, "SELECT 1 FROM pg_indexes WHERE indexname LIKE 'journal_%_idx'") == []
    await asyncio.to_thread(migrations.upgrade, postgres_url)
    await asyncio.to_thread(migrations.check, postgres_url)


async def test_tables_that_it_made_are_indexed_by_time(postgres_url: str) -> None:
    await run_schema_sql(postgres_url)
    assert len(execute(postgres_url, "SELECT 1 FROM pg_indexes WHERE indexname LIKE 'journal_%_idx'")) == 2
