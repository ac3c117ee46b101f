"""Operations that are cancelled at any moment, over an engine that others use too."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from jeeves_journal import JournalStore, SQLAlchemyJournalStore
from tests.operations.records import record
from tests.stores.engines import store_on

pytestmark = pytest.mark.anyio

Operation = Callable[[SQLAlchemyJournalStore], Awaitable[Any]]

OPERATIONS: dict[str, Operation] = {
    "steps": lambda store: store.steps("run"),
    "sessions": lambda store: store.sessions(),
    "fork": lambda store: store.fork_session("run", "copy"),
    "delete": lambda store: store.delete_session("run"),
}

# Of the event loop, by which each time a call is cancelled later.
TURNS = 8


async def cancel_at_every_moment(operation: Operation, store: SQLAlchemyJournalStore, after: Operation) -> None:
    """Cancel an operation sooner and later, until it is done before that."""
    for turns in count(0, TURNS):
        await store.delete_session("copy")
        await store.delete_session("run")
        await record(store, "run", "a", "~b", "c")
        calling = asyncio.ensure_future(operation(store))
        for _ in range(turns):
            await asyncio.sleep(0)
        calling.cancel()
        # Again, as AnyIO does.
        await asyncio.sleep(0)
        calling.cancel()
        await asyncio.wait([calling])
        await after(store)
        assert [len(await store.steps(each)) in (0, 3) for each in ("run", "copy")] == [True, True]
        if not calling.cancelled():
            await calling
            break


async def in_transaction(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        return bool(driver.is_in_transaction())


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_callers_connection_comes_back_without_a_transaction(
    migrated_postgres_url: str, operation: str
) -> None:
    async with store_on(migrated_postgres_url, pool_size=1, max_overflow=0) as (engine, store):

        async def others_have_none(_: SQLAlchemyJournalStore) -> None:
            assert not await in_transaction(engine)

        await cancel_at_every_moment(OPERATIONS[operation], store, others_have_none)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_callers_database_in_memory_stays(operation: str) -> None:
    async with store_on("sqlite+aiosqlite:///:memory:") as (engine, store):
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE theirs (n INTEGER)"))

        async def their_table_is_there(_: SQLAlchemyJournalStore) -> None:
            async with engine.connect() as connection:
                assert await connection.scalar(text("SELECT count(*) FROM theirs")) == 0

        await cancel_at_every_moment(OPERATIONS[operation], store, their_table_is_there)


@pytest.mark.parametrize("url", ["sqlite:///{}/journal.db", "sqlite:///:memory:"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_task_is_left_that_never_ends(tmp_path: Path, url: str, operation: str) -> None:
    complaints = list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))

    async def nothing(_: SQLAlchemyJournalStore) -> None: ...

    async with JournalStore.from_url(url.format(tmp_path)) as store:
        assert isinstance(store, SQLAlchemyJournalStore)
        await cancel_at_every_moment(OPERATIONS[operation], store, nothing)
    gc.collect()
    assert complaints == []
