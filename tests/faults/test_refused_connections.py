"""Connections that a server or a pooler refuses: which are tried again inside the timeout, and which are not."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from jeeves_journal import ConfigurationError, JournalStore, SQLAlchemyJournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.faults.proxy import Proxy, proxy_before
from tests.servers.postgres import PostgresServer, execute, fresh_database
from tests.stores.calls import Call
from tests.stores.pgbouncer import pgbouncer_server
from tests.stores.servers import limited_user, terminate_backends

pytestmark = pytest.mark.anyio


async def refused_at_first(
    proxy: Proxy, store: SQLAlchemyJournalStore, call: Call = lambda store: store.put_step("s", "n", 1)
) -> asyncio.Future[None]:
    """Make a call, and return once several attempts were made in vain."""
    before = proxy.opened
    put = asyncio.ensure_future(call(store))
    while proxy.opened < before + 4:
        await proxy.next_words(of_server=True)
    assert not put.done()
    return put


@pytest.mark.parametrize("was_open", [False, True])
async def test_no_connection_left_for_the_user(migrated_postgres_url: str, was_open: bool):
    with limited_user(migrated_postgres_url) as url:
        role = url.partition("//")[2].partition(":")[0]
        execute(migrated_postgres_url, f"GRANT SELECT, INSERT, UPDATE ON journal_steps, journal_streams TO {role}")
        execute(migrated_postgres_url, f"ALTER ROLE {role} CONNECTION LIMIT 1")
        async with proxy_before(url) as proxy, JournalStore.from_url(proxy.url, timeout=20) as store:
            if was_open:
                await store.put_step("s", "n", 0)
                await asyncio.to_thread(terminate_backends, migrated_postgres_url)
            squatter = await asyncpg.connect(url)
            put = await refused_at_first(proxy, store)
            await squatter.close()
            await put
            assert await recorded(store, "s", "n") == 1


async def test_an_upgrade_and_a_server_without_free_connections(mortal_server: PostgresServer):
    with fresh_database(mortal_server) as url:
        async with proxy_before(url) as proxy, JournalStore.from_url(proxy.url, timeout=20) as store:
            squatters = await every_connection(url)
            upgrade = await refused_at_first(proxy, store, lambda store: store.init_schema())
            for squatter in squatters:
                await squatter.close()
            await upgrade
            await store.put_step("s", "n", 1)
            assert await recorded(store, "s", "n") == 1


async def every_connection(url: str) -> list[asyncpg.Connection]:
    squatters = []
    with pytest.raises(asyncpg.TooManyConnectionsError):
        while True:
            squatters.append(await asyncpg.connect(url))
    return squatters


@pytest.mark.parametrize("was_open", [False, True])
async def test_a_server_without_free_connections(mortal_server: PostgresServer, mortal_url: str, was_open: bool):
    async with proxy_before(mortal_url) as proxy, JournalStore.from_url(proxy.url, timeout=20) as store:
        if was_open:
            await store.put_step("s", "n", 0)
            await asyncio.to_thread(terminate_backends, mortal_url)
        squatters = await every_connection(mortal_url)
        put = await refused_at_first(proxy, store)
        for squatter in squatters:
            await squatter.close()
        await put
        assert await recorded(store, "s", "n") == 1


@pytest.mark.parametrize("was_open", [False, True])
async def test_a_server_that_shuts_down_and_comes_back(mortal_server: PostgresServer, mortal_url: str, was_open: bool):
    async with proxy_before(mortal_url) as proxy, JournalStore.from_url(proxy.url, timeout=30) as store:
        if was_open:
            await store.put_step("s", "n", 0)
            await asyncio.to_thread(terminate_backends, mortal_url)
        # While it is connected, the server refuses everybody else with 57P03, and does not end.
        last = await asyncpg.connect(mortal_url)
        stopping = asyncio.ensure_future(asyncio.to_thread(mortal_server.stop, "smart"))
        with pytest.raises(asyncpg.CannotConnectNowError):
            while True:
                await (await asyncpg.connect(mortal_url)).close()
        put = await refused_at_first(proxy, store)
        await last.close()
        await stopping
        await asyncio.to_thread(mortal_server.start)
        await put
        assert await recorded(store, "s", "n") == 1


async def test_a_pooler_whose_server_is_away(bouncer_program: str, mortal_server: PostgresServer, mortal_url: str):
    with pgbouncer_server(bouncer_program, mortal_url, default_pool_size=2, server_login_retry=1) as bouncer:
        url = f"{bouncer.url}?pgbouncer=true"
        async with JournalStore.from_url(url, timeout=30) as store, JournalStore.from_url(url, timeout=1) as hasty:
            await asyncio.gather(store.put_step("s", "n", 0), hasty.put_step("s", "m", 0))
            await asyncio.to_thread(mortal_server.stop, "immediate")
            put = asyncio.ensure_future(store.put_step("s", "n", 1))
            for _ in range(2):
                with pytest.raises(StoreUnavailableError):
                    await hasty.put_step("s", "m", 1)
            await asyncio.to_thread(mortal_server.start)
            await put
            assert await recorded(store, "s", "n") == 1


async def test_a_pooler_without_room_for_more_clients(bouncer_program: str, migrated_postgres_url: str):
    with pgbouncer_server(bouncer_program, migrated_postgres_url, max_client_conn=2) as bouncer:
        squatters = [await asyncpg.connect(bouncer.url, statement_cache_size=0) for _ in range(2)]
        async with (
            JournalStore.from_url(f"{bouncer.url}?pgbouncer=true", timeout=20) as store,
            JournalStore.from_url(f"{bouncer.url}?pgbouncer=true", timeout=0.5) as hasty,
        ):
            put = asyncio.ensure_future(store.put_step("s", "n", 1))
            with pytest.raises(StoreUnavailableError):
                await hasty.put_step("s", "n", 0)
            assert not put.done()
            for squatter in squatters:
                squatter.terminate()
            await put
            assert await recorded(store, "s", "n") == 1


@pytest.mark.parametrize(("right", "wrong"), [("/journal?", "/unknown?"), ("?", "?jit=off&")])
async def test_what_a_pooler_will_always_refuse(
    bouncer_program: str, migrated_postgres_url: str, right: str, wrong: str
):
    with pgbouncer_server(bouncer_program, migrated_postgres_url) as bouncer:
        url = f"{bouncer.url}?pgbouncer=true".replace(right, wrong)
        async with JournalStore.from_url(url, timeout=20) as store, asyncio.timeout(5):
            with pytest.raises(ConfigurationError):
                await store.put_step("s", "n", 1)
