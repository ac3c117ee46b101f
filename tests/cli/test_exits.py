"""What every command has in common: how it ends, how fast it starts, and what it never prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jeeves_journal import migrations
from jeeves_journal.cli import exits
from tests.cli.commands import RUN_MAIN, fail, run, run_apart, succeed
from tests.cli.records import AT, restore

COMMANDS = [
    ("sessions",),
    ("show", "run"),
    ("show", "run", "step"),
    ("rewind", "run", "--to", "step", "--yes"),
    ("fork", "run", "new"),
    ("delete", "run", "--yes"),
    ("prune", "--older-than", "1d", "--yes"),
    ("export", "unmade.bundle"),
    ("usage",),
    ("db", "current"),
    ("db", "check"),
    ("db", "upgrade"),
]
LOOKING = [
    ("sessions",),
    ("show", "run"),
    ("show", "run", "step"),
    ("prune", "--older-than", "1d", "--dry-run"),
    ("export", "made.bundle"),
    ("usage",),
    ("db", "current"),
    ("db", "sql"),
]
# Prints what was imported of these.
LOADED = f"""
import atexit, sys
atexit.register(lambda: print(*(each for each in ("sqlalchemy", "alembic", "asyncpg") if each in sys.modules)))
{RUN_MAIN}
"""


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/x?timeout=1", "nonsense://u:hunter2@x"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_cannot_be_used_is_one_line_without_the_password(
    command: tuple[str, ...], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "hunter2" not in fail(*command, "--url", url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", LOOKING)
def test_looking_leaves_a_file_of_jeeves_agent_as_it_is(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "agent.db"
    make_jeeves_agent_file(path)
    before = path.read_bytes()
    assert run(*command, "--url", "sqlite:///agent.db").code == 0
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} <= {"agent.db", "made.bundle"}


def make_jeeves_agent_file(path: Path) -> None:
    """Make a file that has another journal mode, no version, no index, and one record without a footer."""
    import pickle
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection, connection:
        for table, payload in (("journal_steps", "value"), ("journal_streams", "chunks")):
            connection.execute(
                f"CREATE TABLE {table} (session_id TEXT NOT NULL, step_name TEXT NOT NULL, {payload} BLOB NOT NULL, "
                "created_at REAL NOT NULL, PRIMARY KEY (session_id, step_name))"
            )
        connection.execute("INSERT INTO journal_steps VALUES ('run', 'step', ?, ?)", (pickle.dumps("value"), AT))


def test_schema_names_where_the_tables_are(postgres_url: str) -> None:
    migrations.upgrade(postgres_url, schema="elsewhere")
    assert "tables are missing" in fail("sessions", "--url", postgres_url)
    assert succeed("sessions", "--schema", "elsewhere", "--url", postgres_url) == ""
    assert run("doctor", "--schema", "elsewhere", "--url", postgres_url).code == 0
    assert "schema" in fail("sessions", "--schema", "elsewhere", "--url", "sqlite:///journal.db")


def test_without_arguments_there_is_the_help() -> None:
    ended = run()
    assert ended.code == 2
    assert "sessions" in ended.stdout + ended.stderr


def test_help_names_every_exit_code() -> None:
    shown = " ".join(succeed("--help").split())
    assert all(f"{code} {meaning}" in shown for code, meaning in exits.MEANINGS.items())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["show", "--help"], ["prune", "--older-than", "0x"]])
def test_it_says_so_without_loading_sqlalchemy(arguments: list[str]) -> None:
    assert run_apart(*arguments, code=LOADED).stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_without_loading_sqlalchemy(shell: str) -> None:
    environment = {
        **os.environ,
        "_JEEVES_JOURNAL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "jeeves-journal s",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "jeeves-journal s",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    ended = run_apart(code=LOADED, env=environment)
    assert all(command in ended.stdout for command in ("sessions", "show", "seal"))
    assert ended.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("arguments", [["--install-completion"], ["--show-completion"]])
def test_completion_is_offered(arguments: list[str]) -> None:
    assert arguments[0] in succeed("--help")


def test_a_reader_that_goes_away_is_no_matter_for_a_traceback(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    # More than a pipe holds, wherever that is.
    restore(url, {"run": [("step", f"{number:04}-{'x' * 900}", number, AT + number) for number in range(3_000)]})
    command = [sys.executable, "-c", RUN_MAIN, "show", "run", "--url", url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 1


@pytest.mark.parametrize(
    ("closed", "arguments", "code"),
    [("<&-", ("delete", "run"), 3), (">&-", ("sessions",), 0), ("2>&-", ("show", "nothing"), 4)],
)
def test_a_standard_stream_that_is_closed_is_no_matter_for_a_traceback(
    closed: str, arguments: tuple[str, ...], code: int, journal_file: str
) -> None:
    restore(journal_file, {"run": [("step", "step", 1, AT)]})
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", RUN_MAIN, *arguments]
    ended = subprocess.run([*command, "--url", journal_file], capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file that is always full")
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_output_that_finds_no_room_is_one_line(json: list[str], journal_file: str) -> None:
    command = [sys.executable, "-c", RUN_MAIN, "sessions", *json, "--url", journal_file]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "the output cannot be written: No space left on device" in ended.stderr


def test_an_option_in_front_of_the_command_is_told_where_it_goes() -> None:
    assert "options follow the command" in fail("--url", "memory://", "sessions", code=2)


def test_a_terminal_of_another_encoding_is_shown_escapes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    restore(url, {"é": [("step", "step", 1, AT), ("step", "later", 1, AT + 1)]})
    ended = run_apart("sessions", "--url", url, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (ended.code, ended.stdout.split("\t")[0]) == (0, "\\xe9")
    ended = run_apart("show", "é", "--url", url, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert re.search(r"\t#+\n$", ended.stdout)


def test_an_argument_that_commands_a_terminal_is_shown_harmless() -> None:
    assert "\x1b" not in fail("show", "\x1b[31mrun", "--url", "memory://", code=4)
    assert "\x1b" not in fail("\x1b[31mnonsense", code=2)
    assert "\x1b" not in fail("sessions", "--url", "\x1b[31m://", code=1)
