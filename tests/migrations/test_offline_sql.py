"""DDL on paper, for who may not run Alembic against the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jeeves_journal import ConfigurationError, JournalStore, migrations
from tests.migrations.catalogue import schema_of
from tests.migrations.databases import (
    TABLES,
    VERSION_TABLE,
    revision_of,
    rows_of,
    run_one_by_one,
    run_script,
    table_names,
)
from tests.migrations.ways import alembic_succeeds, python

pytestmark = pytest.mark.migrations

WITHOUT_DRIVERS = "import sys; sys.modules['aiosqlite'] = sys.modules['asyncpg'] = None\n"


@pytest.mark.parametrize("url", ["sqlite:///x.db", "postgresql://nowhere/x", "postgresql://nowhere/x?schema=elsewhere"])
def test_alembic_prints_what_the_library_returns(url: str) -> None:
    assert alembic_succeeds("upgrade", "head", "--sql", url=url) == migrations.sql(url)


def test_what_it_made_is_a_current_schema(url: str) -> None:
    run_script(url, migrations.sql(url))
    assert revision_of(url) == migrations.current(url) == migrations.HEAD
    migrations.check(url)
    before = schema_of(url)
    migrations.upgrade(url)
    assert schema_of(url) == before


def test_a_store_uses_what_it_made(url: str) -> None:
    run_script(url, migrations.sql(url))

    async def use() -> object:
        async with JournalStore.from_url(url) as store:
            await store.put_step("run-1", "fetch", 3)
            entry = await store.get_step("run-1", "fetch")
            return entry and entry.value

    assert asyncio.run(use()) == 3


@pytest.mark.parametrize("schema", ["elsewhere", 'we"ird Schema', ":a", "100%s"])
def test_it_makes_the_schema_too(schema: str, postgres_url: str) -> None:
    script = migrations.sql(postgres_url, schema=schema)
    run_script(postgres_url, script)
    assert table_names(postgres_url, schema) == {*TABLES, VERSION_TABLE}
    assert table_names(postgres_url) == set()
    migrations.check(postgres_url, schema=schema)


def test_it_does_with_a_schema_that_was_there(postgres_url: str) -> None:
    run_script(postgres_url, "CREATE SCHEMA elsewhere")
    run_script(postgres_url, migrations.sql(f"{postgres_url}?schema=elsewhere"))
    migrations.check(postgres_url, schema="elsewhere")


def test_it_runs_in_one_transaction_that_a_failure_undoes(url: str) -> None:
    with pytest.raises(Exception, match="nonsense"):
        run_script(url, migrations.sql(url).replace("COMMIT", "nonsense"))
    assert table_names(url) == set()


def test_the_offline_downgrade_keeps_every_row(agent_url: str) -> None:
    before = rows_of(agent_url)
    migrations.upgrade(agent_url)
    run_script(agent_url, alembic_succeeds("downgrade", "head:base", "--sql", url=agent_url))
    assert rows_of(agent_url) == before
    assert table_names(agent_url) == set(TABLES)


@pytest.mark.parametrize("url", ["sqlite:///x.db", "postgresql://nowhere/x?schema=elsewhere"])
def test_the_library_needs_no_driver_for_it(url: str) -> None:
    code = f"{WITHOUT_DRIVERS}from jeeves_journal import migrations; print(migrations.sql(sys.argv[1]), end='')"
    assert python(code, url) == migrations.sql(url)


@pytest.mark.parametrize("url", ["sqlite:///x.db", "postgresql://nowhere/x?schema=elsewhere"])
def test_alembic_needs_no_driver_for_it(url: str) -> None:
    code = f"{WITHOUT_DRIVERS}from alembic.config import main; main(sys.argv[1:])"
    assert python(code, "-x", f"url={url}", "upgrade", "head", "--sql") == migrations.sql(url)


def test_it_makes_no_file(sqlite_url: str, tmp_path: Path) -> None:
    migrations.sql(sqlite_url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("nonsense://x", {}, "nonsense"),
        ("memory://", {}, "memory:// journal has no tables: pass sqlite"),
        ("sqlite://host/x.db", {}, "host"),
        ("no url", {}, "sqlite:///path"),
        ("sqlite:///x.db", {"schema": "elsewhere"}, "schema"),
        ("postgresql://x/y?nonsense=1", {}, "nonsense"),
        ("postgresql://x/y", {"schema": "s" * 64}, "63 bytes"),
    ],
)
def test_what_cannot_be_printed_is_a_configuration_error(url: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        migrations.sql(url, **options)


def test_from_the_revision_before_it_keeps_no_writer_waiting(postgres_url: str) -> None:
    migrations.upgrade(postgres_url, "1_inline_values")
    printed = alembic_succeeds("upgrade", "1_inline_values:head", "--sql", url=postgres_url)
    assert printed.count("CREATE INDEX CONCURRENTLY IF NOT EXISTS journal_") == 2
    # As psql does, which sends one statement at a time.
    statements = [statement for statement in printed.split(";") if statement.strip()]
    run_one_by_one(postgres_url, statements)
    migrations.check(postgres_url)


def test_from_the_revision_before_it_can_be_run_on_sqlite(sqlite_url: str) -> None:
    migrations.upgrade(sqlite_url, "1_inline_values")
    run_script(sqlite_url, alembic_succeeds("upgrade", "1_inline_values:head", "--sql", url=sqlite_url))
    migrations.check(sqlite_url)
