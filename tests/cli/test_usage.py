"""``jeeves-journal usage``."""

from __future__ import annotations

from tests.cli.commands import shown_on_terminal, succeed, succeed_in_json


def test_json_has_all_that_is_known(journal: str) -> None:
    found = succeed_in_json("usage", "--url", journal)
    assert found["is_exact"] is True
    assert found["steps"].pop("bytes") > 0
    assert found["streams"].pop("bytes") > 0
    assert found["steps"] == {"rows": 5, "oldest": "2025-06-15T15:06:40.000000Z"}
    assert found["streams"] == {"rows": 1, "oldest": "2025-06-15T15:06:42.000000Z"}


def test_a_line_for_each_kind(journal: str) -> None:
    lines = [line.split("\t") for line in succeed("usage", "--url", journal).splitlines()]
    assert [(line[0], line[1], line[4]) for line in lines] == [("steps", "5", "counted"), ("streams", "1", "counted")]


def test_an_empty_journal_has_no_oldest(empty: str) -> None:
    assert succeed("usage", "--url", empty) == "steps\t0\t0\t-\tcounted\nstreams\t0\t0\t-\tcounted\n"


def test_a_terminal_shows_a_table(journal_file: str) -> None:
    assert "2025-06-15 15:06:40" in shown_on_terminal("usage", "--url", journal_file)
