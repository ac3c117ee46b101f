"""Processes that are killed while they write: what they were told is recorded is there afterwards."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random, randrange
from typing import Final

import pytest

from jeeves_journal import JournalStore, ManagedJournalStore
from tests.faults.figures import Figures
from tests.faults.forked import forked
from tests.faults.writers import Ledger, Orders, Record, version_of, write_until_killed
from tests.servers.postgres import execute

# Processes that write one journal at the same time, and are killed each at its own moments.
LINES: Final = 2

GONE: Final = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"


def killed_writer(orders: Orders, random: Random, usual: float) -> Ledger:
    """Let a process write, usually so many puts, and kill it; return what it had said by then."""
    ledger, rest = Ledger(), b""
    enough = int(random.expovariate(1 / usual)) if random.random() < 0.85 else 0
    with forked(write_until_killed, orders) as process:
        heard = process.connection.fileno()
        # Without any, it is killed while it starts, opens the journal, or recovers what the one before it left.
        while ledger.acknowledgements < enough and (said := os.read(heard, 1 << 16)):
            *lines, rest = (rest + said).split(b"\n")
            ledger.note(lines)
        time.sleep(random.random() * (0.002 if enough else 0.15))
        process.kill()
        while said := os.read(heard, 1 << 16):
            *lines, rest = (rest + said).split(b"\n")
            ledger.note(lines)
    assert rest == b"", "os.write wrote a part of a line"
    return ledger


class Divergences:
    """Records that are not as the writers were told."""

    def __init__(self) -> None:
        self.lost: set[Record] = set()
        self.wrong: set[Record] = set()

    async def look(self, url: str, ledgers: Sequence[Ledger], sessions: Container[str] | None = None) -> None:
        """Compare a journal, or some sessions of it, with what writers said that lived one after the other."""
        issued: dict[Record, set[int]] = {}
        acknowledged: dict[Record, int] = {}
        for ledger in ledgers:
            for record, versions in ledger.issued.items():
                if sessions is None or record[1] in sessions:
                    issued.setdefault(record, set()).update(versions)
            acknowledged.update(ledger.acknowledged)
        async with JournalStore.from_url(url) as store:
            found = await everything(store, issued)
        for record, versions in issued.items():
            latest = acknowledged.get(record, -1)
            if record not in found:
                self.lost |= {record} if latest >= 0 else set()
            elif (version := version_of(record, found[record])) is None or version not in versions:
                self.wrong.add(record)
            elif version < latest:
                self.lost.add(record)


async def everything(store: ManagedJournalStore, issued: Collection[Record]) -> dict[Record, object]:
    """Return what is recorded of these."""
    found: dict[Record, object] = {}
    for session in {session for _, session, _ in issued}:
        steps = await store.get_steps(session)
        found |= {("step", session, name): entry.value for name, entry in steps.items()}
    streams = [record for record in issued if record[0] == "stream"]
    chunks = await asyncio.gather(*(store.get_stream(session, name) for _, session, name in streams))
    return found | {record: value[0] for record, value in zip(streams, chunks, strict=True) if value is not None}


def keep_killing(
    url_of: Callable[[int], str],
    wait_until_gone: Callable[[int], None],
    goal: int,
    figures: Figures,
    *,
    boasting: bool = False,
) -> None:
    """Kill writer after writer of one journal until enough was acknowledged; look after each, and at all in the end."""
    seed = randrange(1 << 32)
    divergences = Divergences()

    def line(number: int) -> list[Ledger]:
        random, url, ledgers = Random(f"{seed} {number}"), url_of(number), list[Ledger]()
        while sum(ledger.acknowledgements for ledger in ledgers) < goal / LINES:
            session, lasting = f"{number}-{len(ledgers)}", f"lasting-{number}"
            first = sum(ledger.puts for ledger in ledgers)
            orders = Orders(url, session, lasting, first, random.randrange(1 << 32), boasting)
            ledgers.append(killed_writer(orders, random, min(goal / 40, 500)))
            wait_until_gone(number)
            asyncio.run(divergences.look(url, ledgers, {session, lasting}))
        return ledgers

    with ThreadPoolExecutor(LINES) as executor:
        lines = list(executor.map(line, range(LINES)))
    for number, ledgers in enumerate(lines):
        asyncio.run(divergences.look(url_of(number), ledgers))
    killed = [ledger for ledgers in lines for ledger in ledgers]
    figures.acknowledged = sum(ledger.acknowledgements for ledger in killed)
    figures.unknown = sum(ledger.puts for ledger in killed) - figures.acknowledged
    figures.lost, figures.wrong = len(divergences.lost), len(divergences.wrong)
    figures.others |= {
        "kills": len(killed),
        "of them in a put": sum(ledger.puts > ledger.acknowledgements for ledger in killed),
        "before any": sum(ledger.puts == 0 for ledger in killed),
        "seed": f"{seed}",
    }


def assert_nothing_lost(figures: Figures, goal: int) -> None:
    assert figures.acknowledged >= goal
    assert figures.others["of them in a put"] > 10, figures
    assert (figures.lost, figures.wrong) == (0, 0), figures


@pytest.fixture
def goal(long: bool) -> int:
    """Acknowledged puts."""
    return 100_000 if long else 20_000


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


def test_writers_of_a_sqlite_file_that_are_killed_lose_nothing(sqlite_url: str, figures: Figures, goal: int) -> None:
    keep_killing(lambda _: sqlite_url, lambda _: None, goal, figures)
    assert_nothing_lost(figures, goal)


def test_writers_of_a_postgres_that_are_killed_lose_nothing(
    migrated_postgres_url: str, figures: Figures, goal: int
) -> None:
    def wait_until_gone(number: int) -> None:
        # What a killed process had sent, its backend still does.
        while execute(migrated_postgres_url, GONE, f"line-{number}")[0][0]:
            time.sleep(0.005)

    mark = "&" if "?" in migrated_postgres_url else "?"
    named = f"{migrated_postgres_url}{mark}application_name=line-"
    keep_killing(lambda number: f"{named}{number}", wait_until_gone, goal, figures)
    assert_nothing_lost(figures, goal)


def test_a_writer_that_tells_of_acknowledgements_too_early_is_found_out(sqlite_url: str, figures: Figures) -> None:
    keep_killing(lambda _: sqlite_url, lambda _: None, 2_000, figures, boasting=True)
    assert figures.lost > 0, figures
