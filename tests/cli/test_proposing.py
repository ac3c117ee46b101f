"""What a shell proposes where a session or a step is named: it looks, in silence, and proposes plain words only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import run
from tests.cli.records import AT, RECORDS, restore

# Whoever can record a session chooses its id, and a shell would do what these say.
HOSTILE = ["$(touch made)", "`touch made`", "a;touch made", "a b", "*", "a\nb", "\x1b[31m", "-rf", "~", "'", "\u202ea"]


def proposed(monkeypatch: pytest.MonkeyPatch, words: str, shell: str = "bash") -> list[str]:
    """Return what is proposed for the last word, which may be empty."""
    for name, value in {
        "_JEEVES_JOURNAL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": f"jeeves-journal {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        "_TYPER_COMPLETE_ARGS": f"jeeves-journal {words}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }.items():
        monkeypatch.setenv(name, value)
    ended = run()
    assert (ended.code, ended.stderr) == (0, "")
    return ended.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("show r", ["run-1", "run-2"]),
        ("show ", ["other", "run-1", "run-2"]),
        ("show run-1 ", ["fetch", "answer", "parse", "store"]),
        ("show nothing ", []),
        ("delete o", ["other"]),
        ("delete run-1 --step pa", ["parse"]),
        ("rewind run-1 --to s", ["store"]),
        ("fork run-", ["run-1", "run-2"]),
        ("fork run-1 new --before a", ["answer"]),
        ("export runs.bundle --session o", ["other"]),
        ("sessions --recent --after o", ["other"]),
    ],
)
def test_sessions_and_steps_are_proposed(
    words: str, names: list[str], shell: str, journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_URL", journal)
    assert proposed(monkeypatch, words, shell) == names


def test_zsh_is_proposed_them_quoted(journal_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert proposed(monkeypatch, f"show --url {journal_file} r", "zsh") == [
        "_arguments",
        "'*:",
        ':(("run-1"',
        '"run-2"))\'',
    ]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_what_a_shell_would_not_take_for_a_word_is_not_proposed(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    restore(url, dict.fromkeys([*HOSTILE, "team/run:1@x"], RECORDS["run-2"]))
    restore(url, {"run": [("step", name, 1, AT) for name in [*HOSTILE, "fetch"]]})
    monkeypatch.setenv("JEEVES_JOURNAL_URL", url)
    assert proposed(monkeypatch, "show ", shell) == ["run", "team/run:1@x"]
    assert proposed(monkeypatch, "show run ", shell) == ["fetch"]


def test_no_more_than_fifty_are_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    restore(url, {f"run-{number:03}": RECORDS["run-2"] for number in range(60)})
    restore(url, {"long": [("step", f"step-{number:03}", 1, AT + number) for number in range(60)]})
    monkeypatch.setenv("JEEVES_JOURNAL_URL", url)
    assert proposed(monkeypatch, "show run-") == [f"run-{number:03}" for number in range(50)]
    assert proposed(monkeypatch, "show long step-") == [f"step-{number:03}" for number in range(50)]


@pytest.mark.parametrize(
    "url",
    ["sqlite:///journal.db", "sqlite:///no.db", "postgresql://u:hunter2@127.0.0.1:1/x", "nonsense", "memory://", ""],
)
def test_a_journal_that_cannot_be_used_is_a_matter_of_silence(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("no.db").write_text("no database")
    monkeypatch.setenv("JEEVES_JOURNAL_URL", url)
    assert proposed(monkeypatch, "show r") == []
    assert proposed(monkeypatch, "show run-1 ") == []
    assert [each.name for each in tmp_path.iterdir()] == ["no.db"]
