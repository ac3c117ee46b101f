"""Many that build the indexes by time at once, behind a pooler, and on a caller's connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from jeeves_journal import (
    PostgresJournalStore,
    SQLAlchemyJournalStore,
    StoreUnavailableError,
    migrations,
)
from tests.migrations.builds import (
    BEFORE,
    assert_built,
    init,
    interrupt_build,
)
from tests.migrations.databases import engine_url, gather
from tests.stores.pgbouncer import find_pgbouncer, pgbouncer
from tests.stores.processes import run_together

pytestmark = pytest.mark.migrations

MANY = 12

UPGRADE = """
    import sys
    from jeeves_journal import migrations

    print("ready", flush=True)
    input()
    migrations.upgrade(sys.argv[1])
"""


def test_processes_that_upgrade_filled_tables_all_succeed(filled_postgres_url: str) -> None:
    run_together(UPGRADE, [(filled_postgres_url,)] * MANY)
    assert_built(filled_postgres_url)


def test_processes_that_upgrade_after_an_interrupted_build_all_succeed(filled_postgres_url: str) -> None:
    asyncio.run(interrupt_build(filled_postgres_url))
    run_together(UPGRADE, [(filled_postgres_url,)] * MANY)
    assert_built(filled_postgres_url)


@pytest.mark.parametrize("connections", [2, 3])
def test_behind_a_pooler_processes_that_upgrade_filled_tables_all_succeed(
    filled_postgres_url: str, connections: int
) -> None:
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with pgbouncer(program, filled_postgres_url, connections=connections) as pooled:
        run_together(UPGRADE, [(f"{pooled}?pgbouncer=true",)] * MANY)
        gather(init(f"{pooled}?pgbouncer=true") for _ in range(MANY))
    assert_built(filled_postgres_url)


def test_a_pooler_with_one_connection_is_told_to_be_too_small(filled_postgres_url: str) -> None:
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with (
        pgbouncer(program, filled_postgres_url, connections=1) as pooled,
        pytest.raises(StoreUnavailableError, match="two connections"),
    ):
        migrations.upgrade(f"{pooled}?pgbouncer=true", timeout=2)
    assert migrations.current(filled_postgres_url) == BEFORE


@pytest.mark.parametrize("pgbouncer", [False, True])
def test_a_callers_engine_builds_it_and_is_left_as_it_was(filled_postgres_url: str, pgbouncer: bool) -> None:
    settings = text("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")

    async def run() -> None:
        engine = create_async_engine(engine_url(filled_postgres_url), pool_size=2, max_overflow=0)
        async with AsyncExitStack() as stack:
            stores = [SQLAlchemyJournalStore(engine, pgbouncer=pgbouncer) for _ in range(4)]
            for store in stores:
                await stack.enter_async_context(store)
            await asyncio.gather(*(store.init_schema() for store in stores))
        async with engine.connect() as first, engine.connect() as second:
            for connection in (first, second):
                assert (await connection.execute(settings)).one() == ("0", "0")
        await engine.dispose()

    asyncio.run(run())
    assert_built(filled_postgres_url)


@pytest.mark.parametrize("pgbouncer", [False, True])
def test_a_callers_pool_builds_it(filled_postgres_url: str, pgbouncer: bool) -> None:
    async def run() -> None:
        async with (
            asyncpg.create_pool(filled_postgres_url, min_size=0, max_size=2) as pool,
            PostgresJournalStore(pool, close_pool=False, pgbouncer=pgbouncer) as store,
        ):
            await store.init_schema()

    asyncio.run(run())
    assert_built(filled_postgres_url)
