"""A store over a caller's own engine changes nothing of the caller's: no transaction, no setting, no lock."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from jeeves_journal import SQLAlchemyJournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.stores.engines import engine_on, store_on, url_of

pytestmark = pytest.mark.anyio

MEMORY = "sqlite+aiosqlite:///:memory:"
ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0}


@pytest.fixture
async def file_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with engine_on(f"sqlite+aiosqlite:///{tmp_path}/app.db") as engine:
        yield engine


async def put_twenty(store: SQLAlchemyJournalStore) -> None:
    await asyncio.gather(*(store.put_step("s", f"{number:02}", number) for number in range(20)))
    assert [entry.value for entry in (await store.get_steps("s")).values()] == list(range(20))


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
async def test_a_callers_transactions_on_sqlite_keep_their_synchronous_level(file_engine: AsyncEngine, level: str):
    @event.listens_for(file_engine.sync_engine, "connect")
    def set_level(connection: Any, record: object) -> None:
        connection.execute(f"PRAGMA synchronous = {level}")

    async with SQLAlchemyJournalStore(file_engine) as store:
        await put_twenty(store)
        async with file_engine.connect() as connection:
            assert await connection.scalar(text("PRAGMA synchronous")) == {"OFF": 0, "NORMAL": 1}[level]


async def test_a_callers_connections_to_postgres_keep_their_synchronous_commit(migrated_postgres_url: str):
    off = {"server_settings": {"synchronous_commit": "off"}}
    async with store_on(migrated_postgres_url, connect_args=off, **ONE_CONNECTION) as (engine, store):
        await put_twenty(store)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SHOW synchronous_commit")) == "off"


async def test_a_callers_transactions_on_postgres_keep_their_isolation_level(migrated_postgres_url: str):
    level = "SERIALIZABLE"
    async with store_on(migrated_postgres_url, isolation_level=level, **ONE_CONNECTION) as (engine, store):
        await put_twenty(store)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SHOW transaction_isolation")) == "serializable"


@pytest.mark.parametrize("kind", ["file", "memory", "postgres"])
async def test_a_callers_transactions_roll_back_as_before(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    async with store_on(url_of(kind, request, tmp_path)) as (engine, store):
        await put_twenty(store)
        async with engine.connect() as connection:
            await connection.execute(text("DELETE FROM journal_steps"))
            await connection.rollback()
        assert await recorded(store, "s", "03") == 3


@pytest.mark.parametrize("kind", ["file", "memory", "postgres"])
async def test_an_engine_in_autocommit_mode_serves_too(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    async with store_on(url_of(kind, request, tmp_path), isolation_level="AUTOCOMMIT") as (_, store):
        await put_twenty(store)
        assert len(await store.get_steps("s")) == 20


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE"])
async def test_sqlalchemys_recipe_for_transactions_on_sqlite_is_no_obstacle(file_engine: AsyncEngine, begin: str):
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#enabling-non-legacy-sqlite-transactional-modes-with-the-sqlite3-or-aiosqlite-driver
    @event.listens_for(file_engine.sync_engine, "connect")
    def stop_the_drivers_own_begin(connection: Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(file_engine.sync_engine, "begin")
    def begin_as_told(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    async with SQLAlchemyJournalStore(file_engine) as store:
        await put_twenty(store)
        async with file_engine.begin() as connection:
            await connection.execute(text("DELETE FROM journal_steps WHERE step_name = '00'"))
        assert len(await store.get_steps("s")) == 19


# Python 3.12 made it the recommended way: https://docs.python.org/3/library/sqlite3.html#sqlite3.Connection.autocommit.
WAYS_TO_BEGIN = [{"isolation_level": "IMMEDIATE"}, *([{"autocommit": False}] if sys.version_info >= (3, 12) else [])]


@pytest.mark.parametrize("way", WAYS_TO_BEGIN, ids=str)
async def test_connections_that_begin_transactions_in_their_own_way_keep_it(tmp_path: Path, way: dict[str, Any]):
    async with store_on(f"sqlite+aiosqlite:///{tmp_path}/app.db", connect_args=way) as (engine, store):
        await put_twenty(store)
        for end in ("rollback", "commit"):
            async with engine.connect() as connection:
                await connection.execute(text("DELETE FROM journal_steps WHERE step_name = '00'"))
                await getattr(connection, end)()
            assert len(await store.get_steps("s")) == {"rollback": 20, "commit": 19}[end]


@pytest.mark.parametrize("call", [lambda store: store.put_step("s", "n", 2), lambda store: store.get_step("s", "00")])
async def test_a_transaction_on_the_one_connection_in_memory_is_neither_committed_nor_rolled_back(call: Any):
    async with store_on(MEMORY, timeout=2) as (engine, store):
        await put_twenty(store)
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE orders (id INTEGER)"))
            await connection.commit()
            await connection.execute(text("INSERT INTO orders VALUES (7)"))
            await asyncio.gather(call(store), return_exceptions=True)
            assert await connection.scalar(text("SELECT count(*) FROM orders")) == 1, "it was rolled back"
            await connection.rollback()
            assert await connection.scalar(text("SELECT count(*) FROM orders")) == 0, "it was committed"
        await store.put_step("s", "n", 3)
        assert await recorded(store, "s", "n") == 3


async def test_a_put_into_the_middle_of_a_transaction_in_memory_is_refused_and_says_why():
    async with store_on(MEMORY, timeout=2) as (engine, store):
        await put_twenty(store)
        async with engine.connect() as connection:
            await connection.execute(text("DELETE FROM journal_steps"))
            with pytest.raises(StoreUnavailableError, match="transaction"):
                await store.put_step("s", "n", 2)


async def test_a_put_beside_a_statement_of_the_callers_that_is_half_read_is_not_acknowledged():
    # It would be committed no sooner than that statement.
    async with store_on(MEMORY, isolation_level="AUTOCOMMIT", timeout=3) as (engine, store):
        await store.put_step("s", "n", 1)
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE numbers (number INTEGER)"))
            insert = "INSERT INTO numbers SELECT value FROM json_each('[1, 2, 3]') RETURNING number"
            rows = await connection.stream(text(insert))
            await rows.fetchone()
            with pytest.raises(StoreUnavailableError):
                await store.put_step("s", "n", 2)
            await rows.close()
        assert await recorded(store, "s", "n") == 1


async def test_a_cancelled_operation_leaves_the_type_of_texts_as_it_was():
    async with store_on(MEMORY) as (engine, store):
        await store.put_step("s", "n", 1)
        for turns in range(100):
            operation = asyncio.create_task(store.sessions())
            for _ in range(turns):
                await asyncio.sleep(0)
            operation.cancel()
            await asyncio.wait([operation])
            async with engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                assert driver.text_factory is str


async def test_a_callers_lock_on_its_own_file_is_a_store_that_is_unavailable(tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path}/app.db"
    async with store_on(url, connect_args={"timeout": 0.3}) as (engine, store):
        await put_twenty(store)
        async with engine.connect() as connection:
            await connection.execute(text("DELETE FROM journal_steps"))
            with pytest.raises(StoreUnavailableError, match="lock"):
                await store.put_step("s", "n", 2)
        await store.put_step("s", "n", 3)
        assert await recorded(store, "s", "n") == 3


async def test_the_callers_json_codecs_and_types_are_as_they_were(migrated_postgres_url: str):
    async with store_on(migrated_postgres_url, **ONE_CONNECTION) as (engine, store):
        async with engine.connect() as connection:
            before = await connection.scalar(text("""SELECT '{"a": 1}'::jsonb"""))
        await put_twenty(store)
        async with engine.connect() as connection:
            assert await connection.scalar(text("""SELECT '{"a": 1}'::jsonb""")) == before
