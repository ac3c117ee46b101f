"""Ctrl-C in the middle of a command: the journal is whole, and the command can be run again."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from jeeves_journal import Keyring
from jeeves_journal.codecs import record_codec
from jeeves_journal.options import Settings
from tests.cli.commands import Terminal, on_terminal, succeed, succeed_in_json
from tests.cli.records import AT, restore, session_ids, step_names

SESSIONS = 3_000
STEPS = 10


@pytest.fixture
def large(tmp_path: Path) -> str:
    """The URL of a file with so many records that every command takes its time."""
    url = f"sqlite:///{tmp_path}/journal.db"
    restore(url, {"first": [("step", "step", 1, AT)]})
    codec = record_codec(Settings())

    def rows() -> Iterator[tuple[str, str, bytes, float]]:
        for session in range(SESSIONS):
            for step in range(STEPS):
                session_id, name, at = f"run-{session:05}", f"step-{step}", AT + session + step / 100
                yield session_id, name, codec.encode(("step", session_id, name, at), step), at

    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.executemany("INSERT INTO journal_steps VALUES (?, ?, ?, ?)", rows())
    return url


@contextmanager
def interrupted(*arguments: str) -> Iterator[Terminal]:
    """Run a command until its progress bar shows that something is done, and press Ctrl-C."""
    with on_terminal(*arguments) as terminal:
        while not re.search(r"\b[1-9]\d*/", terminal.text):
            terminal.wait_for_more()
        terminal.interrupt()
        assert terminal.end() == 130, terminal.text
        assert terminal.text.count("jeeves-journal: interrupted") == 1
        assert "Traceback" not in terminal.text
        yield terminal


def check_whole(url: str) -> None:
    with closing(sqlite3.connect(url.partition("///")[2])) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_prune_goes_on_where_it_was_interrupted(large: str) -> None:
    with interrupted("prune", "--older-than", "1d", "--yes", "--url", large):
        check_whole(large)
    left = succeed_in_json("usage", "--url", large)["steps"]["rows"]
    assert 0 < left < SESSIONS * STEPS
    assert succeed_in_json("prune", "--older-than", "1d", "--yes", "--url", large)["records"] == left
    assert session_ids(large) == []


def test_import_goes_on_where_it_was_interrupted(large: str, tmp_path: Path) -> None:
    bundle, target = str(tmp_path / "journal.bundle"), f"sqlite:///{tmp_path}/target.db"
    succeed("export", bundle, "--url", large)
    with interrupted("import", bundle, "--url", target):
        check_whole(target)
    found = succeed_in_json("import", bundle, "--url", target)
    assert found["unchanged"] > 0
    assert found["sessions"] > 0
    assert found["sessions"] + found["unchanged"] == SESSIONS + 1
    assert len(step_names(target, "run-00000")) == STEPS


def test_an_interrupted_export_leaves_no_file(large: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundles"
    folder.mkdir()
    with interrupted("export", str(folder / "journal.bundle"), "--url", large):
        assert list(folder.iterdir()) == []


def test_ctrl_c_at_a_question_does_nothing_and_says_so_on_a_line_of_its_own(large: str) -> None:
    with on_terminal("delete", "first", "--url", large) as terminal:
        terminal.wait_for("[y/N] ")
        terminal.interrupt()
        assert terminal.end() == 130
        assert "\njeeves-journal: interrupted" in terminal.text
    assert step_names(large, "first") == ["step"]


def test_seal_goes_on_where_it_was_interrupted(large: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", Keyring.generate().to_text())
    with interrupted("seal", "--allow-unsealed", "--url", large):
        check_whole(large)
    found = succeed_in_json("seal", "--allow-unsealed", "--url", large)
    assert found["records"] == SESSIONS * STEPS + 1
    assert 0 < found["resealed"] < found["records"]
