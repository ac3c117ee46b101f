"""A process that puts until it is killed, and tells of each put before it begins and after it was acknowledged."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final

from jeeves_journal import JournalStore

TASKS: Final = 16

Record = tuple[str, str, str]
"""The kind, step or stream, the session and the name."""


@dataclass(frozen=True)
class Orders:
    """What a process is to do.

    Attributes:
        url: The journal's.
        session: Of this process alone.
        lasting: A session whose records every process of one line overwrites.
        first: The lowest version that was not yet put.
        seed: For what is put.
        boasting: Whether it tells of acknowledgements before there are any.
    """

    url: str
    session: str
    lasting: str
    first: int
    seed: int
    boasting: bool = False


def write_until_killed(connection: Connection, orders: Orders) -> None:
    """Put ever more records, from many tasks."""
    asyncio.run(_write(connection.fileno(), orders))


async def _write(ledger: int, orders: Orders) -> None:
    session, versions, random = orders.session, count(orders.first), Random(orders.seed)

    async def put(record: Record, size: int) -> None:
        kind, of, name = record
        version = next(versions)
        line = f"{version} {kind} {of} {name}\n".encode()
        # At most PIPE_BUF bytes: written whole or not at all.
        os.write(ledger, b"issued " + line)
        if orders.boasting:
            os.write(ledger, b"acknowledged " + line)
        value = content(record, version, size)
        if kind == "step":
            await store.put_step(of, name, value)
        else:
            await store.put_stream(of, name, [value, size])
        if not orders.boasting:
            os.write(ledger, b"acknowledged " + line)

    async def work(worker: int) -> None:
        for number in count():
            what = random.random()
            size = random.randrange(20, 60) if what < 0.98 else random.randrange(1_000, 8_000)
            if what < 0.6 or what > 0.98:
                await put(("step", session, f"{worker}-{number}"), size)
            elif what < 0.7:
                await put(("stream", session, f"{worker}-{number}"), size)
            elif what < 0.9:
                # Several tasks put the same record at once.
                await put((random.choice(["step", "stream"]), session, f"contested-{random.randrange(3)}"), size)
            else:
                await put(("step", orders.lasting, f"{random.randrange(5)}"), size)

    async with JournalStore.from_url(orders.url) as store:
        await asyncio.gather(*map(work, range(TASKS)))


def content(record: Record, version: int, size: int) -> list[Any]:
    """Return a value that belongs to one version of one record and to no other."""
    return [version, f"{record} {version} ".encode() * (size // 10)]


def version_of(record: Record, value: Any) -> int | None:
    """Return which version of a record a value is; None if it is none."""
    try:
        version, filler = value
    except (TypeError, ValueError):
        return None
    whole = f"{record} {version} ".encode()
    return version if filler == whole * (len(filler) // len(whole)) else None


@dataclass
class Ledger:
    """What one writing process said, kept where its death takes nothing along.

    Attributes:
        issued: The versions of each record that were put.
        acknowledged: The highest version of each record whose put returned.
        acknowledgements: How many puts returned.
        puts: How many began.
    """

    issued: dict[Record, set[int]] = field(default_factory=lambda: defaultdict(set))
    acknowledged: dict[Record, int] = field(default_factory=dict)
    acknowledgements: int = 0
    puts: int = 0

    def note(self, lines: Iterable[bytes]) -> None:
        """Note what the process said, line by line."""
        for line in lines:
            word, version, *record = line.decode().split(" ")
            kind, session, name = record
            if word == "issued":
                self.issued[kind, session, name].add(int(version))
                self.puts += 1
            else:
                latest = self.acknowledged.get((kind, session, name), -1)
                self.acknowledged[kind, session, name] = max(latest, int(version))
                self.acknowledgements += 1
