"""Builds of the indexes by time on Postgres: what they are built on, held up by and found as."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from jeeves_journal import JournalStore, migrations
from tests.migrations.databases import query
from tests.servers.postgres import execute

BEFORE = "1_inline_values"
"""The revision before the one that builds them."""
INDEXES = ["journal_steps_created_at_session_id_idx", "journal_streams_created_at_session_id_idx"]

BUILDING = "SELECT pid, phase FROM pg_stat_progress_create_index WHERE datname = current_database()"


def fill(url: str, rows: int) -> None:
    """Record steps and streams by plain SQL in tables of the revision before."""
    migrations.upgrade(url, BEFORE)
    for table in ("journal_steps", "journal_streams"):
        query(
            url,
            f"INSERT INTO {table} SELECT 'run-' || n / 50, n::text, decode(md5(n::text), 'hex'), n "
            f"FROM generate_series(1, {rows}) AS n",
        )


def indexes(url: str) -> list[tuple[Any, ...]]:
    """Return the name, the validity and the file of each index by time."""
    return query(
        url,
        "SELECT relname, indisvalid, relfilenode FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE relname LIKE 'journal_%\\_idx' ORDER BY 1",
    )


def assert_built(url: str) -> None:
    assert [(name, valid) for name, valid, _ in indexes(url)] == [(name, True) for name in INDEXES]
    migrations.check(url)


async def until(url: str, statement: str, wanted: Callable[[list[Any]], bool]) -> list[Any]:
    """Ask the server until it answers what is wanted."""
    deadline = time.monotonic() + 30
    while not wanted(rows := await asyncio.to_thread(execute, url, statement)):
        assert time.monotonic() < deadline, rows
    return rows


async def until_the_build_waits(url: str) -> int:
    """Wait until a build has come to others' old transactions; return the process id of its backend."""
    rows = await until(url, BUILDING, lambda rows: bool(rows) and "waiting" in rows[0]["phase"])
    return int(rows[0]["pid"])


@asynccontextmanager
async def old_transaction(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction of somebody else's, which has written a step and for which a build has to wait."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN")
        await connection.execute("INSERT INTO journal_steps VALUES ('old', 'old', '', 1)")
        yield connection
    finally:
        await connection.close()


async def init(url: str, **options: Any) -> None:
    async with JournalStore.from_url(url, **options) as store:
        await store.init_schema()


async def interrupt_build(url: str) -> None:
    """Let an upgrade begin to build, and end its backend in the middle of it."""
    async with old_transaction(url):
        upgrading = asyncio.create_task(init(url))
        execute(url, "SELECT pg_terminate_backend($1, 5000)", await until_the_build_waits(url))
        upgrading.cancel()
        await asyncio.wait([upgrading])
