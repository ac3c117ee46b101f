"""``jeeves-journal show SESSION``: the timeline of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from jeeves_journal import Keyring
from tests.cli.commands import fail, run_apart, shown_on_terminal, succeed, succeed_in_json
from tests.cli.records import AT, restore


def test_steps_and_streams_come_in_recorded_order_with_the_time_between_them(journal: str) -> None:
    lines = [line.split("\t") for line in succeed("show", "run-1", "--url", journal).splitlines()]
    assert [line[1:4] for line in lines] == [
        ["0.000000", "fetch", "step"],
        ["2.000000", "answer", "stream"],
        ["8.000000", "parse", "step"],
        ["0.500000", "store", "step"],
    ]
    assert lines[1][0] == "2025-06-15T15:06:42.000000Z"


def test_bars_are_as_long_as_the_time_before_a_step(journal: str) -> None:
    bars = [len(line.split("\t")[-1]) for line in succeed("show", "run-1", "--url", journal).splitlines()]
    assert bars == [0, 5, 20, 1]


def test_a_narrow_terminal_has_short_bars_beside_their_steps(journal_file: str) -> None:
    shown = shown_on_terminal("show", "run-1", "--url", journal_file, columns=40)
    (line,) = [line for line in shown.splitlines() if "parse" in line]
    assert line.startswith("   8.0 s  ████  parse ")
    assert shown.count("█") == 1 + 4 + 1


def test_a_run_of_very_many_steps_takes_no_time_for_each_pair_of_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    steps = 60_000
    restore(url, {"long": [("step", f"step-{number:05}", None, AT + number) for number in range(steps)]})
    # In a process of its own, which is given a minute.
    assert run_apart("show", "long", "--url", url).stdout.count("\n") == steps


def test_json_has_all_that_is_known(journal: str) -> None:
    found = succeed_in_json("show", "run-1", "--url", journal)
    assert found["id"] == "run-1"
    record = found["records"][1]
    assert record.pop("bytes") > 0
    assert record == {
        "name": "answer",
        "kind": "stream",
        "recorded_at": "2025-06-15T15:06:42.000000Z",
        "codec": "pickle",
        "sealed_by": None,
    }


def test_the_key_that_sealed_a_step_is_named(empty: str) -> None:
    keys = Keyring.generate()
    restore(empty, {"run": [("step", "step", 1, AT)]}, keys=keys)
    assert succeed_in_json("show", "run", "--url", empty)["records"][0]["sealed_by"] == keys.first.id
    assert f"key {keys.first.id}" in shown_on_terminal("show", "run", "--url", empty)


def test_a_terminal_shows_a_title_and_a_table(journal_file: str) -> None:
    title, heading, *rows = shown_on_terminal("show", "run-1", "--url", journal_file).splitlines()
    assert title.startswith("run-1: 3 steps and 1 stream, ")
    assert title.endswith("recorded from 2025-06-15 15:06:40 UTC on over 10.5 s")
    assert "after" in heading
    assert "█" * 20 in rows[2]
    assert len(rows) == 4


def test_a_name_that_commands_a_terminal_or_looks_like_markup_is_shown_harmless(empty: str) -> None:
    restore(empty, {"run": [("step", "[bold]\x1b]0;title\x07", 1, AT)]})
    assert "[bold]\\x1b]0;title\\x07" in succeed("show", "run", "--url", empty)
    assert "[bold]\\x1b]0;title\\x07" in shown_on_terminal("show", "run", "--url", empty)


def test_an_unknown_session_ends_with_4_and_the_three_nearest(journal: str) -> None:
    assert fail("show", "run-3", "--url", journal, code=4) == (
        "jeeves-journal: there is no such session (session 'run-3'): the nearest are 'run-1', 'run-2', 'other'\n"
    )


def test_of_very_many_sessions_the_nearest_are_found(empty: str) -> None:
    restore(empty, {f"run-{number:04}": [("step", "step", 1, AT - number)] for number in range(1_200, 1_800)})
    assert "'run-1234'" in fail("show", "run-12344", "--url", empty, code=4)
    assert "'run-1700'" in fail("show", "run-17", "--url", empty, code=4)


def test_a_journal_without_sessions_says_so(empty: str) -> None:
    assert "no sessions" in fail("show", "run", "--url", empty, code=4)


@pytest.mark.parametrize("session_id", ["", "x" * 1_001])
def test_an_id_that_no_session_has_is_not_understood(session_id: str, journal: str) -> None:
    assert "session_id" in fail("show", session_id, "--url", journal, code=2)
