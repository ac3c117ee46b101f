"""Many processes that open and upgrade one database for the first time at the same moment."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from jeeves_journal import migrations
from tests.faults.figures import Figures
from tests.migrations import jeeves_agent
from tests.migrations.databases import query
from tests.servers.postgres import ExternalPostgres, PostgresServer, fresh_database
from tests.stores.processes import team
from tests.stores.servers import database_of

STATES: Final = ("empty", "JeevesAgent's", "1_journal_tables")

# Each puts a record of its own and reads what it put. That every other call of the process waits for them is no matter:
# they meet at the first open.
OPEN_AND_PUT: Final = """
    import asyncio, json, random, sys, time
    import aiosqlite, alembic.command, asyncpg, jeeves_journal.stores.sql
    from jeeves_journal import JournalStore

    number, chance = int(sys.argv[1]), random.Random(sys.argv[2])

    async def open_and_put(url):
        async with JournalStore.from_url(url, create_tables=True) as store:
            await store.put_step("raced", f"{number}", number)
            entry = await store.get_step("raced", f"{number}")
            return entry.value

    print("ready", flush=True)
    for line in sys.stdin:
        # Not always at the same instant: the later ones meet the first ones' upgrade half-way.
        time.sleep(chance.choice((0, 0, 0.01, 0.05)) * chance.random())
        started = time.monotonic()
        try:
            answer, failure = asyncio.run(open_and_put(line.strip())), None
        except Exception as error:
            answer, failure = None, repr(error)
        print(json.dumps([answer, failure, time.monotonic() - started]), flush=True)
"""


def bring_to(url: str, state: str) -> None:
    """Make an empty database one that was used before."""
    if state == "JeevesAgent's":
        jeeves_agent.record_runs(url)
    elif state == "1_journal_tables":
        migrations.upgrade(url, state)


@contextmanager
def sqlite_urls(folder: Path, state: str) -> Iterator[Iterator[str]]:
    """URLs of files in a state, one after the other."""
    template = folder / "template.db"
    bring_to(f"sqlite:///{template}", state)

    def urls() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            # In a folder that is not there yet, if the file is not either.
            path = folder / str(number) / "journal.db"
            if template.exists():
                path.parent.mkdir()
                shutil.copyfile(template, path)
            yield f"sqlite:///{path}"

    yield urls()


@contextmanager
def postgres_urls(server: PostgresServer | ExternalPostgres, state: str) -> Iterator[Iterator[str]]:
    """URLs of databases in a state, one after the other; each is there until the next is asked for."""
    with fresh_database(server) as template:
        bring_to(template, state)

        def urls() -> Iterator[str]:
            while True:
                with fresh_database(server, template=database_of(template)) as url:
                    yield url

        made = urls()
        try:
            yield made
        finally:
            made.close()


def race(urls: Iterator[str], state: str, processes: int, rounds: int, figures: Figures) -> None:
    """Let processes race for database after database."""
    seed = random.randrange(2**32)
    failures = []
    with team(OPEN_AND_PUT, [(number, f"{seed}-{number}") for number in range(processes)]) as racers:
        for _ in range(rounds):
            url = next(urls)
            for number, answer in enumerate(map(json.loads, racers.ask(url))):
                value, failure, seconds = answer
                figures.longest_stall = max(figures.longest_stall, seconds)
                figures.acknowledged += failure is None
                figures.wrong += failure is None and value != number
                if failure is not None:
                    failures.append(failure)
            found = {name for (name,) in query(url, "SELECT step_name FROM journal_steps WHERE session_id = 'raced'")}
            figures.lost += len(set(map(str, range(processes))) - found)
            migrations.check(url)
            if state == "JeevesAgent's":
                kept = query(url, "SELECT count(*) FROM journal_steps WHERE session_id <> 'raced'")
                assert kept == [(len(jeeves_agent.STEPS),)]
    figures.refused = len(failures)
    figures.others |= {"processes": processes, "rounds": rounds, "seed": seed}
    assert failures == [], f"seed {seed}"
    assert (figures.acknowledged, figures.lost, figures.wrong) == (processes * rounds, 0, 0), f"seed {seed}"


@pytest.mark.parametrize("state", STATES)
def test_eight_processes_race_for_a_sqlite_file(tmp_path: Path, state: str, figures: Figures, long: bool) -> None:
    with sqlite_urls(tmp_path, state) as urls:
        race(urls, state, 8, 1000 if long else 10, figures)


@pytest.mark.parametrize("state", STATES)
def test_twelve_processes_race_for_a_postgres_database(
    postgres_server: PostgresServer | ExternalPostgres, state: str, figures: Figures, long: bool
) -> None:
    with postgres_urls(postgres_server, state) as urls:
        race(urls, state, 12, 200 if long else 3, figures)
