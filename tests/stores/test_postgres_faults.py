"""What a Postgres that is down, silent or locked is to a caller: an error in time, and never with a password."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from jeeves_journal import (
    ConfigurationError,
    JournalStore,
    PostgresJournalStore,
    StoreUnavailableError,
)
from jeeves_journal.testing.calls import recorded
from tests.servers.postgres import execute
from tests.stores.calls import EVERY_CALL, SECRET, Call, error_of, put
from tests.stores.engines import store_on
from tests.stores.servers import (
    closed_port,
    database_of,
    faster_than,
    hanging_up_once,
    locked_tables,
    silent_server,
    slow_to_hang_up,
    terminate_backends,
)

pytestmark = pytest.mark.anyio

ONE_OF_EACH_LANE = pytest.mark.parametrize(
    "call",
    [put, lambda store: store.get_step("s", "n"), lambda store: store.get_steps("s")],
    ids=["put", "get", "get_steps"],
)


@EVERY_CALL
async def test_a_server_that_never_answers(call: Call):
    async with silent_server() as port:
        with faster_than(3):
            error = await error_of(f"postgresql://u:{SECRET}@127.0.0.1:{port}/db", call, timeout=1)
    assert type(error) is StoreUnavailableError
    assert "1 s" in str(error)


@EVERY_CALL
async def test_a_server_that_is_down(call: Call):
    with faster_than(3):
        error = await error_of(f"postgresql://u:{SECRET}@127.0.0.1:{closed_port()}/db", call)
    assert type(error) is StoreUnavailableError


async def test_several_servers_that_are_down():
    url = f"postgresql://u:{SECRET}@127.0.0.1:{closed_port()},127.0.0.1:{closed_port()}/db"
    with faster_than(3):
        assert type(await error_of(url, put)) is StoreUnavailableError


async def test_a_host_that_has_no_address():
    with faster_than(10):
        error = await error_of(f"postgresql://u:{SECRET}@nowhere.invalid/db", put, timeout=8)
    assert type(error) is StoreUnavailableError


async def test_a_socket_that_is_not_there(tmp_path: Any):
    with faster_than(3):
        error = await error_of(f"postgresql://u:{SECRET}@/db?host={tmp_path}", put)
    assert type(error) is StoreUnavailableError


async def test_a_server_that_hangs_up_once_it_was_reached_is_called_again(migrated_postgres_url: str):
    async with hanging_up_once(migrated_postgres_url, b"statement_timeout") as url, JournalStore.from_url(url) as store:
        await store.put_step("s", "n", 1)
        assert await recorded(store, "s", "n") == 1


async def test_a_server_that_speaks_something_else():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with faster_than(5):
            error = await error_of(f"postgresql://u:{SECRET}@127.0.0.1:{port}/db?sslmode=disable", put, timeout=3)
    assert isinstance(error, StoreUnavailableError | ConfigurationError)


@ONE_OF_EACH_LANE
async def test_a_table_that_somebody_locked_is_waited_for_in_time_and_serves_again_afterwards(
    migrated_postgres_url: str, call: Call
):
    async with JournalStore.from_url(migrated_postgres_url, timeout=1) as store:
        await store.put_step("s", "n", 0)
        async with locked_tables(migrated_postgres_url):
            with faster_than(3), pytest.raises(StoreUnavailableError):
                await call(store)
        for number in range(3):
            await store.put_step("s", "n", number)
            assert await recorded(store, "s", "n") == number


@ONE_OF_EACH_LANE
async def test_a_connection_that_the_server_ended_is_replaced_before_its_end_arrives(
    migrated_postgres_url: str, call: Call
):
    async with slow_to_hang_up(migrated_postgres_url) as (url, hung_up):
        store = JournalStore.from_url(url)
        await call(store)
        await asyncio.to_thread(terminate_backends, migrated_postgres_url)
        await hung_up.wait()
        await call(store)
        await store.put_step("s", "after", 1)
        assert await recorded(store, "s", "after") == 1
    await store.aclose()


@asynccontextmanager
async def own_store(url: str) -> AsyncIterator[JournalStore]:
    async with JournalStore.from_url(url) as store:
        yield store


@asynccontextmanager
async def store_on_engine(url: str) -> AsyncIterator[JournalStore]:
    async with store_on(url) as (_, store):
        yield store


@asynccontextmanager
async def store_on_pool(url: str) -> AsyncIterator[JournalStore]:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, PostgresJournalStore(pool) as store:
        yield store


@pytest.mark.parametrize("opened", [own_store, store_on_engine, store_on_pool])
async def test_a_server_that_takes_no_writes_for_a_while_is_waited_for_on_new_connections(
    postgres_server: Any, migrated_postgres_url: str, opened: Callable[[str], AbstractAsyncContextManager[JournalStore]]
):
    database = f"ALTER DATABASE {database_of(migrated_postgres_url)}"
    async with opened(migrated_postgres_url) as store:
        await store.put_step("s", "n", 1)
        # It holds for sessions that begin then, for all their life.
        execute(postgres_server.url(), f"{database} SET default_transaction_read_only = on")
        terminate_backends(migrated_postgres_url)
        put = asyncio.ensure_future(store.put_step("s", "n", 2))
        await asyncio.wait([put], timeout=0.5)
        assert not put.done()
        execute(postgres_server.url(), f"{database} RESET default_transaction_read_only")
        with faster_than(5):
            await put
        assert await recorded(store, "s", "n") == 2


async def test_many_callers_of_a_locked_table_all_fail_in_time(migrated_postgres_url: str):
    async with JournalStore.from_url(migrated_postgres_url, timeout=1) as store:
        await store.put_step("s", "n", 0)
        async with locked_tables(migrated_postgres_url):
            with faster_than(3):
                puts = (store.put_step("s", f"{number}", number) for number in range(600))
                errors = await asyncio.gather(*puts, return_exceptions=True)
        assert {type(error) for error in errors} == {StoreUnavailableError}
        assert {error.step_name for error in errors} == {f"{number}" for number in range(600)}
        await store.put_step("s", "after", 1)
        assert await recorded(store, "s", "after") == 1


async def test_closing_while_a_table_is_locked_takes_no_longer_than_the_timeout(migrated_postgres_url: str):
    store = JournalStore.from_url(migrated_postgres_url, timeout=1)
    await store.put_step("s", "n", 0)
    async with locked_tables(migrated_postgres_url):
        stuck = asyncio.ensure_future(store.put_step("s", "n", 1))
        await asyncio.sleep(0)
        with faster_than(4):
            await store.aclose()
        with pytest.raises(StoreUnavailableError):
            await stuck
