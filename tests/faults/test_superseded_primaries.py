"""A primary that nobody fenced goes on answering, though another server was promoted in its place."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from jeeves_journal import JournalStore, OperableJournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.servers.addresses import moving_address
from tests.servers.crashes import fallen_silent, kill_postmaster
from tests.servers.postgres import PostgresServer, execute
from tests.servers.replicas import COMMITS_THAT_WAIT, primary_and_replica, url_of
from tests.stores.servers import database_of

pytestmark = pytest.mark.anyio

END_ALL_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
END_IDLE_ONES = f"{END_ALL_OTHERS} AND state = 'idle'"
CALLS_THAT_WAIT_FOR_LOCKS = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def store_at(url: str, *, timeout: float) -> OperableJournalStore:
    return JournalStore.from_url(url, timeout=timeout, create_tables=True)


def unfence(primary: PostgresServer) -> None:
    """Let a primary acknowledge what stands on it alone."""
    execute(primary.url(), "ALTER SYSTEM SET synchronous_standby_names = ''")
    execute(primary.url(), "SELECT pg_reload_conf()")


async def test_a_store_that_knows_the_promoted_server_uses_the_old_one_no_more():
    with primary_and_replica() as (primary, replica):
        async with moving_address(primary) as (address, move_to), store_at(address, timeout=5) as store:
            await store.put_step("s", "before", 1)
            await asyncio.to_thread(unfence, primary)
            await asyncio.to_thread(replica.promote)
            move_to(replica)
            await asyncio.to_thread(execute, primary.url(), END_ALL_OTHERS)
            await store.put_step("s", "after", 2)
            move_to(primary)
            await asyncio.to_thread(execute, replica.url(), END_ALL_OTHERS)
            with pytest.raises(StoreUnavailableError, match="another server was promoted"):
                await store.get_step("s", "after")
            with pytest.raises(StoreUnavailableError, match="another server was promoted"):
                await store.put_step("s", "astray", 3)
            move_to(replica)
            assert await recorded(store, "s", "after") == 2
        assert not await asyncio.to_thread(
            execute, primary.url(), "SELECT FROM journal_steps WHERE step_name = 'astray'"
        )


async def test_connections_to_the_old_server_end_when_the_promoted_one_is_met():
    with primary_and_replica() as (primary, replica):
        async with moving_address(primary) as (address, move_to), store_at(address, timeout=10) as store:
            await store.put_step("s", "before", 1)
            await asyncio.to_thread(unfence, primary)
            locking = await asyncpg.connect(primary.url())
            async with locking.transaction():
                await locking.execute("LOCK TABLE journal_streams IN ACCESS EXCLUSIVE MODE")
                reading = asyncio.create_task(store.get_stream("s", "chunks"))
                await seen(primary, CALLS_THAT_WAIT_FOR_LOCKS)
                await asyncio.to_thread(replica.promote)
                move_to(replica)
                await asyncio.to_thread(execute, primary.url(), END_IDLE_ONES)
                await store.put_step("s", "after", 2)
            await locking.close()
            assert await reading is None
            assert await recorded(store, "s", "after") == 2


@pytest.mark.parametrize("old", ["goes on", "is killed"])
async def test_a_deletion_is_not_taken_for_done_by_what_the_promoted_server_has_numbered_alike(old: str):
    with primary_and_replica() as (primary, replica):
        async with moving_address(primary) as (address, move_to), store_at(address, timeout=15) as store:
            await store.put_step("run", "a", 1)
            await store.put_step("s", "n", 1)
            await asyncio.to_thread(replica.promote)
            deleting = asyncio.create_task(store.delete_session("run"))
            await seen(primary, COMMITS_THAT_WAIT)
            async with JournalStore.from_url(replica.url()) as elsewhere:
                for number in range(5):
                    await elsewhere.put_step("elsewhere", f"{number}", number)
            move_to(replica)
            if old == "goes on":
                await asyncio.to_thread(execute, primary.url(), END_IDLE_ONES)
                await store.put_step("s", "after", 2)
            else:
                await asyncio.to_thread(kill_postmaster, primary)
            with pytest.raises(StoreUnavailableError, match="another server was promoted before"):
                await deleting
            assert await recorded(store, "run", "a") == 1


async def test_of_two_hosts_the_old_one_is_passed_over_wherever_it_stands():
    with primary_and_replica() as (primary, replica):
        async with store_at(url_of(primary, replica), timeout=6) as store:
            await store.put_step("s", "before", 1)
            with fallen_silent(primary):
                await asyncio.to_thread(replica.promote)
                with suppress(StoreUnavailableError):
                    await store.put_step("s", "under way", 2)
                await store.put_step("s", "after", 2)
            await asyncio.to_thread(unfence, primary)
            await asyncio.to_thread(replica.stop)
            reading = asyncio.create_task(recorded(store, "s", "after"))
            await asyncio.to_thread(replica.start)
            assert await reading == 2


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ("nothing", "SELECT NULL::pg_lsn"),
        ("object_not_in_prerequisite_state", None),
        ("feature_not_supported", None),
        ("insufficient_privilege", None),
    ],
)
async def test_a_server_that_does_not_tell_its_timeline_is_used_all_the_same(
    postgres_url: str, told: str, answer: str | None
):
    raising = f"LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION USING ERRCODE = '{told}'; END$$"
    body = raising if answer is None else f"LANGUAGE sql AS $${answer}$$"
    for statement in (
        "CREATE SCHEMA other",
        f"CREATE FUNCTION other.pg_current_wal_lsn() RETURNS pg_lsn {body}",
        f"ALTER DATABASE {database_of(postgres_url)} SET search_path = other, pg_catalog, public",
    ):
        await asyncio.to_thread(execute, postgres_url, statement)
    async with store_at(f"{postgres_url}?schema=public", timeout=10) as store:
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(50)))
        assert await recorded(store, "s", "7") == 7
        assert await store.delete_session("s") == 50


async def seen(server: PostgresServer, query: str) -> None:
    """Wait until a query finds something."""
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(execute, server.url(), query):
            pass
