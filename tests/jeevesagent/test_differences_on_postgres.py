"""Where we differ from JeevesAgent on purpose, and Postgres is needed to show it; see test_differences.py."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import jeevesagent.runtime as theirs
import pytest

import jeeves_journal as ours
from tests.migrations.databases import query, run_script


@pytest.mark.parametrize(("package", "error"), [(theirs, asyncpg.UndefinedTableError), (ours, ours.SchemaError)])
def test_errors_are_ours_on_postgres(package: Any, error: type[Exception], postgres_url: str) -> None:
    async def main() -> None:
        store = await package.PostgresJournalStore.connect(postgres_url)
        try:
            await store.get_step("s", "step")
        finally:
            await store.aclose()

    with pytest.raises(error):
        asyncio.run(main())


def test_a_pool_is_asyncpgs_own() -> None:
    class StandIn:
        def acquire(self) -> None: ...

    theirs.PostgresJournalStore(StandIn())
    with pytest.raises(ours.ConfigurationError):
        ours.PostgresJournalStore(StandIn())


@pytest.mark.parametrize(("package", "expected"), [(theirs, True), (ours, False)])
def test_schema_sql_is_not_plain_ddl(package: Any, expected: bool) -> None:
    ddl = package.PostgresJournalStore.schema_sql()
    assert all(statement.startswith("CREATE TABLE IF NOT EXISTS") for statement in ddl) is expected


@pytest.mark.parametrize(("package", "expected"), [(theirs, {"public", "tenant"}), (ours, {"public"})])
@pytest.mark.parametrize("way", ["init_schema", "schema_sql"])
def test_tables_that_the_search_path_finds_are_used(package: Any, expected: Any, way: str, postgres_url: str) -> None:
    async def make_tables(search_path: str) -> None:
        settings = {"search_path": search_path}
        async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1, server_settings=settings) as pool:
            if way == "init_schema":
                await package.PostgresJournalStore(pool).init_schema()
            else:
                for statement in package.PostgresJournalStore.schema_sql():
                    await pool.execute(statement)

    asyncio.run(make_tables("public"))
    run_script(postgres_url, "CREATE SCHEMA tenant")
    asyncio.run(make_tables("tenant, public"))
    found = query(postgres_url, "SELECT schemaname FROM pg_tables WHERE tablename = 'journal_steps'")
    assert {schema for (schema,) in found} == expected


def test_a_journal_in_each_schema_is_asked_for_by_name(postgres_url: str) -> None:
    async def put(search_path: str, schema: str) -> None:
        settings = {"search_path": search_path}
        async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1, server_settings=settings) as pool:
            store = ours.PostgresJournalStore(pool, schema=schema)
            await store.init_schema()
            await store.put_step("s", "step", schema)

    asyncio.run(put("public", "public"))
    asyncio.run(put("tenant, public", "tenant"))
    for schema in ("public", "tenant"):
        assert query(postgres_url, f"SELECT count(*) FROM {schema}.journal_steps") == [(1,)]
