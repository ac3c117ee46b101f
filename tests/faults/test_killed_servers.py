"""Postgres is killed in every way, in part and as a whole, while many tasks put and get."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeAlias

import asyncpg
import pytest

from jeeves_journal import JournalStore
from tests.faults.figures import Figures
from tests.faults.ledger import Ledger
from tests.faults.load import READERS, WRITERS, under_load
from tests.servers.crashes import kill_postmaster
from tests.servers.postgres import PostgresServer, execute, fresh_database
from tests.stores.servers import backends

pytestmark = pytest.mark.anyio

Fault: TypeAlias = Callable[[PostgresServer, str], Awaitable[None]]

# Which makes a server forget what it acknowledged last, unless the store asks for better.
WEAK = {"synchronous_commit": "off", "wal_writer_delay": "10s"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer(WEAK) as server:
        yield server


async def storm_of_terminations(server: PostgresServer, url: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        for _ in range(30):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            await connection.execute("SELECT pg_sleep(random() * 0.05)")
    finally:
        await connection.close()


async def one_backend_terminated(server: PostgresServer, url: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
        )
    finally:
        await connection.close()


async def one_backend_killed(server: PostgresServer, url: str) -> None:
    """The server ends every other connection then, and recovers."""
    restarted = ready_at(server)
    while True:
        with suppress(ProcessLookupError):
            os.kill(random.choice(await asyncio.to_thread(backends, url)), signal.SIGKILL)
            break
    async with asyncio.timeout(30):
        while ready_at(server) == restarted:
            await asyncio.sleep(0.02)


def ready_at(server: PostgresServer) -> float:
    """Return when the server last said that it takes connections, as ``time.time()``."""
    said = re.findall(r"^(\S+ \S+) UTC .*database system is ready to accept connections", server.log(), re.MULTILINE)
    return datetime.strptime(said[-1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()


async def stopped_immediately(server: PostgresServer, url: str) -> None:
    await asyncio.to_thread(server.stop, "immediate")
    await asyncio.sleep(random.uniform(0, 3))
    await asyncio.to_thread(server.start)


async def postmaster_killed(server: PostgresServer, url: str) -> None:
    await asyncio.to_thread(kill_postmaster, server)
    await asyncio.sleep(random.uniform(0, 3))
    await asyncio.to_thread(server.start)


async def back(server: PostgresServer) -> float:
    """Return when a bare driver had an answer, as ``time.time()``: on a busy machine, all of it takes longer."""
    await asyncio.to_thread(execute, server.url(), "SELECT 1")
    return time.time()


@pytest.mark.parametrize(
    ("fault", "rounds"),
    [
        (one_backend_terminated, 30),
        (storm_of_terminations, 3),
        (one_backend_killed, 5),
        (stopped_immediately, 4),
        (postmaster_killed, 4),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_server_that_is_killed_under_load_loses_nothing_and_is_used_again_at_once(
    server: PostgresServer, figures: Figures, long: bool, fault: Fault, rounds: int
):
    seed = random.randrange(2**32)
    random.seed(seed)
    rounds *= 200 if long else 1
    first_acknowledgements: list[float] = []
    clean, ledger = 0, Ledger(figures)
    with fresh_database(server) as url:
        store = JournalStore.from_url(url, timeout=20, create_tables=True)
        async with store, under_load(store, ledger, seed=seed) as load:
            for _ in range(rounds):
                await load.acknowledgements(random.randrange(50, 300))
                refused = load.refused
                await fault(server, url)
                first_acknowledgements.append(await load.first_after(await back(server)))
                clean += load.refused == refused
        await ledger.verify(url)
    figures.others |= {
        "rounds": rounds,
        "without any error": clean,
        "longest from back to acknowledgement": max(first_acknowledgements),
        "seed": str(seed),
    }
    assert (figures.lost, figures.wrong) == (0, 0), figures
    assert max(first_acknowledgements) < 1, figures
    assert clean > rounds / 2, figures


async def test_a_server_that_is_away_for_longer_than_the_timeout_is_used_again_at_once(
    server: PostgresServer, figures: Figures, long: bool
):
    seed, ledger = random.randrange(2**32), Ledger(figures)
    first_acknowledgements: list[float] = []
    with fresh_database(server) as url:
        store = JournalStore.from_url(url, timeout=1, create_tables=True)
        async with store, under_load(store, ledger, seed=seed) as load:
            for _ in range(200 if long else 2):
                await load.acknowledgements(100)
                await asyncio.to_thread(kill_postmaster, server)
                # By then some have given up more than once, and the pauses of the others are the longest.
                await load.refusals(4 * (WRITERS + READERS))
                await asyncio.to_thread(server.start)
                first_acknowledgements.append(await load.first_after(await back(server)))
        await ledger.verify(url)
    figures.others |= {"longest from back to acknowledgement": max(first_acknowledgements), "seed": str(seed)}
    assert (figures.lost, figures.wrong) == (0, 0), figures
    assert max(first_acknowledgements) < 1, figures
    assert figures.longest_stall < 1 + 2, figures
