"""Revisions: what they are called, and what a database at another one than ours means."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from jeeves_journal import JournalStore, SchemaError, migrations
from tests.migrations.databases import path_of, revision_of, set_revision, table_names
from tests.migrations.ways import CHECKOUT, by_create_tables, by_first_use, by_init_schema

pytestmark = pytest.mark.migrations

USING = {
    "first use": by_first_use,
    "create_tables=True": by_create_tables,
    "init_schema": by_init_schema,
    "migrations.upgrade": migrations.upgrade,
}


@pytest.fixture
def migrated_url(url: str) -> str:
    migrations.upgrade(url)
    return url


def script_directory() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(CHECKOUT / "alembic").replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def test_the_code_knows_every_revision_in_order() -> None:
    revisions = [script.revision for script in script_directory().walk_revisions()]
    assert tuple(reversed(revisions)) == migrations.REVISIONS
    assert script_directory().get_current_head() == migrations.HEAD


@pytest.mark.parametrize("revision", migrations.REVISIONS)
def test_a_revision_fits_alembics_column_and_begins_with_its_major(revision: str) -> None:
    assert len(revision) <= 32
    major, separator, words = revision.partition("_")
    assert major.isdecimal() and separator and words


def test_a_revision_stands_in_the_file_of_its_name() -> None:
    names = sorted(path.stem for path in (CHECKOUT / "alembic" / "versions").glob("*.py"))
    assert names == sorted(migrations.REVISIONS)


@pytest.mark.parametrize("using", USING)
def test_a_newer_revision_of_the_same_major_is_used_as_it_is(using: str, migrated_url: str) -> None:
    set_revision(migrated_url, "1_something_newer")
    USING[using](migrated_url)
    assert revision_of(migrated_url) == "1_something_newer"


def test_a_newer_revision_is_recorded_in_and_read_from(migrated_url: str) -> None:
    set_revision(migrated_url, "1_something_newer")

    async def use() -> object:
        async with JournalStore.from_url(migrated_url) as store:
            await store.put_step("run-1", "fetch", 3)
            entry = await store.get_step("run-1", "fetch")
            return entry and entry.value

    assert asyncio.run(use()) == 3


@pytest.mark.parametrize("using", USING)
@pytest.mark.parametrize(
    ("revision", "remedy"), [("2_x", "upgrade jeeves-journal"), ("0_x", "alembic upgrade head"), ("x", "alembic")]
)
def test_another_major_is_a_schema_error_that_names_both(
    using: str, revision: str, remedy: str, migrated_url: str
) -> None:
    set_revision(migrated_url, revision)
    with pytest.raises(SchemaError, match=f"{revision}.*{migrations.HEAD}.*{remedy}"):
        USING[using](migrated_url)
    assert revision_of(migrated_url) == revision


def test_missing_tables_on_postgres_are_a_schema_error_that_names_the_commands(postgres_url: str) -> None:
    with pytest.raises(SchemaError) as raised:
        by_first_use(postgres_url)
    for command in ("alembic upgrade head", "jeeves-journal db upgrade", "init_schema()", "create_tables=True"):
        assert command in str(raised.value)
    assert table_names(postgres_url) == set()


def test_sqlite_makes_no_tables_where_it_must_not(sqlite_url: str) -> None:
    with pytest.raises(SchemaError, match="alembic upgrade head"):
        by_first_use(sqlite_url, create_tables=False)
    assert table_names(sqlite_url) == set()


def test_newer_code_that_upgrades_while_ours_waits_to_is_made_room_for(sqlite_url: str) -> None:
    # In WAL mode, so that ours can look at the empty database while the other one holds its lock.
    Path(path_of(sqlite_url)).touch()
    with closing(sqlite3.connect(path_of(sqlite_url), isolation_level=None)) as newer:
        newer.execute("PRAGMA journal_mode = WAL")
        newer.execute("BEGIN IMMEDIATE")

        async def use() -> None:
            async with JournalStore.from_url(sqlite_url) as store:
                using = asyncio.create_task(store.put_step("run-1", "fetch", 3))
                await asyncio.wait([using], timeout=0.5)
                assert not using.done()
                for statement in migrations.sql(sqlite_url).split(";"):
                    if statement.strip() not in ("BEGIN", "COMMIT"):
                        newer.execute(statement.replace(migrations.HEAD, "1_something_newer"))
                newer.execute("COMMIT")
                await using

        asyncio.run(use())
    assert revision_of(sqlite_url) == "1_something_newer"
