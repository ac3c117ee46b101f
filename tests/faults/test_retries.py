"""What is tried again inside the timeout without a word to the caller, and what is not: each said by a real server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from jeeves_journal import ConfigurationError, JournalError, JournalStore, SQLAlchemyJournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.faults.figures import Figures
from tests.faults.proxy import Proxy, proxy_before
from tests.servers.postgres import PostgresServer, execute, fresh_database
from tests.stores.calls import Call
from tests.stores.pgbouncer import find_pgbouncer, pgbouncer_server
from tests.stores.servers import backends, database_of, limited_user, terminate_backends

pytestmark = pytest.mark.anyio

WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[PostgresServer]:
    with PostgresServer({"max_connections": "12"}) as server:
        yield server


@pytest.fixture
def mortal_url(mortal_server: PostgresServer) -> Iterator[str]:
    async def make_tables(url: str) -> None:
        async with JournalStore.from_url(url) as store:
            await store.init_schema()

    with fresh_database(mortal_server) as url:
        asyncio.run(make_tables(url))
        yield url


# A sequence counts attempts, also those that are rolled back. Each raises this state, up to so many times.
FAILING = """
CREATE SEQUENCE IF NOT EXISTS attempts;
ALTER SEQUENCE attempts RESTART;
CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('attempts') <= {times} THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{state}'; END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON journal_steps FOR EACH ROW EXECUTE FUNCTION fail();
"""


async def run_script(url: str, script: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


def attempts(url: str) -> int:
    count: int = execute(url, "SELECT last_value FROM attempts")[0]["last_value"]
    return count


PASSING = ("40001", "40P01", "53300", "57P01", "57P02", "57P03", "57P05", "25P03")
NOT_PASSING = (
    *("42501", "42P01", "23502", "23505", "23514", "22001", "22012", "22023", "53100", "53200", "54000"),
    *("55P03", "57014", "57P04", "40002", "25006", "58030", "XX000", "XX001", "P0001"),
)


@pytest.mark.parametrize("options", ["", "?pgbouncer=true"])
async def test_what_passes_is_tried_again(migrated_postgres_url: str, options: str):
    async with JournalStore.from_url(f"{migrated_postgres_url}{options}", timeout=20) as store:
        for state in PASSING:
            await run_script(migrated_postgres_url, FAILING.format(state=state, times=3))
            await store.put_step("s", "n", state)
            assert await recorded(store, "s", "n") == state
            assert await asyncio.to_thread(attempts, migrated_postgres_url) == 4, state


async def test_nothing_else_is_tried_again(migrated_postgres_url: str):
    async with JournalStore.from_url(migrated_postgres_url, timeout=20) as store:
        for state in NOT_PASSING:
            await run_script(migrated_postgres_url, FAILING.format(state=state, times=1))
            with pytest.raises(JournalError):
                await store.put_step("s", "n", state)
            assert await asyncio.to_thread(attempts, migrated_postgres_url) == 1, state
        assert await store.get_step("s", "n") is None


async def test_what_does_not_pass_in_time_is_an_error_that_keeps_the_servers_own(migrated_postgres_url: str):
    await run_script(migrated_postgres_url, FAILING.format(state="40001", times=1_000_000))
    async with JournalStore.from_url(migrated_postgres_url, timeout=4) as store:
        with pytest.raises(StoreUnavailableError, match="SQLSTATE 40001") as failed:
            await store.put_step("s", "n", 1)
    assert isinstance(failed.value.__cause__, asyncpg.SerializationError)
    # Pauses grow from 10 ms to as much as 1 s.
    assert 4 <= attempts(migrated_postgres_url) <= 25


async def test_a_serialization_failure(mortal_server: PostgresServer, mortal_url: str, figures: Figures):
    execute(mortal_url, f"ALTER DATABASE {database_of(mortal_url)} SET default_transaction_isolation = 'serializable'")
    one, other = (JournalStore.from_url(mortal_url, timeout=20, pool_size=2, max_overflow=0) for _ in range(2))

    async def put_often(store: SQLAlchemyJournalStore) -> None:
        for number in range(200):
            with figures.timing():
                await store.put_step("s", f"{number % 2}", number)
            figures.acknowledged += 1

    async with one, other:
        await asyncio.gather(*(put_often(store) for store in (one, other) for _ in range(3)))
    figures.others["failed serializations"] = mortal_server.log().count("could not serialize access")
    assert figures.others["failed serializations"] > 0, figures


@asynccontextmanager
async def locking(url: str, *steps: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's transaction, patient with deadlocks, holds these steps."""
    holder = await asyncpg.connect(url, server_settings={"deadlock_timeout": "60s"})
    try:
        async with holder.transaction():
            for step in steps:
                await lock(holder, step)
            yield holder
    finally:
        await holder.close()


