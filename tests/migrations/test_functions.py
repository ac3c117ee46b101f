"""What a program calls: upgrade, downgrade, current, check, and a store's init_schema."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jeeves_journal import ConfigurationError, JournalStore, SchemaError, StoreUnavailableError, migrations
from tests.migrations.databases import (
    TABLES,
    VERSION_TABLE,
    path_of,
    query,
    revision_of,
    rows_of,
    set_revision,
    table_names,
)
from tests.migrations.ways import by_first_use, by_init_schema

pytestmark = pytest.mark.migrations

LOOKING = {"current": migrations.current, "check": migrations.check}


def test_upgrade_makes_a_schema_that_check_approves_of(url: str) -> None:
    migrations.upgrade(url)
    assert migrations.current(url) == migrations.HEAD
    migrations.check(url)


def test_init_schema_makes_a_schema_that_check_approves_of(url: str) -> None:
    by_init_schema(url)
    by_init_schema(url)
    migrations.check(url)


def test_upgrade_takes_the_name_of_a_revision(url: str) -> None:
    migrations.upgrade(url, migrations.REVISIONS[0])
    assert migrations.current(url) == migrations.REVISIONS[0]


@pytest.mark.parametrize("move", [migrations.upgrade, migrations.downgrade])
def test_a_revision_that_does_not_exist_is_named(move: object, url: str) -> None:
    migrations.upgrade(url)
    with pytest.raises(SchemaError, match="no-such-revision"):
        move(url, "no-such-revision")
    assert migrations.current(url) == migrations.HEAD


def test_current_is_none_before_any_revision(agent_url: str) -> None:
    assert migrations.current(agent_url) is None


def test_downgrade_to_base_keeps_every_row_and_drops_the_version_table(agent_url: str) -> None:
    before = rows_of(agent_url)
    migrations.upgrade(agent_url)
    migrations.downgrade(agent_url, "base")
    assert rows_of(agent_url) == before
    assert table_names(agent_url) == set(TABLES)
    assert migrations.current(agent_url) is None


def test_a_store_upgrades_what_was_downgraded(agent_url: str) -> None:
    before = rows_of(agent_url)
    migrations.upgrade(agent_url)
    migrations.downgrade(agent_url, "base")
    by_init_schema(agent_url)
    migrations.check(agent_url)
    assert rows_of(agent_url) == before


def test_downgrade_without_any_revision_changes_nothing(agent_url: str) -> None:
    migrations.downgrade(agent_url, "base")
    assert table_names(agent_url) == set(TABLES)


def test_a_store_that_is_open_stays_usable_while_the_schema_is_upgraded(url: str) -> None:
    async def use() -> object:
        async with JournalStore.from_url(url, create_tables=True) as store:
            await store.put_step("run-1", "fetch", 3)
            await store.init_schema()
            entry = await store.get_step("run-1", "fetch")
            return entry and entry.value

    assert asyncio.run(use()) == 3


def test_check_names_the_commands_where_there_are_no_tables(postgres_url: str) -> None:
    with pytest.raises(SchemaError, match="alembic upgrade head.*jeeves-journal db upgrade"):
        migrations.check(postgres_url)


def test_check_names_both_revisions_where_none_was_run(agent_url: str) -> None:
    with pytest.raises(SchemaError, match=f"None.*{migrations.HEAD}.*alembic upgrade head"):
        migrations.check(agent_url)


def test_check_names_a_missing_column(url: str) -> None:
    migrations.upgrade(url)
    query(url, "ALTER TABLE journal_streams DROP COLUMN chunks")
    with pytest.raises(SchemaError, match="add column journal_streams.chunks"):
        migrations.check(url)


def test_check_names_a_surplus_column(url: str) -> None:
    migrations.upgrade(url)
    query(url, "ALTER TABLE journal_steps ADD COLUMN colour TEXT")
    with pytest.raises(SchemaError, match="remove column journal_steps.colour"):
        migrations.check(url)


def test_check_names_a_column_that_was_changed(postgres_url: str) -> None:
    migrations.upgrade(postgres_url)
    query(postgres_url, "ALTER TABLE journal_steps ALTER value DROP NOT NULL, ALTER created_at TYPE numeric")
    with pytest.raises(SchemaError, match="modify nullable journal_steps.value, modify type journal_steps.created_at"):
        migrations.check(postgres_url)


def test_check_names_a_missing_index(url: str) -> None:
    migrations.upgrade(url)
    query(url, "DROP INDEX journal_steps_created_at_session_id_idx")
    with pytest.raises(SchemaError, match="add index journal_steps_created_at_session_id_idx"):
        migrations.check(url)


def test_check_names_an_index_of_someone_elses(url: str) -> None:
    migrations.upgrade(url)
    query(url, "CREATE INDEX by_time ON journal_steps (created_at)")
    with pytest.raises(SchemaError, match="remove index by_time"):
        migrations.check(url)


def test_check_says_how_to_mend_a_missing_table(url: str) -> None:
    migrations.upgrade(url)
    query(url, "DROP TABLE journal_streams")
    with pytest.raises(SchemaError, match="missing.*alembic downgrade base.*alembic upgrade head"):
        migrations.check(url)
    migrations.downgrade(url, "base")
    migrations.upgrade(url)
    migrations.check(url)


def test_a_missing_table_is_no_news_to_a_stores_first_use(url: str) -> None:
    migrations.upgrade(url)
    query(url, "DROP TABLE journal_streams")
    with pytest.raises(SchemaError, match="missing.*alembic downgrade base"):
        by_first_use(url)
    assert table_names(url) == {"journal_steps", VERSION_TABLE}


def test_check_knows_a_newer_revision_for_what_it_is(url: str) -> None:
    migrations.upgrade(url)
    set_revision(url, "1_something_newer")
    with pytest.raises(SchemaError, match=f"1_something_newer.*{migrations.HEAD}.*upgrade jeeves-journal"):
        migrations.check(url)


def test_check_prints_nothing(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    migrations.upgrade(url)
    migrations.check(url)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("look", LOOKING)
def test_looking_makes_no_sqlite_file(look: str, sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no file"):
        LOOKING[look](sqlite_url)
    with pytest.raises(SchemaError, match="no file"):
        LOOKING[look](f"sqlite:///{tmp_path}/no/such/folder/journal.db")
    assert list(tmp_path.iterdir()) == []


def test_a_downgrade_makes_no_sqlite_file(sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no file"):
        migrations.downgrade(sqlite_url, "base")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("look", LOOKING)
def test_looking_leaves_a_sqlite_file_as_it_is(look: str, agent_sqlite_url: str, tmp_path: Path) -> None:
    before = Path(path_of(agent_sqlite_url)).read_bytes()
    try:
        LOOKING[look](agent_sqlite_url)
    except SchemaError:
        assert look == "check"
    assert Path(path_of(agent_sqlite_url)).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["journal.db"]


@pytest.mark.parametrize("look", LOOKING)
def test_looking_makes_nothing_on_postgres(look: str, postgres_url: str) -> None:
    for schema in ("public", "elsewhere"):
        try:
            LOOKING[look](postgres_url, schema=schema)
        except SchemaError:
            assert look == "check"
    assert query(postgres_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'elsewhere'") == []
    assert table_names(postgres_url) == set()


def test_an_unusable_url_is_a_configuration_error() -> None:
    for function in (migrations.upgrade, migrations.current, migrations.check, migrations.sql):
        with pytest.raises(ConfigurationError, match="nonsense"):
            function("nonsense://x")
    with pytest.raises(ConfigurationError, match="nonsense"):
        migrations.downgrade("nonsense://x", "base")


def test_a_server_that_is_down_is_unavailable() -> None:
    for function in (migrations.upgrade, migrations.current, migrations.check):
        with pytest.raises(StoreUnavailableError, match="cannot be reached .*host and port"):
            function("postgresql://u:hunter2@127.0.0.1:1/x")


def test_inside_a_running_loop_they_say_what_to_do_instead(sqlite_url: str) -> None:
    async def call() -> None:
        migrations.upgrade(sqlite_url)

    with pytest.raises(ConfigurationError, match="init_schema"):
        asyncio.run(call())


def test_in_a_thread_of_a_running_loop_they_work(url: str) -> None:
    async def call() -> None:
        await asyncio.to_thread(migrations.upgrade, url)
        await asyncio.to_thread(migrations.check, url)

    asyncio.run(call())
    assert revision_of(url) == migrations.HEAD


def test_a_memory_database_can_be_upgraded_again_and_again() -> None:
    async def use() -> None:
        async with JournalStore.from_url("sqlite+aiosqlite:///:memory:") as store:
            await store.init_schema()
            await store.put_step("run-1", "fetch", 3)
            await store.init_schema()
            entry = await store.get_step("run-1", "fetch")
            assert entry is not None
            assert entry.value == 3

    asyncio.run(use())
