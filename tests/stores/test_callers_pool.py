"""A store over a caller's ``asyncpg.Pool``: it works on the pool's connections and leaves them as they were."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from jeeves_journal import ConfigurationError, PostgresJournalStore, StoreClosedError
from jeeves_journal.testing.calls import recorded

pytestmark = pytest.mark.anyio


async def use_json(connection: Any) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1, init=use_json) as pool:
        yield pool


async def test_it_upgrades_and_records_on_connections_that_come_back_as_they_were(pool: Any):
    before = await pool.fetchval("SELECT pg_backend_pid()")
    async with PostgresJournalStore(pool, close_pool=False) as store:
        await store.init_schema()
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(50)))
        assert await recorded(store, "s", "7") == 7
        assert len(await store.get_steps("s")) == 50
    assert await pool.fetchval("SELECT pg_backend_pid()") == before
    assert await pool.fetchval("""SELECT '{"a": 1}'::jsonb""") == {"a": 1}


async def test_closing_the_store_closes_the_pool_unless_told_otherwise(pool: Any):
    await PostgresJournalStore(pool, close_pool=False).aclose()
    assert not pool.is_closing()
    store = PostgresJournalStore(pool)
    await store.aclose()
    await store.aclose()
    assert pool.is_closing()


async def test_a_pool_whose_connections_are_kept_elsewhere_is_closed_in_time(pool: Any):
    async with pool.acquire():
        async with asyncio.timeout(5):
            await PostgresJournalStore(pool, timeout=0.2).aclose()
    assert pool.is_closing()


async def test_a_closed_pool_is_named(pool: Any):
    await pool.close()
    with pytest.raises(StoreClosedError, match="pool is closed"):
        await PostgresJournalStore(pool).get_step("s", "n")


async def test_a_pool_that_was_not_opened_is_named(postgres_url: str):
    with pytest.raises(StoreClosedError, match="was not opened"):
        await PostgresJournalStore(asyncpg.create_pool(postgres_url)).get_step("s", "n")


async def test_a_pool_of_another_event_loop_is_named(pool: Any):
    def call_in_another_loop() -> None:
        with pytest.raises(StoreClosedError, match="another event loop"):
            asyncio.run(PostgresJournalStore(pool, close_pool=False).get_step("s", "n"))

    await asyncio.to_thread(call_in_another_loop)


async def test_what_is_no_pool_is_refused():
    with pytest.raises(ConfigurationError, match="not an asyncpg.Pool"):
        PostgresJournalStore("postgresql://h/db")  # type: ignore[arg-type]


@pytest.mark.parametrize(("min_size", "max_size"), [(5, 2), (0, 0), (-1, 3)])
async def test_sizes_that_make_no_sense_are_refused(migrated_postgres_url: str, min_size: int, max_size: int):
    with pytest.raises(ConfigurationError, match="max_size"):
        await PostgresJournalStore.connect(migrated_postgres_url, min_size=min_size, max_size=max_size)
