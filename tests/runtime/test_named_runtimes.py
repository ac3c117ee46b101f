"""SqliteRuntime and PostgresRuntime: the names that JeevesAgent's users know. The SQL stores need asyncio."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from jeeves_journal import PostgresJournalStore, PostgresRuntime, SqliteJournalStore, SqliteRuntime
from tests.runtime.stores import Work

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_sqlite_runtime_replays_what_its_file_holds(tmp_path: Path) -> None:
    for result in ("first", "second"):
        async with SqliteRuntime(tmp_path / "journal.db", timeout=5) as runtime, runtime.session("run-1"):
            assert await runtime.step("a", Work(), result) == "first"
            assert await runtime.step("b", Work(), result) == "first"


async def test_a_sqlite_runtime_shows_its_path_name_and_store(tmp_path: Path) -> None:
    async with SqliteRuntime(tmp_path / "journal.db") as runtime:
        assert runtime.path == tmp_path / "journal.db"
        assert runtime.name == "sqlite"
        assert isinstance(runtime.store, SqliteJournalStore)


async def test_a_postgres_runtime_connects_and_makes_its_tables(postgres_url: str) -> None:
    for result in ("first", "second"):
        runtime = await PostgresRuntime.connect(postgres_url, min_size=1, max_size=2, timeout=5)
        await runtime.init_schema()
        async with runtime, runtime.session("run-1"):
            assert await runtime.step("a", Work(), result) == "first"
        assert runtime.name == "postgres"
        assert isinstance(runtime.store, PostgresJournalStore)


async def test_a_postgres_runtime_takes_a_pool(migrated_postgres_url: str) -> None:
    async with asyncpg.create_pool(migrated_postgres_url, min_size=1, max_size=2) as pool:
        runtime = PostgresRuntime(pool)
        async with runtime.session("run-1"):
            assert await runtime.step("a", Work(), "recorded") == "recorded"
            assert await runtime.step("a", Work(), "repeated") == "recorded"
        await runtime.aclose()


def test_importing_the_runtime_loads_no_sqlalchemy() -> None:
    program = "import sys, jeeves_journal.runtime; sys.exit(bool({'sqlalchemy', 'alembic'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
