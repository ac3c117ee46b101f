"""Many processes that put and get in one SQLite file, while others check it, compact it and read all of it."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from jeeves_journal import migrations
from tests.faults.figures import Figures
from tests.stores.processes import team

PROCESSES: Final = 8
TASKS: Final = 4

# In bytes: up to what is read on the loop's own thread, just beyond, and far beyond.
SIZES: Final = (0, 10, 100, 1000, 1000, 1000, 10_000, 65_000, 66_000, 300_000)

WORK: Final = """
    import asyncio, json, random, sys, time
    from contextlib import contextmanager
    import aiosqlite, alembic.command, jeeves_journal.stores.sql
    from jeeves_journal import JournalError, SqliteJournalStore
    from tests.faults.figures import Figures
    from tests.faults.ledger import Ledger, Record
    from tests.faults.test_many_processes import PROCESSES, SIZES, TASKS

    path, process, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]

    class Took(Figures):
        @contextmanager
        def timing(self):
            started = time.monotonic()
            try:
                yield
            finally:
                took.append(time.monotonic() - started)

    async def work(store, task, calls):
        chance, session = random.Random(f"{seed}-{process}-{task}"), f"{process}-{task}"
        for _ in range(calls):
            name = f"step-{chance.randrange(40)}"
            try:
                if chance.random() < 0.5:
                    await ledger.put(store, Record("step", session, name))
                elif chance.random() < 0.5:
                    await ledger.get(store, Record("step", session, name))
                else:
                    await look_at_another(store, chance, name)
            except JournalError as error:
                failures.append(repr(error))

    async def look_at_another(store, chance, name):
        # Whatever version it is, it is all of one, and the step's own.
        record = Record("step", f"{chance.randrange(PROCESSES)}-{chance.randrange(TASKS)}", name)
        with ledger.figures.timing():
            entry = await store.get_step(record.session, record.name)
        ledger.figures.wrong += entry is not None and not ledger.is_whole(record, entry.value)

    async def main(calls):
        async with SqliteJournalStore(path) as store:
            await asyncio.gather(*(work(store, task, calls) for task in range(TASKS)))
        made = took[:]
        await ledger.verify(f"sqlite:///{path}")
        figures = ledger.figures
        print(json.dumps([figures.acknowledged, figures.lost, figures.wrong, made, failures]), flush=True)

    print("ready", flush=True)
    for line in sys.stdin:
        took, failures, ledger = [], [], Ledger(Took(), sizes=SIZES)
        asyncio.run(main(int(line)))
"""


@contextmanager
def nuisances(path: Path, seed: int) -> Iterator[dict[str, int]]:
    """Somebody checkpoints, compacts, changes the schema, keeps a snapshot and the write lock; how often each was."""
    stop = threading.Event()
    done: dict[str, int] = {}
    statements = {
        "checkpoints": ("PRAGMA wal_checkpoint(TRUNCATE)",),
        "VACUUMs": ("VACUUM",),
        "schema changes": ("CREATE TABLE IF NOT EXISTS other (n)", "DROP TABLE other"),
        "write locks": ("BEGIN IMMEDIATE", "SELECT count(*) FROM journal_steps", "ROLLBACK"),
        "snapshots": (
            "BEGIN",
            "SELECT count(*) FROM journal_steps",
            "SELECT sum(length(value)) FROM journal_steps",
            "END",
        ),
        "indexes": ("CREATE INDEX IF NOT EXISTS other_index ON journal_steps (created_at)", "DROP INDEX other_index"),
    }

    def interfere() -> None:
        chance = random.Random(seed)
        with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
            while not stop.wait(0.05 * chance.random()):
                name = chance.choice(list(statements))
                try:
                    for statement in statements[name]:
                        connection.execute(statement).fetchall()
                    done[name] = done.get(name, 0) + 1
                except sqlite3.OperationalError:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")

    thread = threading.Thread(target=interfere)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def measure(path: Path, calls: int, figures: Figures, seed: int) -> None:
    """Let all processes work on the file, and count."""
    took: list[float] = []
    failures: list[str] = []
    with team(WORK, [(path, process, seed) for process in range(PROCESSES)]) as workers:
        for answer in map(json.loads, workers.ask(str(calls))):
            acknowledged, lost, wrong, took_there, failures_there = answer
            figures.acknowledged += acknowledged
            figures.lost += lost
            figures.wrong += wrong
            took += took_there
            failures += failures_there
    figures.refused = len(failures)
    figures.longest_stall = max(took)
    p99 = sorted(took)[len(took) * 99 // 100]
    figures.others |= {"calls": len(took), "p99 in seconds": p99, "seed": seed}
    assert failures == [], f"seed {seed}"
    assert len(took) == PROCESSES * TASKS * calls
    assert (figures.lost, figures.wrong) == (0, 0), f"seed {seed}"
    assert p99 < 1.0, f"seed {seed}"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_eight_processes_of_four_tasks_share_a_file(tmp_path: Path, figures: Figures, long: bool) -> None:
    measure(tmp_path / "journal.db", 10_000 if long else 150, figures, random.randrange(2**32))


def test_eight_processes_of_four_tasks_share_a_file_with_whoever_else_uses_it(
    tmp_path: Path, figures: Figures, long: bool
) -> None:
    path, seed = tmp_path / "journal.db", random.randrange(2**32)
    # So that the tables are there for those who interfere.
    migrations.upgrade(f"sqlite:///{path}")
    with nuisances(path, seed) as done:
        measure(path, 10_000 if long else 150, figures, seed)
    figures.others |= {name: done.get(name, 0) for name in sorted(done)}
    assert set(done) >= {"checkpoints", "schema changes", "write locks", "snapshots"}, f"seed {seed}"
