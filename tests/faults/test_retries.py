"""What a server says of a statement that is tried again inside the timeout without a word to the caller, or is not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from jeeves_journal import JournalError, JournalStore, SQLAlchemyJournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.faults.figures import Figures
from tests.faults.proxy import proxy_before
from tests.servers.postgres import PostgresServer, execute
from tests.stores.servers import backends, database_of

pytestmark = pytest.mark.anyio

WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


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
