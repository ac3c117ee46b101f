"""Fixtures for every test: a real Postgres, and databases in it that are empty or already migrated."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from jeeves_journal import JournalStore
from tests.servers.postgres import ExternalPostgres, PostgresServer, fresh_database, run_apart

# Every run draws the same examples; `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("deterministic")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio; a class or module that also means trio overrides this."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer | ExternalPostgres]:
    """A running Postgres: the one in ``JEEVES_JOURNAL_TEST_POSTGRES_URL``, or else one that ends with the run."""
    url = os.environ.get("JEEVES_JOURNAL_TEST_POSTGRES_URL")
    if url:
        yield ExternalPostgres(url)
        return
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer | ExternalPostgres) -> Iterator[str]:
    """The URL of an empty database. The test fails if it leaves a connection to it."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer | ExternalPostgres) -> Iterator[str]:
    """The name of a migrated database, to be cloned."""

    async def migrate(url: str) -> None:
        async with JournalStore.from_url(url) as store:
            await store.init_schema()

    with fresh_database(postgres_server) as url:
        run_apart(migrate(url))
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def migrated_postgres_url(postgres_server: PostgresServer | ExternalPostgres, migrated_template: str) -> Iterator[str]:
    """The URL of a database with the journal's tables. The test fails if it leaves a connection to it."""
    with fresh_database(postgres_server, template=migrated_template) as url:
        yield url
