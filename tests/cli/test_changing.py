"""``jeeves-journal rewind``, ``fork`` and ``delete``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import Keyring
from tests.cli.commands import RUN_MAIN, fail, on_terminal, succeed, succeed_in_json
from tests.cli.records import AT, restore, session_ids, step_names

DESTRUCTIVE = [
    ("rewind", "run-1", "--to", "parse"),
    ("delete", "run-1"),
    ("delete", "run-1", "--step", "parse"),
    ("prune", "--older-than", "1d"),
]


def test_rewind_forgets_a_step_and_what_came_with_it_or_after_it(journal: str) -> None:
    assert succeed("rewind", "run-1", "--to", "parse", "--yes", "--url", journal) == (
        "forgot 2 records of run-1: it goes on with parse\n"
    )
    assert step_names(journal, "run-1") == ["fetch", "answer"]


def test_rewind_in_json(journal: str) -> None:
    found = succeed_in_json("rewind", "run-1", "--to", "answer", "--yes", "--url", journal)
    assert found == {"id": "run-1", "to": "answer", "deleted": 3}


def test_delete_deletes_a_session_and_no_other(journal: str) -> None:
    assert succeed("delete", "run-1", "--yes", "--url", journal) == "deleted 4 records of run-1\n"
    assert session_ids(journal) == ["other", "run-2"]


def test_delete_deletes_one_step(journal: str) -> None:
    found = succeed_in_json("delete", "run-1", "--step", "answer", "--yes", "--url", journal)
    assert found == {"id": "run-1", "step": "answer", "deleted": 1}
    assert step_names(journal, "run-1") == ["fetch", "parse", "store"]


def test_fork_copies_what_came_before_a_step(journal: str) -> None:
    assert succeed("fork", "run-1", "new", "--before", "parse", "--url", journal) == (
        "copied 2 records of run-1 into new\n"
    )
    assert step_names(journal, "new") == ["fetch", "answer"]
    assert step_names(journal, "run-1") == ["fetch", "answer", "parse", "store"]


def test_fork_copies_all(journal: str) -> None:
    found = succeed_in_json("fork", "run-1", "new", "--url", journal)
    assert found == {"source": "run-1", "target": "new", "before": None, "copied": 4}


def test_fork_onto_a_session_that_is_there_is_one_line(journal: str) -> None:
    assert "'run-2'" in fail("fork", "run-1", "run-2", "--url", journal)
    assert step_names(journal, "run-2") == ["fetch"]


@pytest.mark.parametrize("seal", ["sign", "encrypt"])
def test_fork_seals_anew_with_the_keys(seal: Any, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keyring.generate()
    restore(empty, {"run": [("step", "step", "value", AT)]}, keys=keys, seal=seal)
    assert "JEEVES_JOURNAL_KEYS" in fail("fork", "run", "new", "--url", empty)
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", keys.to_text())
    assert succeed("fork", "run", "new", "--url", empty) == "copied 1 record of run into new\n"
    assert succeed("show", "new", "step", "--url", empty).splitlines()[-1] == "'value'"


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (("rewind", "run-3", "--to", "fetch", "--yes"), "'run-1', 'run-2', 'other'"),
        (("rewind", "run-1", "--to", "parze", "--yes"), "'parse', 'store', 'answer'"),
        (("fork", "run-3", "new"), "'run-1', 'run-2', 'other'"),
        (("fork", "run-1", "new", "--before", "parze"), "'parse', 'store', 'answer'"),
        (("delete", "run-3", "--yes"), "'run-1', 'run-2', 'other'"),
        (("delete", "run-1", "--step", "parze", "--yes"), "'parse', 'store', 'answer'"),
        (("export", "unmade.bundle", "--session", "run-3"), "'run-1', 'run-2', 'other'"),
    ],
)
def test_an_unknown_session_or_step_ends_with_4_and_the_nearest(
    arguments: tuple[str, ...], nearest: str, journal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"the nearest are {nearest}\n" in fail(*arguments, "--url", journal, code=4)
    assert session_ids(journal) == ["other", "run-1", "run-2"]
    assert not (tmp_path / "unmade.bundle").exists()


@pytest.mark.parametrize("arguments", DESTRUCTIVE)
def test_what_destroys_is_refused_where_nobody_can_be_asked(arguments: tuple[str, ...], journal: str) -> None:
    assert "--yes" in fail(*arguments, "--url", journal, code=3)
    assert len(step_names(journal, "run-1")) == 4


@pytest.mark.parametrize("answer", ["n\n", "\n", "yesterday\n", "\x04"])
def test_anything_but_yes_is_no(answer: str, journal_file: str) -> None:
    with on_terminal("delete", "run-1", "--url", journal_file) as terminal:
        terminal.wait_for("[y/N] ")
        terminal.type(answer)
        assert terminal.end() == 3
    assert "nothing was done" in terminal.text
    assert len(step_names(journal_file, "run-1")) == 4


@pytest.mark.parametrize("arguments", DESTRUCTIVE)
def test_what_destroys_asks_and_goes_on_after_yes(arguments: tuple[str, ...], journal_file: str) -> None:
    with on_terminal(*arguments, "--url", journal_file) as terminal:
        terminal.wait_for("[y/N] ")
        assert len(step_names(journal_file, "run-1")) == 4
        terminal.type("y\n")
        assert terminal.end() == 0, terminal.text
    assert len(step_names(journal_file, "run-1")) < 4


def test_a_question_says_what_would_be_lost_and_commands_no_terminal(empty: str) -> None:
    restore(empty, {"\x1b[31mrun": [("step", "step", 1, AT)]})
    said = fail("delete", "\x1b[31mrun", "--url", empty, code=3)
    assert "Delete session '\\x1b[31mrun' with its 1 record (" in said


def test_ctrl_c_at_the_question_ends_with_130(journal_file: str) -> None:
    with on_terminal("delete", "run-1", "--url", journal_file) as terminal:
        terminal.wait_for("[y/N] ")
        terminal.interrupt()
        assert terminal.end() == 130
    assert "interrupted" in terminal.text
    assert len(step_names(journal_file, "run-1")) == 4


# A signal that comes just before a read begins does not end that read. So it is with one that another thread is given.
SIGNALS_GO_TO_ANOTHER_THREAD = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
"""
# As where it is raised while Python collects garbage.
WHAT_CTRL_C_RAISES_IS_DROPPED = "signal.signal(signal.SIGINT, lambda *_: None); "


