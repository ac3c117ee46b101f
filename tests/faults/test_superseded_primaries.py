"""A primary that nobody fenced goes on answering, though another server was promoted in its place."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from jeeves_journal import JournalStore, ManagedJournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.servers.addresses import moving_address
from tests.servers.postgres import PostgresServer, execute
from tests.servers.replicas import primary_and_replica

pytestmark = pytest.mark.anyio

END_ALL_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
END_IDLE_ONES = f"{END_ALL_OTHERS} AND state = 'idle'"
WHO_WAITS_FOR_LOCKS = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def store_at(url: str, *, timeout: float) -> ManagedJournalStore:
    return JournalStore.from_url(url, timeout=timeout, create_tables=True)


def unfence(primary: PostgresServer) -> None:
    """Let a primary acknowledge what stands on it alone."""
    execute(primary.url(), "ALTER SYSTEM SET synchronous_standby_names = ''")
    execute(primary.url(), "SELECT pg_reload_conf()")


async def test_a_store_that_knows_the_promoted_server_uses_the_old_one_no_more():
    with primary_and_replica() as (primary, replica):
        async with moving_address(primary) as (address, move_to), store_at(address, timeout=3) as store:
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
                await waiting_for_locks(primary)
                await asyncio.to_thread(replica.promote)
                move_to(replica)
                await asyncio.to_thread(execute, primary.url(), END_IDLE_ONES)
                await store.put_step("s", "after", 2)
            await locking.close()
            assert await reading is None
            assert await recorded(store, "s", "after") == 2


async def waiting_for_locks(server: PostgresServer) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(execute, server.url(), WHO_WAITS_FOR_LOCKS):
            pass
