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

# A value tells whose it is, and is of a size that its name decides: up to what is read on the loop's own thread, just
# beyond, and far beyond.
WORK: Final = """
    import asyncio, json, random, sys, time
    import aiosqlite, alembic.command, jeeves_journal.stores.sql
    from jeeves_journal import JournalError, SqliteJournalStore

    path, process, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    SIZES = [0, 10, 100, 1000, 1000, 1000, 10_000, 65_000, 66_000, 300_000]

    def value_of(name, version):
        return f"{name}/{version}/".encode() + bytes(SIZES[hash_of(name) % len(SIZES)])

    def hash_of(name):
        return sum(map(ord, name))

    class Worker:
        def __init__(self, store, task, took, failures):
            self.store, self.session, self.took, self.failures = store, f"{process}-{task}", took, failures
            self.chance = random.Random(f"{seed}-{process}-{task}")
            self.versions = {}
            self.wrong = self.lost = 0

        async def timed(self, call):
            started = time.monotonic()
            try:
                return await call
            except JournalError as error:
                self.failures.append(repr(error))
                raise
            finally:
                self.took.append(time.monotonic() - started)

        async def work(self, calls):
            for number in range(calls):
                try:
                    await (self.put(number) if self.chance.random() < 0.5 else self.get())
                except JournalError:
                    pass

        async def put(self, number):
            name = f"step-{self.chance.randrange(40)}"
            version = self.versions.get(name, 0) + 1
            await self.timed(self.store.put_step(self.session, name, value_of(name, version)))
            self.versions[name] = version

        async def get(self):
            if self.chance.random() < 0.5 and self.versions:
                # What this task has put is there, and the newest of it.
                name = self.chance.choice(sorted(self.versions))
                entry = await self.timed(self.store.get_step(self.session, name))
                if entry is None:
                    self.lost += 1
                elif entry.value != value_of(name, self.versions[name]):
                    self.wrong += 1
                return
            session = f"{self.chance.randrange(8)}-{self.chance.randrange(4)}"
            name = f"step-{self.chance.randrange(40)}"
            entry = await self.timed(self.store.get_step(session, name))
            if entry is not None:
                # Whatever version it is, it is all of one, and the step's own.
                version = int(entry.value.split(b"/")[1])
                self.wrong += entry.value != value_of(name, version)

        async def look_again(self):
            for name, version in self.versions.items():
                entry = await self.store.get_step(self.session, name)
                self.lost += entry is None
                self.wrong += entry is not None and entry.value != value_of(name, version)

    async def main(calls):
        took, failures = [], []
        async with SqliteJournalStore(path) as store:
            workers = [Worker(store, task, took, failures) for task in range(4)]
            await asyncio.gather(*(worker.work(calls) for worker in workers))
        async with SqliteJournalStore(path) as store:
            for worker in workers:
                worker.store = store
                await worker.look_again()
        acknowledged = sum(sum(worker.versions.values()) for worker in workers)
        lost, wrong = sum(worker.lost for worker in workers), sum(worker.wrong for worker in workers)
        print(json.dumps([acknowledged, lost, wrong, took, failures]), flush=True)

    print("ready", flush=True)
    for line in sys.stdin:
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