@pytest.mark.parametrize(
    "before",
    [SIGNALS_GO_TO_ANOTHER_THREAD, WHAT_CTRL_C_RAISES_IS_DROPPED],
    ids=["in the moment before the answer is read", "where python drops what it raises"],
)
def test_ctrl_c_at_the_question_is_not_lost(before: str, journal_file: str) -> None:
    with on_terminal("delete", "run-1", "--url", journal_file, code=before + RUN_MAIN) as terminal:
        terminal.wait_for("[y/N] ")
        terminal.interrupt()
        assert terminal.end() == 130
    assert len(step_names(journal_file, "run-1")) == 4


# Whoever reads the question may be faster than whoever asks it.
CTRL_C_COMES_AS_THE_QUESTION_APPEARS = """
import sys
show = sys.stderr.flush
sys.stderr.flush = lambda: (show(), signal.raise_signal(signal.SIGINT))
"""


def test_ctrl_c_as_soon_as_the_question_appears_is_not_lost(journal_file: str) -> None:
    code = WHAT_CTRL_C_RAISES_IS_DROPPED + CTRL_C_COMES_AS_THE_QUESTION_APPEARS + RUN_MAIN
    with on_terminal("delete", "run-1", "--url", journal_file, code=code) as terminal:
        assert terminal.end() == 130
    assert len(step_names(journal_file, "run-1")) == 4


@pytest.mark.parametrize("arguments", [*DESTRUCTIVE, ("fork", "run-1", "new")])
def test_where_there_is_no_journal_none_is_made(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert "nothing was created" in fail(*arguments, "--url", f"sqlite:///{tmp_path}/journal.db")
    assert list(tmp_path.iterdir()) == []
