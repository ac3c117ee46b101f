"""What the tests of bundles share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import JournalStore, OperableJournalStore
from tests.servers.postgres import fresh_database

KINDS = ["memory", "sqlite", "postgres"]

MakeStore = Callable[..., OperableJournalStore]


@pytest.fixture
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Names an empty journal of a kind, another one at each call."""
    with ExitStack() as databases:
        made: list[str] = []

        def url(kind: str) -> str:
            if kind == "postgres":
                server, template = map(request.getfixturevalue, ("postgres_server", "migrated_template"))
                made.append(databases.enter_context(fresh_database(server, template=template)))
            else:
                made.append({"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/journal-{len(made)}.db"}[kind])
            return made[-1]

        yield url


@pytest.fixture
async def make_store(urls: Callable[[str], str]) -> AsyncIterator[MakeStore]:
    """Opens an empty store of a kind, another one at each call."""
    async with AsyncExitStack() as stores:

        def make(kind: str, **options: Any) -> OperableJournalStore:
            store = JournalStore.from_url(urls(kind), **options)
            stores.push_async_callback(store.aclose)
            return store

        yield make


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, make_store: MakeStore) -> OperableJournalStore:
    """An empty store of each kind."""
    return make_store(request.param)


@pytest.fixture
def elsewhere(make_store: MakeStore) -> OperableJournalStore:
    """An empty store to import into, or to export from."""
    return make_store("memory")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a bundle may be made, in a folder of its own."""
    (tmp_path / "bundles").mkdir()
    return tmp_path / "bundles" / "journal.bundle"
