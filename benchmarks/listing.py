"""What operators wait for in a large journal: ``python -m benchmarks.listing [--sessions N] [--rows M]``.

The journal is made by SQL inside the database. Sessions run a hundred at a time, each tenth record is a stream, and the
ids begin with the names of a hundred teams.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg
from rich.console import Console
from rich.table import Table

from jeeves_journal import JournalStore
from jeeves_journal.codecs import record_codec
from jeeves_journal.options import Settings
from tests.servers.postgres import PostgresServer, fresh_database

_CHECKOUT: Final = Path(__file__).parents[1]
_SERVER: Final = {"shared_buffers": "128MB"}
_ROUNDS: Final = 9

_COLUMNS: Final = "session_id, step_name, {payload}, created_at"
# "at" is which record of all it is, "number" which of its session, "session" the session's number.
_PLACES: Final = (
    "SELECT n AS at, n % (100 * {rows}) / 100 AS number, n / (100 * {rows}) * 100 + n % 100 AS session FROM {numbers}"
)
_SQLITE_NUMBERS: Final = (
    "(WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}) "
    "SELECT n FROM numbers)"
)
_POSTGRES_NUMBERS: Final = "generate_series(0, {last}) n"
_ROW: Final = {
    "sqlite": "printf('team-%d/run-%06d', session % 100, session), printf('step-%03d', number)",
    "postgres": "format('team-%s/run-%s', session % 100, lpad(session::text, 6, '0')), "
    "'step-' || lpad(number::text, 3, '0')",
}
_SECONDS_BETWEEN: Final = 0.01


def _fill_sqlite(url: str, sessions: int, rows: int) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        numbers = _SQLITE_NUMBERS.format(last=sessions * rows - 1)
        for statement in _inserts("sqlite", numbers, sessions, rows, "?"):
            connection.execute(statement, (_record(),))


async def _fill_postgres(url: str, sessions: int, rows: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        numbers = _POSTGRES_NUMBERS.format(last=sessions * rows - 1)
        for statement in _inserts("postgres", numbers, sessions, rows, "$1::bytea"):
            await connection.execute(statement, _record())
        # As autovacuum does before long.
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def _inserts(database: str, numbers: str, sessions: int, rows: int, value: str) -> Iterator[str]:
    places = _PLACES.format(rows=rows, numbers=numbers)
    created_at = f"{time.time() - sessions * rows * _SECONDS_BETWEEN} + {_SECONDS_BETWEEN} * at"
    for table, payload, which in (("journal_steps", "value", "< 9"), ("journal_streams", "chunks", "= 9")):
        columns = _COLUMNS.format(payload=payload)
        # Put together from constants and numbers.
        selected = f"SELECT {_ROW[database]}, {value}, {created_at} FROM ({places}) places WHERE number % 10 {which}"  # noqa: S608
        yield f"INSERT INTO {table} ({columns}) {selected}"


def _record() -> bytes:
    place = ("step", "run", "step", 0.0)
    return record_codec(Settings()).encode(place, {"status": "ok", "text": "x" * 200})


def _calls(store: Any, sessions: int) -> Mapping[str, Callable[[], Awaitable[Any]]]:
    one = f"team-7/run-{sessions // 2 // 100 * 100 + 7:06d}"
    return {
        "sessions()": store.sessions,
        'sessions(order="recent")': partial(store.sessions, order="recent"),
        'sessions("team-3")': partial(store.sessions, "team-3"),
        'sessions("team-3", order="recent")': partial(store.sessions, "team-3", order="recent"),
        'sessions("team-3/")': partial(store.sessions, "team-3/"),
        'sessions("team-3/", order="recent")': partial(store.sessions, "team-3/", order="recent"),
        'sessions("team-3/run-000", order="recent")': partial(store.sessions, "team-3/run-000", order="recent"),
        'sessions("nobody", order="recent")': partial(store.sessions, "nobody", order="recent"),
        "sessions(newer_than=1m)": partial(store.sessions, newer_than=timedelta(minutes=1)),
        "sessions(older_than=1000d)": partial(store.sessions, older_than=timedelta(days=1000)),
        'sessions("team-3/", newer_than=1m)': partial(store.sessions, "team-3/", newer_than=timedelta(minutes=1)),
        "steps(session)": partial(store.steps, one),
        "usage()": store.usage,
    }


async def _measured(url: str, sessions: int) -> dict[str, tuple[float, float]]:
    """Return for each call the seconds of the first one, and the median of those after it."""
    taken = dict[str, tuple[float, float]]()
    async with JournalStore.from_url(url) as store:
        await store.get_step("nobody", "nothing")
        for name, call in _calls(store, sessions).items():
            first, *others = [await _seconds(call) for _ in range(_ROUNDS)]
            taken[name] = first, median(others)
    return taken


async def _seconds(call: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    await call()
    return time.perf_counter() - started


@contextmanager
def _fresh_file() -> Iterator[str]:
    # On the disk of the checkout, since a temporary folder may be in memory.
    with tempfile.TemporaryDirectory(dir=_CHECKOUT, prefix=".bench-") as name:
        yield f"sqlite:///{name}/journal.db"


async def _bench(
    fresh_url: AbstractContextManager[str], fill: Callable[..., Any], sessions: int, rows: int
) -> dict[str, tuple[float, float]]:
    with fresh_url as url:
        async with JournalStore.from_url(url) as store:
            await store.init_schema()
        filling = fill(url, sessions, rows)
        if filling is not None:
            await filling
        return await _measured(url, sessions)


async def main() -> None:
    """Measure, and show it."""
    parser = argparse.ArgumentParser(prog="benchmarks.listing", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=100, help="of each session")
    arguments = parser.parse_args()
    size = arguments.sessions, arguments.rows
    sqlite = await _bench(_fresh_file(), _fill_sqlite, *size)
    with PostgresServer(_SERVER) as server:
        postgres = await _bench(fresh_database(server), _fill_postgres, *size)
    title = f"{size[0]:,} sessions of {size[1]:,} records each, in milliseconds"
    table = Table("call", "SQLite, first", "then", "Postgres, first", "then", title=title)
    for name in sqlite:
        table.add_row(name, *(f"{seconds * 1000:.1f}" for seconds in (*sqlite[name], *postgres[name])))
    Console(width=120).print(table)


if __name__ == "__main__":
    asyncio.run(main())
