"""A caller's asyncpg.Pool is lent and given back as it was; what it cannot do is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import asyncpg
import jeevesagent.runtime as theirs
import pytest

import jeeves_journal as ours
from jeeves_journal import (
    ConfigurationError,
    PostgresJournalStore,
    PostgresRuntime,
    SchemaError,
    StoreClosedError,
    StoreError,
    migrations,
)
from tests.jeevesagent.runtimes import their_store
from tests.migrations.databases import revision_of
from tests.stores.servers import limited_user

pytestmark = pytest.mark.anyio

SIZE = 3


async def set_codecs(connection: Any) -> None:
    """Do what callers do in ``init=``: give their connections codecs of their own."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=json.dumps, decoder=lambda text: ("the caller's", json.loads(text))
        )


async def set_codecs_of_our_columns(connection: Any) -> None:
    """Do so for the types that our tables are made of."""
    settings = {"schema": "pg_catalog", "encoder": lambda value: value}
    await connection.set_type_codec("bytea", decoder=memoryview, format="binary", **settings)
    await connection.set_type_codec("float8", schema="pg_catalog", encoder=str, decoder=Decimal)


async def reset_nothing(connection: Any) -> None:
    """Leave a connection as its user left it, so that nothing that we might leave is hidden."""


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Any]:
    settings = {"synchronous_commit": "off", "application_name": "the caller's", "statement_timeout": "55s"}
    async with asyncpg.create_pool(
        postgres_url,
        min_size=SIZE,
        max_size=SIZE,
        init=set_codecs,
        reset=reset_nothing,
        server_settings=settings,
    ) as pool:
        yield pool


async def state_of(pool: Any) -> list[Any]:
    """Return, of each of its connections, the backend, every setting, and what its codecs make of JSON."""
    state = []
    async with AsyncExitStack() as stack:
        for connection in [await stack.enter_async_context(pool.acquire()) for _ in range(SIZE)]:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            settings = await connection.fetch("SELECT name, setting FROM pg_settings ORDER BY name")
            decoded = tuple(await connection.fetchrow("SELECT '1'::json, '2'::jsonb"))
            encoded = tuple(await connection.fetchrow("SELECT $1::json::text, $2::jsonb::text", [1], {"a": 2}))
            locks = await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            state.append((pid, list(map(tuple, settings)), decoded, encoded, locks))
    return sorted(state)


async def use(store: PostgresJournalStore) -> None:
    await store.init_schema()
    await store.init_schema()
    await asyncio.gather(*(store.put_step("s", str(number), number) for number in range(50)))
    await asyncio.gather(*(store.get_step("s", str(number)) for number in range(50)))
    await store.put_stream("s", "stream", [1])
    assert await store.get_stream("s", "stream") == [1]
    assert len(await store.get_steps("s")) == 50


async def test_connections_come_back_as_they_were(pool: Any) -> None:
    before = await state_of(pool)
    assert before[0][2] == (("the caller's", 1), ("the caller's", 2))
    await use(PostgresJournalStore(pool))
    assert await state_of(pool) == before


async def test_connections_come_back_after_a_call_that_fails(pool: Any) -> None:
    before = await state_of(pool)
    with pytest.raises(SchemaError):
        await PostgresJournalStore(pool).put_step("s", "step", 1)
    assert await state_of(pool) == before


async def test_connections_come_back_after_an_upgrade_that_is_refused(postgres_url: str) -> None:
    with limited_user(postgres_url) as url:
        async with asyncpg.create_pool(url, min_size=SIZE, max_size=SIZE, init=set_codecs) as pool:
            before = await state_of(pool)
            with pytest.raises(ConfigurationError):
                await PostgresJournalStore(pool).init_schema()
            assert await state_of(pool) == before


@pytest.mark.parametrize("make", [ours.PostgresJournalStore, theirs.PostgresJournalStore])
async def test_a_pool_may_read_bytes_and_times_as_types_of_the_callers(make: Any, postgres_url: str) -> None:
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1, init=set_codecs_of_our_columns) as pool:
        store = make(pool)
        await store.init_schema()
        await store.put_step("s", "step", [1])
        await store.put_stream("s", "stream", [2])
        assert (await store.get_step("s", "step")).value == [1]
        assert await store.get_stream("s", "stream") == [2]