async def lock(holder: asyncpg.Connection, step: str) -> None:
    assert await holder.execute("SELECT 1 FROM journal_steps WHERE step_name = $1 FOR UPDATE", step) == "SELECT 1"


async def one_who_waits(url: str) -> int:
    """Return the backend that waits for a lock, as soon as there is one."""
    while not (waiting := await asyncio.to_thread(execute, url, WAITING)):
        await asyncio.sleep(0.01)
    pid: int = waiting[0]["pid"]
    return pid


async def test_a_deadlock(mortal_server: PostgresServer, mortal_url: str):
    async with JournalStore.from_url(mortal_url, timeout=20) as store:
        await asyncio.gather(*(store.put_step("s", name, 0) for name in "ab"))
        async with locking(mortal_url, "b") as holder:
            puts = [asyncio.ensure_future(store.put_step("s", name, 1)) for name in "ab"]
            await one_who_waits(mortal_url)
            await lock(holder, "a")
        await asyncio.gather(*puts)
        assert [await recorded(store, "s", name) for name in "ab"] == [1, 1]
    assert "deadlock detected" in mortal_server.log()


async def test_a_backend_that_is_ended_in_the_middle_of_a_put(mortal_url: str):
    async with JournalStore.from_url(mortal_url, timeout=20) as store:
        await store.put_step("s", "n", 0)
        async with locking(mortal_url, "n"):
            put = asyncio.ensure_future(store.put_step("s", "n", 1))
            first = await one_who_waits(mortal_url)
            await asyncio.to_thread(execute, mortal_url, "SELECT pg_terminate_backend($1, 5000)", first)
            assert await one_who_waits(mortal_url) != first
        await put
        assert await recorded(store, "s", "n") == 1


async def test_a_crash_of_another_backend(mortal_server: PostgresServer, mortal_url: str):
    async with JournalStore.from_url(mortal_url, timeout=20) as store:
        await store.put_step("s", "n", 0)
        holder = await asyncpg.connect(mortal_url)
        transaction = holder.transaction()
        await transaction.start()
        await lock(holder, "n")
        put = asyncio.ensure_future(store.put_step("s", "n", 1))
        await one_who_waits(mortal_url)
        os.kill(holder.get_server_pid(), signal.SIGKILL)
        await put
        assert await recorded(store, "s", "n") == 1
        holder.terminate()
    assert "was terminated by signal 9" in mortal_server.log()


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


async def test_a_session_that_was_idle_for_too_long(migrated_postgres_url: str):
    database = database_of(migrated_postgres_url)
    execute(migrated_postgres_url, f"ALTER DATABASE {database} SET idle_session_timeout = '100ms'")
    async with JournalStore.from_url(migrated_postgres_url, timeout=20) as store:
        for number in range(3):
            await store.put_step("s", "n", number)
            while await asyncio.to_thread(backends, migrated_postgres_url):
                await asyncio.sleep(0.01)
            assert await recorded(store, "s", "n") == number


async def test_a_transaction_that_was_idle_for_too_long(migrated_postgres_url: str, figures: Figures):
    async with (
        proxy_before(migrated_postgres_url) as proxy,
        JournalStore.from_url(proxy.url, pgbouncer=True, timeout=4) as store,
    ):
        await store.put_step("s", "n", 0)
        put = asyncio.ensure_future(store.put_step("s", "n", 1))
        # Its BEGIN, and what it sets; nothing more arrives for long enough.
        for _ in range(2):
            await proxy.next_words(of_server=True)
        proxy.silence()
        while await asyncio.to_thread(backends, migrated_postgres_url):
            await asyncio.sleep(0.01)
        proxy.resume()
        await put
        assert await recorded(store, "s", "n") == 1


@pytest.fixture
def bouncer_program() -> str:
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    return program


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
