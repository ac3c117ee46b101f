"""What a store makes of tables that are not there, older, newer or of another major revision, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from jeeves_journal import JournalStore, SchemaError
from jeeves_journal.testing.calls import recorded
from tests.stores.rows import PostgresRows, Rows, SqliteRows

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgres"])
async def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Rows:
    """A journal with one step."""
    rows: Rows
    if request.param == "postgres":
        rows = PostgresRows(request.getfixturevalue("migrated_postgres_url"))
    else:
        rows = SqliteRows(tmp_path / "journal.db")
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("s", "n", 1)
    return rows


@pytest.mark.parametrize("revision", ["2_breaks", "10_breaks", "0_older", "somebody_elses"])
async def test_another_major_revision_is_a_schema_error_that_names_both(rows: Rows, revision: str):
    rows.run("UPDATE journal_alembic_version SET version_num = ?", [(revision,)])
    async with JournalStore.from_url(rows.url) as store:
        for call in (lambda: store.get_step("s", "n"), lambda: store.put_step("s", "n", 2)):
            with pytest.raises(SchemaError) as failed:
                await call()
            assert revision in str(failed.value)
            assert "1_" in str(failed.value)


async def test_a_newer_revision_that_only_adds_stops_nobody(rows: Rows):
    rows.run("UPDATE journal_alembic_version SET version_num = ?", [("1_of_next_year",)])
    rows.run("ALTER TABLE journal_steps ADD COLUMN note TEXT DEFAULT 'new'", [()])
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("s", "m", 2)
        assert await recorded(store, "s", "n") == 1
        assert [entry.value for entry in (await store.get_steps("s")).values()] == [1, 2]


async def test_tables_without_a_version_will_do(rows: Rows):
    rows.run("DROP TABLE journal_alembic_version", [()])
    async with JournalStore.from_url(rows.url, create_tables=False) as store:
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2


async def test_a_sqlite_file_without_tables_gets_none_where_that_is_forbidden(tmp_path: Path):
    (tmp_path / "journal.db").touch()
    async with JournalStore.from_url(f"sqlite:///{tmp_path}/journal.db", create_tables=False) as store:
        with pytest.raises(SchemaError, match="tables are missing.*create_tables"):
            await store.get_step("s", "n")
        with pytest.raises(SchemaError, match="tables are missing.*create_tables"):
            await store.reseal()


async def test_no_sqlite_file_is_made_where_that_is_forbidden(tmp_path: Path):
    async with JournalStore.from_url(f"sqlite:///{tmp_path}/journal.db", create_tables=False) as store:
        with pytest.raises(SchemaError, match="there is no file.*create_tables"):
            await store.put_step("s", "n", 1)
        assert not list(tmp_path.iterdir())
        await store.init_schema()
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2
