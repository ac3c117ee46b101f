"""Processes that are killed while they write: what they were told is recorded is there afterwards."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random, randrange
from typing import Final, NamedTuple

import pytest

from tests.faults.figures import Figures
from tests.faults.forked import Forked, forked
from tests.faults.ledger import Ledger
from tests.faults.load import is_put_once
from tests.faults.writers import Orders, write_until_killed
from tests.servers.postgres import execute

# Processes that write one journal at the same time, and are killed each at its own moments.
LINES: Final = 2

GONE: Final = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"


class Killed(NamedTuple):
    """What a process had said when it was killed."""

    puts: int
    acknowledgements: int


def killed_writer(orders: Orders, ledger: Ledger, random: Random, usual: float) -> Killed:
    """Let a process write, usually so many puts, and kill it; note what it had said by then."""
    puts, before, rest = ledger.puts, ledger.figures.acknowledged, b""
    enough = int(random.expovariate(1 / usual)) if random.random() < 0.85 else 0

    def hear(process: Forked) -> bool:
        nonlocal rest
        said = os.read(process.connection.fileno(), 1 << 16)
        *lines, rest = (rest + said).split(b"\n")
        for line in lines:
            ledger.hear(line.decode())
        return bool(said)

    with forked(write_until_killed, orders) as process:
        # Without any, it is killed while it starts, opens the journal, or recovers what the one before it left.
        while ledger.figures.acknowledged < before + enough and hear(process):
            pass
        time.sleep(random.random() * (0.002 if enough else 0.15))
        process.kill()
        while hear(process):
            pass
    assert rest == b"", "os.write wrote a part of a line"
    return Killed(ledger.puts - puts, ledger.figures.acknowledged - before)


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

    def line(number: int) -> tuple[Ledger, list[Killed]]:
        random, url, ledger, killed = Random(f"{seed} {number}"), url_of(number), Ledger(Figures()), list[Killed]()
        kept, seen = set[str](), set[str]()
        while ledger.figures.acknowledged < goal / LINES:
            orders = Orders(url, f"line-{number}", ledger.about(kept), random.randrange(1 << 32), boasting)
            killed.append(killed_writer(orders, ledger, random, min(goal / 40, 500)))
            wait_until_gone(number)
            kept = {session for session in ledger.sessions() if not is_put_once(session)}
            # What earlier processes put for good is looked at in the end.
            asyncio.run(ledger.verify(url, ledger.sessions() - seen | kept))
            seen = ledger.sessions()
        return ledger, killed

    with ThreadPoolExecutor(LINES) as executor:
        lines = list(executor.map(line, range(LINES)))
    for number, (ledger, _) in enumerate(lines):
        asyncio.run(ledger.verify(url_of(number)))
        figures.acknowledged += ledger.figures.acknowledged
        figures.unknown += ledger.figures.unknown
        figures.lost += ledger.figures.lost
        figures.wrong += ledger.figures.wrong
    killed = [each for _, killed in lines for each in killed]
    figures.others |= {
        "kills": len(killed),
        "of them in a put": sum(each.puts > each.acknowledgements for each in killed),
        "before any": sum(each.puts == 0 for each in killed),
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
