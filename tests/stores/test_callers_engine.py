"""A store over a caller's own engine: it borrows, and gives back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from jeeves_journal import (
    ConfigurationError,
    SchemaError,
    SQLAlchemyJournalStore,
    StepRecord,
    StoreClosedError,
    StoreUnavailableError,
)
from jeeves_journal.testing.calls import recorded
from tests.stores.engines import checked_out, engine_on, for_asyncpg, store_on, url_of

pytestmark = pytest.mark.anyio


class OtherDialect(SQLiteDialect_aiosqlite):
    """SQLAlchemy's dialect of a driver that the store does not know."""

    driver = "otherdriver"
    supports_statement_cache = True


registry.register("sqlite.otherdriver", __name__, "OtherDialect")


@pytest.fixture(params=["file", "memory", "postgres"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with engine_on(url_of(request.param, request, tmp_path)) as engine:
        yield engine


async def test_it_records_and_reads(engine: AsyncEngine):
    async with SQLAlchemyJournalStore(engine) as store:
        await asyncio.gather(*(store.put_step("s", f"{number:02}", number) for number in range(20)))
        await store.put_stream("s", "n", [1, 2])
        assert [entry.value for entry in (await store.get_steps("s")).values()] == list(range(20))
        assert await store.get_stream("s", "n") == [1, 2]


async def test_the_engine_works_on_after_the_store_is_closed(engine: AsyncEngine):
    async with SQLAlchemyJournalStore(engine) as store:
        await store.put_step("s", "n", 1)
    async with AsyncSession(engine) as session:
        (record,) = (await session.scalars(select(StepRecord))).all()
        assert (record.session_id, record.step_name) == ("s", "n")
    async with SQLAlchemyJournalStore(engine) as store:
        assert await recorded(store, "s", "n") == 1


async def test_no_connection_stays_checked_out_between_calls(engine: AsyncEngine):
    async with SQLAlchemyJournalStore(engine) as store:
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(100)))
        await store.get_steps("s")
        assert checked_out(engine) == 0


@pytest.mark.parametrize("turns", range(6))
async def test_no_connection_stays_checked_out_after_cancelled_calls(engine: AsyncEngine, turns: int):
    async with SQLAlchemyJournalStore(engine) as store:
        await store.put_step("s", "n", 1)
        calls = [asyncio.ensure_future(call) for call in (store.put_step("s", "n", 2), store.get_step("s", "n"))]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await store.put_step("s", "n", 3)
        assert await recorded(store, "s", "n") == 3
    assert checked_out(engine) == 0


@pytest.mark.parametrize("kind", ["file", "postgres"])
async def test_one_connection_is_enough_for_many_callers(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    async with store_on(url_of(kind, request, tmp_path), pool_size=1, max_overflow=0) as (_, store):

        async def call(number: int) -> None:
            await store.put_step("s", f"{number}", number)
            assert await recorded(store, "s", f"{number}") == number
            assert f"{number}" in await store.get_steps("s")

        await asyncio.gather(*(call(number) for number in range(50)))


async def test_a_pool_that_is_used_up_is_a_store_that_is_unavailable(migrated_postgres_url: str):
    async with store_on(migrated_postgres_url, pool_size=1, max_overflow=0, pool_timeout=0.3) as (engine, store):
        async with engine.connect():
            with pytest.raises(StoreUnavailableError):
                await store.put_step("s", "n", 1)
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2


async def test_a_call_that_waits_for_a_pool_is_bounded_by_the_stores_timeout(migrated_postgres_url: str):
    async with store_on(migrated_postgres_url, timeout=0.5, pool_size=1, max_overflow=0) as (engine, store):
        async with engine.connect():
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                await store.put_step("s", "n", 1)
            assert time.monotonic() - started < 2.5
        await store.put_step("s", "n", 2)


async def test_missing_tables_are_the_callers_to_make_on_postgres(postgres_url: str):
    async with store_on(postgres_url) as (_, store):
        with pytest.raises(SchemaError, match="init_schema"):
            await store.put_step("s", "n", 1)
        await store.init_schema()
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2


async def test_another_driver_is_refused_by_name(tmp_path: Path):
    async with engine_on(f"sqlite+otherdriver:///{tmp_path}/app.db") as engine:
        with pytest.raises(ConfigurationError, match="otherdriver"):
            SQLAlchemyJournalStore(engine)


@pytest.mark.parametrize("make", [lambda: create_engine("sqlite://"), lambda: "sqlite:///x.db", lambda: None])
def test_what_is_no_async_engine_is_refused(make: Any):
    with pytest.raises(ConfigurationError):
        SQLAlchemyJournalStore(make())


async def test_options_of_a_pool_are_refused_since_the_engine_has_its_own(migrated_postgres_url: str):
    async with engine_on(migrated_postgres_url) as engine:
        with pytest.raises(ConfigurationError, match="pool_size"):
            SQLAlchemyJournalStore(engine, pool_size=3)


async def test_an_engine_on_no_server_is_soon_a_store_that_is_unavailable():
    async with store_on("postgresql://u:hunter2@127.0.0.1:1/db") as (_, store):
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError) as failed:
            await store.put_step("s", "n", 1)
        assert time.monotonic() - started < 5
        assert "hunter2" not in f"{store!r}{failed.value}"


@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_an_engine_does_not_follow_its_store_into_a_new_loop(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    engine = create_async_engine(for_asyncpg(url_of(kind, request, tmp_path)))
    store = SQLAlchemyJournalStore(engine)

    async def first() -> None:
        await store.put_step("s", "n", 1)
        await engine.dispose()

    asyncio.run(first())
    with pytest.raises(StoreClosedError, match="engine"):
        asyncio.run(store.get_step("s", "n"))
    asyncio.run(store.aclose())


async def test_what_the_caller_did_to_the_tables_is_seen(engine: AsyncEngine):
    async with SQLAlchemyJournalStore(engine) as store:
        await store.put_step("s", "n", 1)
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM journal_steps"))
        assert await store.get_step("s", "n") is None
