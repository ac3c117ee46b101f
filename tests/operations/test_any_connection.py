"""Operating over whatever a store gets its connections from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event, text

from jeeves_journal import JournalStore, Keyring, PostgresJournalStore, SQLAlchemyJournalStore
from tests.operations.records import record, steps_of
from tests.servers.postgres import execute
from tests.stores.engines import store_on
from tests.stores.pgbouncer import find_pgbouncer, pgbouncer_server

pytestmark = pytest.mark.anyio

Opening = Callable[[pytest.FixtureRequest, Path], AbstractAsyncContextManager[SQLAlchemyJournalStore]]


def postgres(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("migrated_postgres_url"))


@asynccontextmanager
async def memory(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SQLAlchemyJournalStore]:
    async with JournalStore.from_url("sqlite:///:memory:") as store:
        yield store


@asynccontextmanager
async def engine_on_a_file(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SQLAlchemyJournalStore]:
    async with store_on(f"sqlite+aiosqlite:///{folder}/app.db") as (_, store):
        yield store


@asynccontextmanager
async def engine_on_memory(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SQLAlchemyJournalStore]:
    async with store_on("sqlite+aiosqlite:///:memory:") as (_, store):
        yield store


@asynccontextmanager
async def engine_on_postgres(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SQLAlchemyJournalStore]:
    async with store_on(postgres(request)) as (_, store):
        yield store


@asynccontextmanager
async def pool(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SQLAlchemyJournalStore]:
    async with (
        asyncpg.create_pool(postgres(request), min_size=1, max_size=2) as connections,
        PostgresJournalStore(connections) as store,
    ):
        yield store


@asynccontextmanager
async def schema(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SQLAlchemyJournalStore]:
    url = request.getfixturevalue("postgres_url")
    execute(url, 'CREATE SCHEMA "of its own"')
    async with JournalStore.from_url(url, schema="of its own", create_tables=True) as store:
        yield store


@asynccontextmanager
async def one_connection(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SQLAlchemyJournalStore]:
    async with JournalStore.from_url(postgres(request), pool_size=1, max_overflow=0) as store:
        yield store


@asynccontextmanager
async def pooler(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SQLAlchemyJournalStore]:
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with pgbouncer_server(program, postgres(request)) as bouncer:
        async with JournalStore.from_url(bouncer.url, pgbouncer=True) as store:
            yield store


OPENINGS: list[Opening] = [
    memory,
    engine_on_a_file,
    engine_on_memory,
    engine_on_postgres,
    pool,
    schema,
    one_connection,
    pooler,
]


@pytest.mark.parametrize("opening", OPENINGS)
async def test_sessions_are_forked_rewound_deleted_and_pruned(
    opening: Opening, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with opening(request, tmp_path) as store:
        await record(store, "run", "a", "~b", "c", "d")
        assert await store.fork_session("run", "copy", before="d") == 3
        assert await store.rewind("run", "c") == 2
        assert await store.delete_step("copy", "c") == 1
        assert await steps_of(store, "run") == await steps_of(store, "copy") == {"a": "a"}
        assert await store.delete_session("run") == 2
        await record(store, "kept", "a")
        pruned = await store.prune(timedelta(0), keep=["kept"], batch=1)
        assert (pruned.sessions, pruned.records) == (1, 2)
        assert await steps_of(store, "kept") == {"a": "a"}


async def test_a_callers_engine_with_keys(tmp_path: Path) -> None:
    async with (
        store_on(f"sqlite+aiosqlite:///{tmp_path}/app.db") as (engine, _),
        SQLAlchemyJournalStore(engine, keys=Keyring.generate(), seal="encrypt") as store,
    ):
        await record(store, "run", "a", "~b")
        assert await store.fork_session("run", "copy") == 2
        assert await steps_of(store, "copy") == {"a": "a"}


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
async def test_on_a_callers_sqlite_engine_a_change_is_synced_and_the_callers_level_stays(tmp_path: Path, level: str):
    levels: list[int] = []
    async with store_on(f"sqlite+aiosqlite:///{tmp_path}/app.db") as (engine, store):

        @event.listens_for(engine.sync_engine, "connect")
        def set_level(connection: Any, record: object) -> None:
            connection.execute(f"PRAGMA synchronous = {level}")

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def note_level(_connection: Any, cursor: Any, statement: str, *_: object) -> None:
            if statement.startswith("DELETE"):
                cursor.execute("PRAGMA synchronous")
                levels.append(cursor.fetchone()[0])

        await store.put_step("s", "n", 1)
        assert await store.delete_session("s") == 1
        async with engine.connect() as connection:
            left = await connection.scalar(text("PRAGMA synchronous"))
    assert set(levels) == {2}
    assert left == {"OFF": 0, "NORMAL": 1}[level]
