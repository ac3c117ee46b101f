"""Databases to migrate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.migrations import jeeves_agent
from tests.migrations.builds import fill


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a database without tables."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def agent_url(url: str) -> str:
    """The URL of a database with JeevesAgent's tables and rows."""
    jeeves_agent.record_runs(url)
    return url


@pytest.fixture
def agent_postgres_url(postgres_url: str) -> str:
    """The URL of a Postgres database with JeevesAgent's tables and rows."""
    jeeves_agent.record_runs(postgres_url)
    return postgres_url


@pytest.fixture
def agent_sqlite_url(sqlite_url: str) -> str:
    """The URL of a SQLite database with JeevesAgent's tables and rows."""
    jeeves_agent.record_runs(sqlite_url)
    return sqlite_url


@pytest.fixture
def filled_postgres_url(postgres_url: str) -> str:
    """The URL of a Postgres database whose tables hold a few rows, and are not indexed by time yet."""
    fill(postgres_url, 100)
    return postgres_url
