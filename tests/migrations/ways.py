"""The ways in which a database comes by its tables."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine

from jeeves_journal import JournalStore, metadata, migrations
from tests.migrations.databases import engine_url, run_script

CHECKOUT = Path(__file__).parents[2]


def alembic(
    *arguments: str, url: str | None = None, cwd: Path = CHECKOUT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m alembic`` as a user does, with warnings as errors."""
    named = ["-x", f"url={url}"] if url else []
    inherited = {name: value for name, value in os.environ.items() if name != "JEEVES_JOURNAL_URL"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "alembic", *named, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        env={**inherited, **(env or {})},
    )


def alembic_succeeds(*arguments: str, url: str | None = None, **kwargs: object) -> str:
    """Run a command that must do what was asked; return its output."""
    ended = alembic(*arguments, url=url, **kwargs)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def python(code: str, *arguments: str, cwd: Path = CHECKOUT, env: Mapping[str, str] | None = None) -> str:
    """Run code in a process of its own, with warnings as errors; return its output."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def by_models(url: str) -> None:
    async def create() -> None:
        engine = create_async_engine(engine_url(url))
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        await engine.dispose()

    asyncio.run(create())


def by_alembic(url: str) -> None:
    alembic_succeeds("upgrade", "head", url=url)


def by_upgrade(url: str) -> None:
    migrations.upgrade(url)


def by_printed_sql(url: str) -> None:
    run_script(url, migrations.sql(url))


def by_init_schema(url: str) -> None:
    async def init() -> None:
        async with JournalStore.from_url(url) as store:
            await store.init_schema()

    asyncio.run(init())


def by_create_tables(url: str) -> None:
    by_first_use(url, create_tables=True)


def by_first_use(url: str, **options: object) -> None:
    async def use() -> None:
        async with JournalStore.from_url(url, **options) as store:
            assert await store.get_step("nobody", "knows") is None

    asyncio.run(use())


MIGRATING: dict[str, Callable[[str], None]] = {
    "alembic upgrade head": by_alembic,
    "alembic upgrade head --sql": by_printed_sql,
    "migrations.upgrade": by_upgrade,
    "init_schema": by_init_schema,
    "create_tables=True": by_create_tables,
}
"""What brings either database to the newest revision."""
