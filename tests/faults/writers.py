"""A process that puts and gets until it is killed, and tells of each put before it begins and once acknowledged."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from jeeves_journal import JournalStore
from tests.faults.ledger import Ledger
from tests.faults.load import under_load

# So many that at any moment more than a dozen are in a put.
TASKS: Final = 24


@dataclass(frozen=True)
class Orders:
    """What a process is to do.

    Attributes:
        url: The journal's.
        session: What its sessions' names begin with: those of all processes of one line.
        ledger: What it has to know of what those before it put.
        seed: For what it does.
        boasting: Whether it tells of acknowledgements before there are any.
    """

    url: str
    session: str
    ledger: Ledger
    seed: int
    boasting: bool = False


def write_until_killed(connection: Connection, orders: Orders) -> None:
    """Put ever more records, from many tasks."""
    pipe = connection.fileno()

    def tell(line: str) -> None:
        # At most PIPE_BUF bytes: written whole or not at all.
        os.write(pipe, f"{line}\n".encode())

    def boast(line: str) -> None:
        if line.startswith("issued"):
            tell(line)
            tell(line.replace("issued", "acknowledged", 1))

    orders.ledger.tell = boast if orders.boasting else tell
    asyncio.run(_write(orders))


async def _write(orders: Orders) -> None:
    async with (
        JournalStore.from_url(orders.url) as store,
        under_load(store, orders.ledger, seed=orders.seed, session=orders.session, writers=TASKS, readers=0),
    ):
        await asyncio.Event().wait()
