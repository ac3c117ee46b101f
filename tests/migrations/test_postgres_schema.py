"""``schema=``: the tables in a Postgres schema of their own."""

from __future__ import annotations

import asyncio

import pytest

from jeeves_journal import JournalStore, SchemaError, migrations
from tests.migrations import jeeves_agent
from tests.migrations.databases import (
    TABLES,
    VERSION_TABLE,
    gather,
    identifier,
    query,
    revision_of,
    schema_names,
    table_names,
)

pytestmark = pytest.mark.migrations

NAMES = ["elsewhere", 'we"ird Schema', "Größe", "50% off", "select"]


async def put_and_get(url: str, value: object, **options: object) -> object:
    async with JournalStore.from_url(url, **options) as store:
        await store.put_step("run-1", "fetch", value)
        entry = await store.get_step("run-1", "fetch")
        return entry and entry.value


@pytest.mark.parametrize("schema", NAMES)
def test_upgrade_makes_the_schema_and_everything_in_it(schema: str, postgres_url: str) -> None:
    migrations.upgrade(postgres_url, schema=schema)
    assert table_names(postgres_url, schema) == {*TABLES, VERSION_TABLE}
    assert table_names(postgres_url) == set()
    assert migrations.current(postgres_url, schema=schema) == revision_of(postgres_url, schema) == migrations.HEAD
    migrations.check(postgres_url, schema=schema)


@pytest.mark.parametrize("schema", NAMES)
def test_a_store_makes_the_schema_and_uses_it(schema: str, postgres_url: str) -> None:
    assert asyncio.run(put_and_get(postgres_url, 3, schema=schema, create_tables=True)) == 3
    assert table_names(postgres_url, schema) == {*TABLES, VERSION_TABLE}
    assert table_names(postgres_url) == set()


def test_downgrade_stays_in_the_schema(postgres_url: str) -> None:
    migrations.upgrade(postgres_url)
    migrations.upgrade(postgres_url, schema="elsewhere")
    migrations.downgrade(postgres_url, "base", schema="elsewhere")
    assert table_names(postgres_url, "elsewhere") == set(TABLES)
    migrations.check(postgres_url)


def test_two_schemas_stand_side_by_side(postgres_url: str) -> None:
    urls = [f"{postgres_url}?schema={name}" for name in ("one", "two")]
    for url in urls:
        migrations.upgrade(url)
    assert gather(put_and_get(url, number) for number, url in enumerate(urls)) == [0, 1]
    for number, name in enumerate(("one", "two")):
        migrations.check(postgres_url, schema=name)
        assert query(postgres_url, f"SELECT count(*) FROM {name}.journal_steps") == [(1,)]
        assert gather([put_and_get(f"{postgres_url}?schema={name}", number)]) == [number]


def test_check_sees_only_its_own_schema(postgres_url: str) -> None:
    migrations.upgrade(postgres_url, schema="one")
    migrations.upgrade(postgres_url, schema="two")
    query(postgres_url, "ALTER TABLE two.journal_steps DROP COLUMN created_at")
    migrations.check(postgres_url, schema="one")
    with pytest.raises(SchemaError, match="add column two.journal_steps.created_at"):
        migrations.check(postgres_url, schema="two")


def test_the_default_schema_may_be_named(postgres_url: str) -> None:
    migrations.upgrade(postgres_url)
    migrations.upgrade(postgres_url, schema="public")
    migrations.check(postgres_url, schema="public")
    migrations.check(postgres_url)


def test_a_schema_that_is_missing_has_no_tables(postgres_url: str) -> None:
    assert migrations.current(postgres_url, schema="elsewhere") is None
    with pytest.raises(SchemaError, match="alembic upgrade head"):
        asyncio.run(put_and_get(postgres_url, 3, schema="elsewhere"))
    assert "elsewhere" not in schema_names(postgres_url)


def test_without_one_the_first_of_the_search_path_is_meant(postgres_url: str) -> None:
    query(postgres_url, "CREATE SCHEMA mine")
    migrations.upgrade(f"{postgres_url}?search_path=mine,public")
    assert table_names(postgres_url, "mine") == {*TABLES, VERSION_TABLE}
    assert table_names(postgres_url) == set()
    migrations.check(f"{postgres_url}?search_path=mine,public")


def test_jeeves_agents_tables_in_a_schema_are_adopted(agent_postgres_url: str) -> None:
    query(agent_postgres_url, "CREATE SCHEMA elsewhere")
    for table in TABLES:
        query(agent_postgres_url, f"ALTER TABLE {table} SET SCHEMA elsewhere")
    migrations.upgrade(agent_postgres_url, schema="elsewhere")
    migrations.check(agent_postgres_url, schema="elsewhere")
    rows = query(agent_postgres_url, "SELECT session_id, step_name FROM elsewhere.journal_steps")
    assert set(rows) == set(jeeves_agent.STEPS)
    collations = query(
        agent_postgres_url,
        f"""SELECT DISTINCT collname FROM pg_attribute JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE attrelid = '{identifier("elsewhere")}.journal_steps'::regclass AND attnum > 0""",
    )
    assert collations == [("C",)]


def test_in_a_single_transaction_the_schema_is_made_under_the_lock(postgres_url: str) -> None:
    # pgbouncer=true keeps the upgrade in one transaction, which the schema's creation must not end.
    url = f"{postgres_url}?pgbouncer=true&schema=elsewhere&create_tables=true"
    assert gather(put_and_get(url, 3) for _ in range(6)) == [3] * 6
    migrations.check(postgres_url, schema="elsewhere")
