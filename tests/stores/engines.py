"""Engines as callers make them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from jeeves_journal import SQLAlchemyJournalStore


def for_asyncpg(url: str) -> str:
    """Return the URL as SQLAlchemy wants it."""
    return url.replace("postgresql://", "postgresql+asyncpg://")


@asynccontextmanager
async def engine_on(url: str, **options: Any) -> AsyncIterator[AsyncEngine]:
    """An engine that must have nothing checked out at its end."""
    engine = create_async_engine(for_asyncpg(url), **options)
    try:
        yield engine
        assert checked_out(engine) == 0
    finally:
        await engine.dispose()


@asynccontextmanager
async def store_on(
    url: str, *, timeout: float = 30.0, **options: Any
) -> AsyncIterator[tuple[AsyncEngine, SQLAlchemyJournalStore]]:
    """An engine and a store over it."""
    async with engine_on(url, **options) as engine, SQLAlchemyJournalStore(engine, timeout=timeout) as store:
        yield engine, store


def checked_out(engine: AsyncEngine) -> int:
    """Return how many connections are lent, of a pool that counts them."""
    count = getattr(engine.pool, "checkedout", None)
    return count() if count else 0


def url_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a journal in a "file", in "memory" or in "postgres"."""
    if kind == "postgres":
        return str(request.getfixturevalue("migrated_postgres_url"))
    return "sqlite+aiosqlite:///" + (":memory:" if kind == "memory" else f"{tmp_path}/app.db")
