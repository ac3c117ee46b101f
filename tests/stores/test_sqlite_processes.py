"""Many processes on one SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.stores.processes import printed_by, run_together

PROCESSES, TASKS, PUTS = 8, 4, 40

# Each process waits until all are there, so that they meet.
WRITE = """
    import asyncio, sys
    from jeeves_journal import SqliteJournalStore
    path, process, tasks, puts = sys.argv[1], *map(int, sys.argv[2:])

    async def write(store, task):
        for number in range(puts):
            await store.put_step(f"process-{process}", f"{task}-{number}", (process, task, number))

    async def main():
        async with SqliteJournalStore(path) as store:
            await asyncio.gather(*(write(store, task) for task in range(tasks)))
            print(len(await store.get_steps(f"process-{process}")))

    import aiosqlite, alembic.command, jeeves_journal.stores.sql
    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(main())
"""

OPEN = """
    import asyncio, sys
    from jeeves_journal import SqliteJournalStore

    async def main():
        process, *paths = sys.argv[1:]
        for path in paths:
            async with SqliteJournalStore(path) as store:
                await store.put_step("s", process, None)

    import aiosqlite, alembic.command, jeeves_journal.stores.sql
    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(main())
"""

READ_ALL = """
    import asyncio, sys
    from jeeves_journal import SqliteJournalStore

    async def main():
        async with SqliteJournalStore(sys.argv[1]) as store:
            for process in range(int(sys.argv[2])):
                for name, entry in (await store.get_steps(f"process-{process}")).items():
                    assert f"{process}-{name}" == "-".join(map(str, entry.value))

    asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def count_rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM journal_steps").fetchone()
        return count


def test_eight_processes_open_a_file_that_is_not_there_yet_and_lose_no_put(path: Path):
    printed = run_together(WRITE, [(path, process, TASKS, PUTS) for process in range(PROCESSES)])
    assert printed == [f"{TASKS * PUTS}"] * PROCESSES
    assert count_rows(path) == PROCESSES * TASKS * PUTS
    printed_by(READ_ALL, path, PROCESSES)


def test_eight_processes_that_open_new_files_at_the_same_moment_all_succeed(tmp_path: Path):
    paths = [tmp_path / "folder" / f"{number}.db" for number in range(10)]
    run_together(OPEN, [(process, *paths) for process in range(PROCESSES)])
    assert [count_rows(path) for path in paths] == [PROCESSES] * len(paths)
