"""Alembic's own commands, from a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from jeeves_journal import migrations
from tests.migrations.databases import TABLES, VERSION_TABLE, query, revision_of, schema_names, table_names
from tests.migrations.ways import CHECKOUT, alembic, alembic_succeeds

pytestmark = pytest.mark.migrations


def test_upgrade_makes_the_tables_and_then_changes_nothing(url: str) -> None:
    alembic_succeeds("upgrade", "head", url=url)
    assert table_names(url) == {*TABLES, VERSION_TABLE}
    alembic_succeeds("upgrade", "head", url=url)
    assert revision_of(url) == migrations.HEAD


def test_current_prints_the_revision(url: str) -> None:
    assert alembic_succeeds("current", url=url) == ""
    alembic_succeeds("upgrade", "head", url=url)
    assert alembic_succeeds("current", url=url) == f"{migrations.HEAD} (head)\n"


def test_current_and_check_make_no_table(url: str) -> None:
    alembic("current", url=url)
    assert "Target database is not up to date" in alembic("check", url=url).stderr
    assert table_names(url) == set()


def test_check_approves_of_the_newest_revision(url: str) -> None:
    alembic_succeeds("upgrade", "head", url=url)
    assert "No new upgrade operations detected" in alembic_succeeds("check", url=url)


def test_check_fails_when_a_column_is_missing(url: str) -> None:
    migrations.upgrade(url)
    query(url, "ALTER TABLE journal_streams DROP COLUMN chunks")
    ended = alembic("check", url=url)
    assert ended.returncode != 0
    assert "chunks" in ended.stderr + ended.stdout


def test_downgrade_leaves_the_tables_only_and_upgrade_takes_them_over(url: str) -> None:
    alembic_succeeds("upgrade", "head", url=url)
    for _ in range(2):
        alembic_succeeds("downgrade", "base", url=url)
        assert table_names(url) == set(TABLES)
    alembic_succeeds("upgrade", "head", url=url)
    assert revision_of(url) == migrations.HEAD


def test_an_unknown_revision_is_named(url: str) -> None:
    ended = alembic("upgrade", "no-such-revision", url=url)
    assert ended.returncode != 0
    assert "no-such-revision" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [("upgrade", "head"), ("upgrade", "head", "--sql")])
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("nonsense://u:hunter2@host/x", "postgresql://"),
        ("postgresql://u:hunter2@127.0.0.1:1/x?nonsense=1", "nonsense"),
        ("sqlite:///x.db?schema=elsewhere", "schema"),
    ],
)
def test_an_unusable_url_is_said_without_a_traceback(bad: str, said: str, arguments: tuple[str, ...]) -> None:
    ended = alembic(*arguments, url=bad)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout


def test_a_server_that_is_down_is_said_without_a_traceback() -> None:
    ended = alembic("upgrade", "head", url="postgresql://u:hunter2@127.0.0.1:1/x")
    assert ended.returncode != 0
    assert "cannot be reached" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout


@pytest.mark.parametrize("arguments", [("upgrade", "head"), ("current",)])
def test_the_url_is_taken_from_x_then_the_environment_then_the_ini(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ini = ("-c", str(CHECKOUT / "alembic.ini"))
    environment = {"JEEVES_JOURNAL_URL": f"sqlite:///{tmp_path}/environment.db"}

    def files_opened(url: str | None, env: dict[str, str]) -> set[str]:
        alembic(*ini, *arguments, url=url, cwd=tmp_path, env=env)
        names = {path.name for path in tmp_path.glob("*.db")}
        for path in tmp_path.iterdir():
            path.unlink()
        return names

    assert files_opened(f"sqlite:///{tmp_path}/argument.db", environment) == {"argument.db"}
    assert files_opened(None, environment) == {"environment.db"}
    # alembic.ini names a file in the current folder.
    assert files_opened(None, {}) == {"journal.db"}


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("-x", "url=", "upgrade", "head"), {"JEEVES_JOURNAL_URL": "sqlite:///environment.db"}),
        (("upgrade", "head"), {"JEEVES_JOURNAL_URL": ""}),
    ],
    ids=["-x url=", "JEEVES_JOURNAL_URL="],
)
def test_an_empty_url_is_refused_and_no_other_database_is_upgraded_in_its_place(
    arguments: tuple[str, ...], env: dict[str, str], tmp_path: Path
) -> None:
    ended = alembic("-c", str(CHECKOUT / "alembic.ini"), *arguments, cwd=tmp_path, env=env)
    assert ended.returncode != 0
    assert "not a URL" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_url_of_offline_sql_is_taken_from_the_same_places(tmp_path: Path) -> None:
    ini = ("-c", str(CHECKOUT / "alembic.ini"), "upgrade", "head", "--sql")
    postgres = {"JEEVES_JOURNAL_URL": "postgresql://somewhere/x"}
    assert "BLOB" in alembic_succeeds(*ini, url="sqlite:///x.db", cwd=tmp_path, env=postgres)
    assert "BYTEA" in alembic_succeeds(*ini, cwd=tmp_path, env=postgres)
    assert "BLOB" in alembic_succeeds(*ini, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_x_schema_names_the_postgres_schema(postgres_url: str) -> None:
    elsewhere = ("-x", "schema=elsewhere")
    alembic_succeeds(*elsewhere, "upgrade", "head", url=postgres_url)
    assert table_names(postgres_url, "elsewhere") == {*TABLES, VERSION_TABLE}
    assert table_names(postgres_url) == set()
    assert alembic_succeeds(*elsewhere, "current", url=postgres_url).startswith(migrations.HEAD)
    alembic_succeeds(*elsewhere, "check", url=postgres_url)
    alembic_succeeds(*elsewhere, "downgrade", "base", url=postgres_url)
    assert table_names(postgres_url, "elsewhere") == set(TABLES)


def test_the_urls_own_schema_counts_too(postgres_url: str) -> None:
    in_url = f"{postgres_url}?schema=elsewhere"
    alembic_succeeds("upgrade", "head", url=in_url)
    assert table_names(postgres_url, "elsewhere") == {*TABLES, VERSION_TABLE}
    assert table_names(postgres_url) == set()
    alembic_succeeds("check", url=in_url)
    assert "CREATE TABLE elsewhere.journal_steps" in alembic_succeeds("upgrade", "head", "--sql", url=in_url).replace(
        "IF NOT EXISTS ", ""
    )


def test_x_schema_wins_over_the_urls(postgres_url: str) -> None:
    alembic_succeeds("-x", "schema=argument", "upgrade", "head", url=f"{postgres_url}?schema=in_url")
    assert {"argument"} == schema_names(postgres_url) & {"argument", "in_url"}


def test_looking_makes_no_schema(postgres_url: str) -> None:
    alembic("-x", "schema=elsewhere", "current", url=postgres_url)
    alembic("-x", "schema=elsewhere", "check", url=postgres_url)
    assert "elsewhere" not in schema_names(postgres_url)


def test_upgrade_leaves_a_schema_that_was_there(postgres_url: str) -> None:
    query(postgres_url, "CREATE SCHEMA elsewhere")
    alembic_succeeds("-x", "schema=elsewhere", "upgrade", "head", url=postgres_url)
    assert table_names(postgres_url, "elsewhere") == {*TABLES, VERSION_TABLE}


def test_a_host_table_beside_ours_is_none_of_checks_business(url: str) -> None:
    migrations.upgrade(url)
    query(url, "CREATE TABLE customers (id INTEGER PRIMARY KEY)")
    alembic_succeeds("check", url=url)
