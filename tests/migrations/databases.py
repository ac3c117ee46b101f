"""Looking into databases with the plain drivers, past everything that is tested."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import asyncpg

from tests.servers.postgres import run_apart

TABLES = ("journal_steps", "journal_streams")
VERSION_TABLE = "journal_alembic_version"


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


def path_of(url: str) -> str:
    """Return the file of a SQLite URL."""
    return url.partition("///")[2]


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows."""
    if is_sqlite(url):
        with closing(sqlite3.connect(path_of(url))) as connection, connection:
            return connection.execute(statement).fetchall()
    return [tuple(row) for row in run_apart(_on_postgres(url, lambda connection: connection.fetch(statement)))]


def run_script(url: str, script: str) -> None:
    """Run a script of several statements, as ``sqlite3 FILE < script`` and ``psql -f`` do."""
    if is_sqlite(url):
        with closing(sqlite3.connect(path_of(url))) as connection:
            connection.executescript(script)
    else:
        run_apart(_on_postgres(url, lambda connection: connection.execute(script)))


def run_one_by_one(url: str, statements: Iterable[str]) -> None:
    """Run Postgres statements one by one on one connection, as psql does."""

    async def run(connection: Any) -> None:
        for statement in statements:
            await connection.execute(statement)

    run_apart(_on_postgres(url, run))


async def _on_postgres(url: str, work: Any) -> Any:
    connection = await asyncpg.connect(url.partition("?")[0])
    try:
        return await work(connection)
    finally:
        await connection.close()


def table_names(url: str, schema: str = "public") -> set[str]:
    if is_sqlite(url):
        found = query(url, "SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        found = query(url, f"SELECT tablename FROM pg_tables WHERE schemaname = {literal(schema)}")
    return {name for (name,) in found}


def schema_names(url: str) -> set[str]:
    return {name for (name,) in query(url, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")}


def revision_of(url: str, schema: str = "public") -> str | None:
    """Return what the version table holds, or ``None`` where there is no such table."""
    if VERSION_TABLE not in table_names(url, schema):
        return None
    where = "" if is_sqlite(url) else f"{identifier(schema)}."
    ((revision,),) = query(url, f"SELECT version_num FROM {where}{VERSION_TABLE}")
    return revision


def set_revision(url: str, revision: str) -> None:
    query(url, f"UPDATE {VERSION_TABLE} SET version_num = {literal(revision)}")


def rows_of(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every recorded row, byte by byte."""
    return {table: sorted(query(url, f"SELECT * FROM {table}")) for table in TABLES}


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def engine_url(url: str) -> str:
    """Return a URL as SQLAlchemy's engines take it."""
    return url.replace("sqlite://", "sqlite+aiosqlite://").replace("postgresql://", "postgresql+asyncpg://")


def gather(coroutines: Iterable[Any]) -> list[Any]:
    """Run coroutines at once in one event loop; the first error is raised."""

    async def together() -> list[Any]:
        return await asyncio.gather(*coroutines)

    return asyncio.run(together())
