"""Rows as another program sees them: read and written by plain SQL, past the store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from tests.servers.postgres import execute, run_apart


class Rows(Protocol):
    """The tables of a journal, by plain SQL with ``?`` or ``$1``."""

    url: str

    def run(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement of SQLite's once for each row, in one transaction."""
        ...

    def value(self, session_id: str, step_name: str) -> bytes:
        """Return the bytes that are recorded for a step."""
        ...

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        ...


class SqliteRows:
    """A journal in a SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def run(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.executemany(statement, rows)

    def value(self, session_id: str, step_name: str) -> bytes:
        query = "SELECT value FROM journal_steps WHERE session_id = ? AND step_name = ?"
        with closing(sqlite3.connect(self.path)) as connection:
            return bytes(connection.execute(query, (session_id, step_name)).fetchone()[0])

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()


class PostgresRows:
    """A journal in Postgres."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.url)
            try:
                await connection.executemany(_numbered(statement), rows)
            finally:
                await connection.close()

        run_apart(run())

    def value(self, session_id: str, step_name: str) -> bytes:
        query = "SELECT value FROM journal_steps WHERE session_id = $1 AND step_name = $2"
        return bytes(execute(self.url, query, session_id, step_name)[0][0])

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in execute(self.url, query)]


def put_raw(rows: Rows, session_id: str, steps: dict[str, Any]) -> None:
    """Record steps whose bytes are given."""
    insert = "INSERT INTO journal_steps (session_id, step_name, value, created_at) VALUES (?, ?, ?, ?)"
    rows.run(insert, [(session_id, name, data, float(at)) for at, (name, data) in enumerate(steps.items())])


async def outcomes(calls: Iterable[Any]) -> list[Any]:
    """Return what each call returned or raised, all made at once."""
    return await asyncio.gather(*calls, return_exceptions=True)


def _numbered(statement: str) -> str:
    first, *rest = statement.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))
