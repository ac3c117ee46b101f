"""Every way in which a user may put a runtime on a database: ours, JeevesAgent's, and one over the other's store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg
import jeevesagent.runtime as theirs

import jeeves_journal as ours
from tests.migrations.databases import is_sqlite, path_of

Open: TypeAlias = Callable[[str], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def their_store(url: str) -> AsyncIterator[Any]:
    """JeevesAgent's store, with its tables."""
    if is_sqlite(url):
        yield theirs.SqliteJournalStore(path_of(url))
        return
    store = await theirs.PostgresJournalStore.connect(url)
    try:
        await store.init_schema()
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def our_store(url: str) -> AsyncIterator[Any]:
    """Our store by URL, with its tables."""
    async with ours.JournalStore.from_url(url) as store:
        await store.init_schema()
        yield store


@asynccontextmanager
async def _their_runtime(url: str) -> AsyncIterator[Any]:
    if is_sqlite(url):
        yield theirs.SqliteRuntime(path_of(url))
        return
    runtime = await theirs.PostgresRuntime.connect(url)
    try:
        await runtime.init_schema()
        yield runtime
    finally:
        await runtime.aclose()


@asynccontextmanager
async def _their_runtime_on_our_store(url: str) -> AsyncIterator[Any]:
    async with our_store(url) as store:
        yield theirs.JournaledRuntime(store)


@asynccontextmanager
async def _our_runtime_on_their_store(url: str) -> AsyncIterator[Any]:
    async with their_store(url) as store:
        yield ours.JournaledRuntime(store)


@asynccontextmanager
async def _our_runtime_by_url(url: str) -> AsyncIterator[Any]:
    async with our_store(url) as store:
        yield ours.JournaledRuntime(store)


@asynccontextmanager
async def _our_named_store(url: str) -> AsyncIterator[Any]:
    if is_sqlite(url):
        store: Any = ours.SqliteJournalStore(path_of(url))
    else:
        store = await ours.PostgresJournalStore.connect(url, min_size=1, max_size=2)
        await store.init_schema()
    async with ours.JournaledRuntime(store) as runtime:
        yield runtime


@asynccontextmanager
async def _our_named_runtime(url: str) -> AsyncIterator[Any]:
    if is_sqlite(url):
        runtime: Any = ours.SqliteRuntime(path_of(url))
    else:
        runtime = await ours.PostgresRuntime.connect(url)
        await runtime.init_schema()
    async with runtime:
        yield runtime


@asynccontextmanager
async def _our_runtime_on_a_pool(url: str) -> AsyncIterator[Any]:
    async with ours.PostgresRuntime(await asyncpg.create_pool(url, min_size=1, max_size=2)) as runtime:
        await runtime.init_schema()
        yield runtime


THEIRS: Final[dict[str, Open]] = {"their runtime": _their_runtime}
OURS: Final[dict[str, Open]] = {
    "our store by URL": _our_runtime_by_url,
    "our named store": _our_named_store,
    "our named runtime": _our_named_runtime,
}
ON_POSTGRES_ONLY: Final[dict[str, Open]] = {"our runtime on a pool": _our_runtime_on_a_pool}
MIXED: Final[dict[str, Open]] = {
    "their runtime on our store": _their_runtime_on_our_store,
    "our runtime on their store": _our_runtime_on_their_store,
}
RUNTIMES: Final[dict[str, Open]] = {**THEIRS, **OURS, **ON_POSTGRES_ONLY, **MIXED}

EVERYWHERE: Final = [(database, kind) for database in ("sqlite", "postgres") for kind in (*OURS, *MIXED)]
EVERY_WAY: Final = [*EVERYWHERE, *(("postgres", kind) for kind in ON_POSTGRES_ONLY)]
"""Pairs of a database and of a key of ``RUNTIMES`` in which something is ours."""
