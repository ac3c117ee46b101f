"""``jeeves-journal prune``."""

from __future__ import annotations

import time

from tests.cli.commands import on_terminal, succeed, succeed_in_json
from tests.cli.records import restore, session_ids


def test_sessions_that_are_old_are_deleted(journal: str) -> None:
    restore(journal, {"young": [("step", "step", 1, time.time())]})
    assert succeed("prune", "--older-than", "30d", "--yes", "--url", journal).startswith(
        "deleted 3 sessions with 6 records ("
    )
    assert session_ids(journal) == ["young"]


def test_prefixes_are_kept(journal: str) -> None:
    keep = ["--keep", "run-1", "--keep", "oth"]
    found = succeed_in_json("prune", "--older-than", "30d", *keep, "--yes", "--url", journal)
    assert (found["sessions"], found["records"], found["dry_run"]) == (1, 1, False)
    assert session_ids(journal) == ["other", "run-1"]


def test_a_dry_run_only_counts_and_asks_nothing(journal: str) -> None:
    assert succeed("prune", "--older-than", "30d", "--dry-run", "--url", journal).startswith("would delete 3 sessions")
    assert succeed_in_json("prune", "--older-than", "30d", "--dry-run", "--url", journal)["dry_run"] is True
    assert len(session_ids(journal)) == 3


def test_where_nothing_is_old_nothing_is_asked(journal: str) -> None:
    assert succeed("prune", "--older-than", "1000w", "--url", journal) == "deleted 0 sessions with 0 records (0 B)\n"


def test_the_question_says_what_would_be_lost(journal_file: str) -> None:
    with on_terminal("prune", "--older-than", "30d", "--url", journal_file) as terminal:
        terminal.wait_for("Delete 3 sessions with 6 records (")
        terminal.wait_for("[y/N] ")
