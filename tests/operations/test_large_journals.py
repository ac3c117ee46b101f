"""Listing a large journal looks at a small part of it, on both databases."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from jeeves_journal import JournalStore
from tests.operations.journals import make
from tests.servers.postgres import execute, fresh_database
from tests.stores.rows import PostgresRows, Rows, SqliteRows

pytestmark = pytest.mark.anyio

ROWS = 200_000
# A hundred records each, and a hundred sessions at a time.
FILL = """
INSERT INTO journal_steps (session_id, step_name, value, created_at)
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
SELECT 's' || (10000 + n / 10000 * 100 + n % 100), 'n' || n, {value}, n FROM numbers
"""
CALLS = pytest.mark.parametrize(
    "call",
    [
        lambda store: store.sessions(),
        lambda store: store.sessions(order="recent"),
        lambda store: store.sessions("s11"),
        lambda store: store.sessions("s110", order="recent"),
        lambda store: store.sessions("s10000", order="recent"),
        lambda store: store.sessions("nobody"),
        lambda store: store.sessions("nobody", order="recent"),
        lambda store: store.sessions(newer_than=timedelta(days=1)),
        lambda store: store.sessions(newer_than=timedelta(days=1), order="recent"),
        lambda store: store.sessions(older_than=timedelta(days=1)),
        lambda store: store.sessions("s118", after="s11850"),
        lambda store: store.steps("s10500"),
        lambda store: store.usage(),
    ],
    ids=[
        "id",
        "recent",
        "prefix",
        "prefix and recent",
        "a prefix of an old one and recent",
        "a prefix of nobody",
        "a prefix of nobody and recent",
        "newer than all",
        "newer than all and recent",
        "older than all",
        "prefix and after",
        "steps",
        "usage",
    ],
)


@pytest.fixture(scope="module")
def sqlite_rows(tmp_path_factory: pytest.TempPathFactory) -> SqliteRows:
    rows = SqliteRows(tmp_path_factory.mktemp("large") / "journal.db")
    asyncio.run(_filled(rows, "x'00'"))
    return rows


@pytest.fixture(scope="module")
def postgres_rows(postgres_server: Any) -> Iterator[PostgresRows]:
    with fresh_database(postgres_server) as url:
        rows = PostgresRows(url)
        asyncio.run(_filled(rows, "'\\x00'::bytea"))
        yield rows


async def _filled(rows: Rows, value: str) -> None:
    await make(rows)
    rows.run(FILL.format(last=ROWS - 1, value=value), [()])


@CALLS
async def test_sqlite_searches_its_indexes_and_scans_no_table(sqlite_rows: SqliteRows, call: Callable[[Any], Any]):
    with statements() as run:
        async with JournalStore.from_url(sqlite_rows.url) as store:
            await call(store)
    looks = [(text, parameters) for text, parameters in run if "FROM journal_" in text]
    assert looks
    with closing(sqlite3.connect(sqlite_rows.url.removeprefix("sqlite:///"))) as connection:
        for text, parameters in looks:
            plan = [line for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]
            # To count the first rows is no scan of all.
            assert "LIMIT" in text or not [line for line in plan if line.startswith("SCAN journal_")], text


@CALLS
async def test_postgres_reads_a_small_part_of_the_rows_even_before_it_has_statistics(
    postgres_rows: PostgresRows, call: Callable[[Any], Any]
):
    before = await read_by(postgres_rows)
    async with JournalStore.from_url(postgres_rows.url) as store:
        await call(store)
    assert await read_by(postgres_rows) - before < 0.6 * ROWS


async def read_by(rows: PostgresRows) -> int:
    """Return how many rows and index entries were read by connections that are closed."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while execute(rows.url, others)[0][0]:
        await asyncio.sleep(0.01)
    read = (
        "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables) + "
        "(SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)"
    )
    return int(execute(rows.url, read)[0][0])


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Collect what SQLAlchemy runs."""
    run = list[tuple[str, Any]]()

    def note(connection: object, cursor: object, statement: str, parameters: Any, *others: object) -> None:
        run.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield run
    finally:
        event.remove(Engine, "before_cursor_execute", note)
