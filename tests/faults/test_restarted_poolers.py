"""Twelve clients behind a PgBouncer with three connections, which is restarted in all its ways while they work."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from jeeves_journal import JournalStore
from tests.faults.figures import Figures
from tests.faults.ledger import Ledger
from tests.faults.load import under_load
from tests.stores.pgbouncer import PgBouncer, pgbouncer_server, server_connections
from tests.stores.servers import terminate_backends

pytestmark = pytest.mark.anyio

CLIENTS, CONNECTIONS = 12, 3
TIMEOUT = 10.0
GRACE = 2.0


@pytest.fixture
def bouncer(bouncer_program: str, migrated_postgres_url: str) -> Iterator[PgBouncer]:
    # By default it asks no server for 15 s after one connection that came to nothing, longer than our timeout.
    settings = {"default_pool_size": CONNECTIONS, "server_login_retry": 1}
    with pgbouncer_server(bouncer_program, migrated_postgres_url, **settings) as bouncer:
        yield bouncer


def restart(bouncer: PgBouncer, how: signal.Signals) -> None:
    bouncer.stop(how)
    bouncer.start()


def kill_database(bouncer: PgBouncer) -> None:
    bouncer.administer("KILL journal")
    bouncer.administer("RESUME journal")


WAYS: dict[str, Callable[[PgBouncer, str], object]] = {
    "killed": lambda bouncer, url: restart(bouncer, signal.SIGKILL),
    "ended at once": lambda bouncer, url: restart(bouncer, signal.SIGTERM),
    "ended after its transactions": lambda bouncer, url: restart(bouncer, signal.SIGINT),
    "reconnects": lambda bouncer, url: bouncer.administer("RECONNECT"),
    "kills its database": lambda bouncer, url: kill_database(bouncer),
    "server connections ended": lambda bouncer, url: terminate_backends(url),
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_call_succeeds(
    bouncer: PgBouncer, migrated_postgres_url: str, figures: Figures, long: bool, way: str
):
    figures.others["seed"] = str(seed := secrets.randbelow(1_000_000))
    ledger = Ledger(figures)
    url = f"{bouncer.url}?pgbouncer=true"
    async with AsyncExitStack() as clients:
        stores = [
            await clients.enter_async_context(JournalStore.from_url(url, timeout=TIMEOUT)) for _ in range(CLIENTS)
        ]
        async with AsyncExitStack() as loads:
            for number, store in enumerate(stores):
                work = under_load(store, ledger, seed=seed, session=f"client-{number}", writers=2, readers=0)
                load = await loads.enter_async_context(work)
            for _ in range(100 if long else 3):
                await load.acknowledgements(200)
                await asyncio.to_thread(WAYS[way], bouncer, migrated_postgres_url)
            await load.acknowledgements(200)
        figures.others["server connections"] = server_connections(migrated_postgres_url)
        for number, store in enumerate(stores):
            await ledger.compare(store, [each for each in ledger.sessions() if each.startswith(f"client-{number}/")])
    assert (figures.lost, figures.wrong) == (0, 0), figures
    assert figures.refused == 0, figures
    assert figures.longest_stall < TIMEOUT + GRACE, figures
    assert figures.others["server connections"] <= CONNECTIONS, figures
