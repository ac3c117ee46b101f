"""``jeeves-journal sessions``."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.commands import fail, run, shown_on_terminal, succeed, succeed_in_json
from tests.cli.records import AT, RECORDS, restore


def ids(*arguments: str) -> list[str]:
    return [each["id"] for each in succeed_in_json("sessions", *arguments)["sessions"]]


def test_a_line_for_each_has_its_fields_between_tabs(journal: str) -> None:
    first, *_ = lines = succeed("sessions", "--url", journal).splitlines()
    assert [line.split("\t")[0] for line in lines] == ["other", "run-1", "run-2"]
    assert first.split("\t")[1:3] == ["1", "0"]
    assert first.split("\t")[4:] == ["2025-06-15T15:10:00.000000Z"] * 2


def test_json_has_all_that_is_known(journal: str) -> None:
    found = succeed_in_json("sessions", "--url", journal)
    assert found["next"] is None
    session = found["sessions"][1]
    assert session.pop("bytes") > 0
    assert session == {
        "id": "run-1",
        "steps": 3,
        "streams": 1,
        "first_recorded": "2025-06-15T15:06:40.000000Z",
        "last_recorded": "2025-06-15T15:06:50.500000Z",
    }


def test_a_prefix_chooses(journal: str) -> None:
    assert ids("--prefix", "run-", "--url", journal) == ["run-1", "run-2"]


def test_recent_puts_the_latest_first(journal: str) -> None:
    assert ids("--recent", "--url", journal) == ["other", "run-2", "run-1"]


def test_ages_choose_by_the_last_record(journal: str) -> None:
    assert ids("--older-than", "1w", "--url", journal) == ["other", "run-1", "run-2"]
    assert ids("--newer-than", "1w", "--url", journal) == []


def test_more_than_the_limit_are_told_of_and_can_be_gone_on_with(journal: str) -> None:
    ended = run("sessions", "--limit", "2", "--url", journal)
    assert (ended.code, ended.stdout.count("\n")) == (0, 2)
    assert "go on with --after run-1, or" in ended.stderr
    assert succeed_in_json("sessions", "--limit", "2", "--url", journal)["next"] == "run-1"
    assert ids("--after", "run-1", "--url", journal) == ["run-2"]


def test_what_to_go_on_with_can_be_pasted_into_a_shell(empty: str) -> None:
    restore(empty, dict.fromkeys(["it's $(touch made)", "later"], RECORDS["run-2"]))
    hint = run("sessions", "--limit", "1", "--url", empty).stderr
    assert shlex.split(hint.partition("go on with ")[2].partition(", or")[0]) == ["--after", "it's $(touch made)"]


def test_to_go_on_by_time_behind_an_unknown_session_names_the_nearest(journal: str) -> None:
    line = fail("sessions", "--recent", "--after", "run-3", "--url", journal, code=4)
    assert "the nearest are 'run-1', 'run-2', 'other'" in line


def test_a_journal_without_sessions_is_no_error(empty: str) -> None:
    assert succeed("sessions", "--url", empty) == ""
    assert succeed_in_json("sessions", "--url", empty) == {"sessions": [], "next": None}


def test_a_terminal_shows_a_table(journal_file: str) -> None:
    shown = shown_on_terminal("sessions", "--url", journal_file)
    assert "last recorded" in shown
    assert "2025-06-15 15:06:50" in shown
    assert "10.5 s" in shown


def test_a_narrow_terminal_divides_names_and_no_numbers(journal_file: str) -> None:
    restore(journal_file, {"a-session-with-a-long-name": [("step", "step", "x" * 2_000, AT)]})
    shown = shown_on_terminal("sessions", "--url", journal_file, columns=40)
    assert "a-session-wi" in shown
    assert "a-session-with-a-long-name" not in shown
    assert all(text in shown for text in ("2.1 kB", "2025-06-15 15:06:50", "10.5 s"))


def test_an_id_that_commands_a_terminal_or_looks_like_markup_is_shown_harmless(empty: str) -> None:
    restore(empty, {"[red]\x1b[31m\tid\n": [("step", "step", 1, AT)]})
    line = succeed("sessions", "--url", empty)
    assert line.startswith("[red]\\x1b[31m\\tid\\n\t")
    assert "[red]\\x1b[31m\\tid\\n" in shown_on_terminal("sessions", "--url", empty)
    assert ids("--url", empty) == ["[red]\x1b[31m\tid\n"]
    assert "\x1b" not in succeed("sessions", "--json", "--url", empty)


def test_looking_makes_no_file(tmp_path: Path) -> None:
    assert "nothing was created" in fail("sessions", "--url", f"sqlite:///{tmp_path}/journal.db")
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_nothing_is_not_understood() -> None:
    assert "--limit" in fail("sessions", "--limit", "0", "--url", "memory://", code=2)


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/x", "postgresql://u:hunter2@nowhere.invalid/x"])
def test_an_unreachable_database_is_one_line_without_the_password(url: str) -> None:
    said = fail("sessions", "--url", f"{url}?timeout=1")
    assert "hunter2" not in said