async def by_schema_sql(url: str) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        for statement in PostgresJournalStore.schema_sql():
            await pool.execute(statement)


async def by_jeevesagent(url: str) -> None:
    async with their_store(url):
        pass


async def by_a_downgrade(url: str) -> None:
    await asyncio.to_thread(migrations.upgrade, url)
    await asyncio.to_thread(migrations.downgrade, url, "base")


@pytest.mark.parametrize("made", [by_schema_sql, by_jeevesagent, by_a_downgrade])
@pytest.mark.parametrize("init", [set_codecs, reset_nothing])
async def test_tables_without_a_version_are_adopted_through_a_pool(made: Any, init: Any, postgres_url: str) -> None:
    await made(postgres_url)
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1, init=init) as pool:
        await use(PostgresJournalStore(pool))
    assert revision_of(postgres_url) == migrations.HEAD


async def test_a_pool_whose_callers_hold_all_connections_is_waited_for(pool: Any) -> None:
    store = PostgresJournalStore(pool)
    await store.init_schema()
    async with AsyncExitStack() as stack:
        for _ in range(SIZE):
            await stack.enter_async_context(pool.acquire())
        put = asyncio.create_task(store.put_step("s", "step", 1))
        await asyncio.sleep(0.05)
        assert not put.done()
    await put


@pytest.mark.parametrize("make", [PostgresJournalStore, PostgresRuntime])
async def test_aclose_closes_the_pool(make: Any, pool: Any) -> None:
    await make(pool).aclose()
    assert pool.is_closing()


async def test_aclose_closes_the_pool_of_a_store_that_was_used(pool: Any) -> None:
    store = PostgresJournalStore(pool)
    await use(store)
    await store.aclose()
    await store.aclose()
    assert pool.is_closing()


async def test_aclose_leaves_the_pool_open_where_that_is_asked(pool: Any) -> None:
    store = PostgresJournalStore(pool, close_pool=False)
    await use(store)
    await store.aclose()
    with pytest.raises(StoreClosedError):
        await store.get_step("s", "1")
    assert await pool.fetchval("SELECT 1") == 1


async def test_stores_share_a_pool(pool: Any) -> None:
    first, second = (PostgresJournalStore(pool, close_pool=False) for _ in range(2))
    await first.init_schema()
    await first.put_step("s", "step", 1)
    await first.aclose()
    assert (await second.get_step("s", "step")).value == 1


async def test_a_closed_pool_is_said(pool: Any) -> None:
    store = PostgresJournalStore(pool)
    await store.init_schema()
    await pool.close()
    for call in (store.get_step("s", "step"), store.put_step("s", "step", 1), store.init_schema()):
        with pytest.raises(StoreClosedError, match="pool is closed"):
            await call
    await store.aclose()


async def test_a_pool_that_was_never_opened_is_said(postgres_url: str) -> None:
    store = PostgresJournalStore(asyncpg.create_pool(postgres_url))
    with pytest.raises(StoreError, match="pool"):
        await store.get_step("s", "step")


def test_a_pool_of_another_event_loop_is_said(postgres_url: str) -> None:
    with asyncio.Runner() as first, asyncio.Runner() as second:
        pool = first.run(_opened(postgres_url))
        try:
            with pytest.raises(StoreError, match="pool belongs to another event loop"):
                second.run(PostgresJournalStore(pool).get_step("s", "step"))
        finally:
            first.run(pool.close())


def test_a_pool_whose_event_loop_is_closed_is_said(postgres_url: str) -> None:
    with asyncio.Runner() as first:
        pool = first.run(_opened(postgres_url))
        store = PostgresJournalStore(pool)
        first.run(store.init_schema())
        first.run(pool.close())
    with asyncio.Runner() as second, pytest.raises(StoreError, match="event loop .*pool belongs to was closed"):
        second.run(store.get_step("s", "step"))


async def _opened(url: str) -> Any:
    return await asyncpg.create_pool(url, min_size=1, max_size=1)


async def test_something_that_is_no_pool_is_refused_at_once(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    for given in (connection, None, postgres_url):
        with pytest.raises(ConfigurationError, match="is not an asyncpg.Pool"):
            PostgresJournalStore(given)
    await connection.close()
