"""A primary and a synchronous replica: the primary dies, falls silent or steps down, and the replica is promoted."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jeeves_journal import JournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.faults.figures import Figures
from tests.faults.ledger import Ledger
from tests.faults.load import READERS, WRITERS, under_load
from tests.servers.addresses import moving_address
from tests.servers.crashes import children_of, fallen_silent, kill_postmaster, postmaster_of
from tests.servers.postgres import PostgresServer, execute
from tests.servers.replicas import COMMITS_THAT_WAIT, demote, primary_and_replica, url_of

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def replica_behind(primary: PostgresServer, replica: PostgresServer) -> AsyncIterator[None]:
    """The replica receives nothing: commits on the primary wait for it."""
    processes = children_of(postmaster_of(replica))
    [receiver] = [each for each in processes if "walreceiver" in Path(f"/proc/{each}/cmdline").read_text()]
    os.kill(receiver, signal.SIGSTOP)
    try:
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(execute, primary.url(), COMMITS_THAT_WAIT):
                pass
        yield
    finally:
        os.kill(receiver, signal.SIGCONT)


async def test_a_primary_that_dies_while_its_commits_wait_for_the_replica(figures: Figures, long: bool):
    seed = random.randrange(2**32)
    random.seed(seed)
    stalls: list[float] = []
    for _ in range(200 if long else 2):
        ledger = Ledger(figures)
        with primary_and_replica() as (primary, replica):
            url = f"{url_of(primary, replica)}?target_session_attrs=read-write"
            store = JournalStore.from_url(url, timeout=15, create_tables=True)
            async with store, under_load(store, ledger, seed=seed) as load:
                await load.acknowledgements(random.randrange(500, 1500))
                async with replica_behind(primary, replica):
                    await asyncio.to_thread(kill_postmaster, primary)
                died = time.time()
                await asyncio.sleep(random.uniform(0, 1))
                await asyncio.to_thread(replica.promote)
                promoted = time.time()
                await load.acknowledgements(500)
                stalls.append(await load.first_after(died))
                figures.others["from promotion to acknowledgement"] = await load.first_after(promoted)
            await ledger.verify(replica.url())
    figures.others |= {"longest without acknowledgement": max(stalls), "seed": str(seed)}
    assert (figures.lost, figures.wrong, figures.refused) == (0, 0, 0), figures
    assert max(stalls) < 15, figures


async def test_a_replica_that_is_behind_for_longer_than_the_timeout(figures: Figures):
    """Callers are refused, and nobody is told that what stands on one disk only is recorded."""
    ledger = Ledger(figures)
    with primary_and_replica() as (primary, replica):
        store = JournalStore.from_url(url_of(primary, replica), timeout=2, create_tables=True)
        async with store, under_load(store, ledger, seed=0) as load:
            await load.acknowledgements(500)
            async with replica_behind(primary, replica):
                await load.refusals(2 * WRITERS)
                await asyncio.to_thread(kill_postmaster, primary)
            await asyncio.to_thread(replica.promote)
            await load.acknowledgements(500)
        await ledger.verify(replica.url())
    assert (figures.lost, figures.wrong) == (0, 0), figures
    assert figures.longest_stall < 2 + 2, figures


async def test_a_primary_that_falls_silent(figures: Figures):
    """What is under way then is refused, once; the next calls find the promoted replica."""
    timeout, ledger = 6, Ledger(figures)
    with primary_and_replica() as (primary, replica):
        store = JournalStore.from_url(url_of(primary, replica), timeout=timeout, create_tables=True)
        async with store, under_load(store, ledger, seed=0) as load:
            await load.acknowledgements(500)
            with fallen_silent(primary):
                silent = time.time()
                await asyncio.to_thread(replica.promote)
                stall = await load.first_after(time.time())
                await load.acknowledgements(500)
                resumed = time.time() - silent
                # By now every call that was under way then is over.
                await asyncio.sleep(max(timeout + 1 - resumed, 0))
            await load.acknowledgements(500)
        await ledger.verify(replica.url())
    figures.others["longest without acknowledgement"] = stall
    assert (figures.lost, figures.wrong) == (0, 0), figures
    assert 0 < figures.refused <= WRITERS + READERS, figures
    assert figures.longest_stall < timeout + 2, figures
    assert stall < 2 * timeout, figures


@pytest.mark.parametrize("named", ["both hosts", "one address"])
async def test_a_primary_that_comes_back_as_a_standby_before_the_replica_is_promoted(figures: Figures, named: str):
    ledger = Ledger(figures)
    with primary_and_replica() as (primary, replica):
        async with moving_address(primary) as (address, move_to):
            url = url_of(replica, primary) if named == "both hosts" else address
            store = JournalStore.from_url(url, timeout=20, create_tables=True)
            async with store, under_load(store, ledger, seed=0) as load:
                await load.acknowledgements(500)
                await asyncio.to_thread(primary.stop, "fast")
                demote(primary)
                await asyncio.to_thread(primary.start)
                stepped_down = time.time()
                await connections(primary, 20)
                await asyncio.to_thread(replica.promote)
                move_to(replica)
                promoted = time.time()
                await load.acknowledgements(500)
                figures.others["longest without acknowledgement"] = await load.first_after(stepped_down)
                figures.others["from promotion to acknowledgement"] = await load.first_after(promoted)
            await ledger.verify(replica.url())
    assert (figures.lost, figures.wrong, figures.refused) == (0, 0, 0), figures


async def test_a_store_that_has_written_reads_nothing_from_a_standby():
    """Which may not have what was recorded last: a step would run again."""
    with PostgresServer() as server:
        async with JournalStore.from_url(server.url(), timeout=5, create_tables=True) as store:
            await store.put_step("s", "n", 1)
            await asyncio.to_thread(server.stop)
            demote(server)
            await asyncio.to_thread(server.start)
            with pytest.raises(StoreUnavailableError):
                await store.get_step("s", "n")
        async with JournalStore.from_url(server.url()) as reader:
            assert await recorded(reader, "s", "n") == 1


async def connections(server: PostgresServer, count: int) -> None:
    """Wait until the server has logged so many."""
    async with asyncio.timeout(30):
        while server.log().count("connection authorized") < count:
            await asyncio.sleep(0.02)
