"""Processes that put, and write each acknowledgement to a pipe where strace sees it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Final

import asyncpg

from jeeves_journal import JournalStore

TASKS: Final = 8

ACKNOWLEDGED: Final = b"acknowledged "


def name_of(number: int) -> str:
    return f"name-{number:06}"


def mark_of(number: int) -> bytes:
    """Return what stands in the record of a put, and in no other."""
    return b"mark-%06d" % number


def _tell(connection: Connection, number: int) -> None:
    os.write(connection.fileno(), ACKNOWLEDGED + b"%d\n" % number)


def _when_asked(connection: Connection) -> None:
    connection.send_bytes(b"ready")
    connection.recv_bytes()


def _until_killed(connection: Connection) -> None:
    # A process that ends while strace lets go of it can hang.
    connection.recv_bytes()


def through_a_store(connection: Connection, url: str, names: int, puts: int) -> None:
    """Put into a store of ours from many tasks, each record under one of so many names."""

    async def work(store: JournalStore, task: int) -> None:
        for number in range(task, puts, TASKS):
            put = store.put_stream if number % 5 == 0 else store.put_step
            await put("run", name_of(number % names), [mark_of(number), b"." * (number % 70)])
            _tell(connection, number)

    async def work_all() -> None:
        async with JournalStore.from_url(url) as store:
            await store.get_step("run", "opened")
            _when_asked(connection)
            await asyncio.gather(*(work(store, task) for task in range(TASKS)))
            _until_killed(connection)

    asyncio.run(work_all())


def through_bare_sqlite(connection: Connection, path: str, synchronous: str, puts: int) -> None:
    """Put into a SQLite file by hand, with a setting."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        database.execute("CREATE TABLE records (name, value)")
        _when_asked(connection)
        for number in range(puts):
            database.execute("INSERT INTO records VALUES (?, ?)", (name_of(number), mark_of(number)))
            _tell(connection, number)
        _until_killed(connection)


def through_bare_postgres(connection: Connection, url: str, synchronous_commit: str, puts: int) -> None:
    """Put into a Postgres by hand, with a setting."""

    async def work() -> None:
        database = await asyncpg.connect(url)
        await database.execute(f"SET synchronous_commit = {synchronous_commit}")
        _when_asked(connection)
        for number in range(puts):
            row = ("run", name_of(number), mark_of(number))
            await database.execute("INSERT INTO journal_steps VALUES ($1, $2, $3, 0)", *row)
            _tell(connection, number)
        _until_killed(connection)

    asyncio.run(work())
