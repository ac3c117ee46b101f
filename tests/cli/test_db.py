"""``jeeves-journal db``, as a shell calls it."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from jeeves_journal import cli, migrations
from tests.cli.commands import RUN_MAIN, fail, one_line, run_apart, succeed, succeed_in_json

WITHOUT_THE_EXTRA = "import sys; sys.modules['typer'] = None; "


def test_upgrade_makes_the_tables_that_check_then_approves(url: str) -> None:
    fail("db", "check", "--url", url)
    succeed("db", "upgrade", "--url", url)
    assert succeed("db", "check", "--url", url) == "The tables are up to date.\n"
    assert succeed("db", "current", "--url", url).strip() == migrations.current(url)


def test_upgrade_again_changes_nothing(url: str) -> None:
    succeed("db", "upgrade", "--url", url)
    before = succeed("db", "current", "--url", url)
    succeed("db", "upgrade", "--url", url)
    assert succeed("db", "current", "--url", url) == before


def test_upgrade_stops_at_the_revision_that_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    succeed("db", "upgrade", "--url", url)
    head = succeed("db", "current", "--url", url).strip()
    succeed("db", "upgrade", head, "--url", url)
    assert "no-such-revision" in fail("db", "upgrade", "no-such-revision", "--url", url)


def test_a_revision_that_commands_a_terminal_is_shown_harmless(journal_file: str) -> None:
    with closing(sqlite3.connect(journal_file.partition("///")[2])) as connection, connection:
        connection.execute("UPDATE journal_alembic_version SET version_num = char(27) || '[31m'")
    assert succeed("db", "current", "--url", journal_file) == "\\x1b[31m\n"
    assert succeed_in_json("db", "current", "--url", journal_file) == {"revision": "\x1b[31m"}


def test_current_of_a_database_without_tables_is_none(postgres_url: str) -> None:
    assert succeed("db", "current", "--url", postgres_url) == "none\n"


def test_sql_is_a_script_that_makes_the_tables(url: str) -> None:
    script = succeed("db", "sql", "--url", url)
    assert script.count("CREATE TABLE") >= 2
    if url.startswith("sqlite"):
        with sqlite3.connect(":memory:") as connection:
            connection.executescript(script)
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        connection.close()
        assert {"journal_steps", "journal_streams"} <= tables


def test_schema_names_the_postgres_schema(postgres_url: str) -> None:
    assert "elsewhere" in succeed("db", "sql", "--url", postgres_url, "--schema", "elsewhere")


def test_schema_means_nothing_on_sqlite(tmp_path: Path) -> None:
    assert "schema" in fail("db", "sql", "--url", f"sqlite:///{tmp_path}/journal.db", "--schema", "elsewhere")


@pytest.mark.parametrize("command", ["current", "check"])
def test_looking_makes_no_file(command: str, tmp_path: Path) -> None:
    fail("db", command, "--url", f"sqlite:///{tmp_path}/journal.db")
    assert list(tmp_path.iterdir()) == []


def test_the_url_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_URL", f"sqlite:///{tmp_path}/journal.db")
    succeed("db", "upgrade")
    assert (tmp_path / "journal.db").exists()


def test_url_on_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_URL", f"sqlite:///{tmp_path}/environment.db")
    succeed("db", "upgrade", "--url", f"sqlite:///{tmp_path}/argument.db")
    assert [path.name for path in tmp_path.glob("*.db")] == ["argument.db"]


@pytest.mark.parametrize("command", ["upgrade", "current", "check", "sql"])
@pytest.mark.parametrize("url", ["nonsense://u:hunter2@x", "memory://"])
def test_a_url_without_tables_is_refused_in_one_line(command: str, url: str) -> None:
    assert "hunter2" not in fail("db", command, "--url", url)


@pytest.mark.parametrize("command", ["upgrade", "current", "check"])
@pytest.mark.parametrize("url", ["sqlite:////proc/none/journal.db", "postgresql://u:hunter2@127.0.0.1:1/x"])
def test_a_database_that_is_not_there_is_one_line_without_the_password(command: str, url: str) -> None:
    assert "hunter2" not in fail("db", command, "--url", url)


def test_every_command_has_its_json(url: str) -> None:
    revision = succeed_in_json("db", "upgrade", "--url", url)["revision"]
    assert revision == migrations.HEAD
    assert succeed_in_json("db", "current", "--url", url) == {"revision": revision}
    assert succeed_in_json("db", "check", "--url", url) == {"revision": revision, "is_current": True}
    assert succeed_in_json("db", "sql", "--url", url) == {"sql": succeed("db", "sql", "--url", url)}


def test_sql_needs_no_server() -> None:
    assert "CREATE TABLE" in succeed("db", "sql", "--url", "postgresql://u:hunter2@127.0.0.1:1/x")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["db", "upgrade"], "JEEVES_JOURNAL_URL"),
        (["db", "upgrade", "--url"], "--url"),
        (["db", "upgrade", "--url", "memory://", "--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
    ],
)
def test_what_is_not_understood_ends_with_2(arguments: list[str], said: str) -> None:
    assert said in fail(*arguments, code=2)


def test_help_names_every_command() -> None:
    shown = succeed("db", "--help")
    assert all(command in shown for command in ("upgrade", "current", "check", "sql"))


def test_version_is_the_installed_one() -> None:
    assert succeed("--version").strip() == version("jeeves-journal")


def test_without_the_extra_it_says_how_to_get_it() -> None:
    ended = run_apart("db", "upgrade", code=WITHOUT_THE_EXTRA + RUN_MAIN)
    assert "pip install 'jeeves-journal[cli]'" in one_line(ended)


def test_another_missing_module_is_not_blamed_on_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jeeves_journal.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "jeeves_journal.cli.db", None)
    monkeypatch.delattr(cli, "app", raising=False)
    monkeypatch.delattr(cli, "db", raising=False)
    with pytest.raises(ImportError, match="db"):
        cli.main()
