"""``jeeves-journal doctor``."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import Keyring, migrations
from jeeves_journal.stores.dialects.postgres.examined import clock_finding
from jeeves_journal.stores.dialects.sqlite.examined import version_finding
from tests.cli.commands import Ended, run, succeed_in_json
from tests.cli.records import session_ids

LOOKED_AT = {
    "sqlite": ["connection", "schema", "journal mode", "synchronous", "version", "round trip"],
    "postgresql": [
        "connection", "schema", "server", "fsync", "full_page_writes", "synchronous_commit", "clock", "round trip"
    ],
}  # fmt: skip


def states(ended: Ended) -> dict[str, str]:
    """Return the states by what was looked at, from the lines."""
    lines = [line.split(None, 1) for line in ended.stdout.splitlines()]
    return {rest.partition(":")[0]: state for state, rest in lines}


def test_a_journal_that_is_well_is_ok_line_by_line(journal: str) -> None:
    before = session_ids(journal)
    ended = run("doctor", "--url", journal)
    assert (ended.code, ended.stderr) == (0, "")
    found = states(ended)
    assert list(found) == LOOKED_AT[journal.partition(":")[0]]
    # What SQLite this machine has, or how its fsync is set, is another matter.
    assert {found[name] for name in ("connection", "schema", "round trip")} == {"ok"}
    assert session_ids(journal) == before


def test_json_has_the_same(journal: str) -> None:
    found = succeed_in_json("doctor", "--url", journal)
    assert found["is_well"] is True
    assert [each["name"] for each in found["findings"]] == LOOKED_AT[journal.partition(":")[0]]
    assert all(each["remedy"] for each in found["findings"] if each["state"] != "ok")


def test_the_round_trip_says_how_long_it_took(journal: str) -> None:
    (line,) = [line for line in run("doctor", "--url", journal).stdout.splitlines() if "round trip" in line]
    assert all(word in line for word in ("put", "get", "delete", " ms"))


def test_the_round_trip_is_sealed_with_the_keys(journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", Keyring.generate().to_text())
    assert states(run("doctor", "--url", journal))["round trip"] == "ok"


def test_keys_that_are_malformed_are_wrong_and_the_rest_is_said(journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", "hunter2hunter2")
    ended = run("doctor", "--url", journal)
    found = states(ended)
    assert (ended.code, found["connection"], found["round trip"]) == (1, "ok", "wrong")
    assert "JEEVES_JOURNAL_KEYS" in ended.stdout
    assert "hunter2" not in ended.stdout + ended.stderr


def test_without_tables_it_says_how_to_make_them_and_makes_none(postgres_url: str) -> None:
    ended = run("doctor", "--url", postgres_url)
    assert ended.code == 1
    assert states(ended)["schema"] == "wrong"
    assert "jeeves-journal db upgrade" in ended.stdout
    assert migrations.current(postgres_url) is None


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    ended = run("doctor", "--url", f"sqlite:///{tmp_path}/journal.db")
    assert (ended.code, states(ended)) == (1, {"connection": "wrong"})
    assert list(tmp_path.iterdir()) == []


def test_older_tables_are_a_warning(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    migrations.upgrade(url, migrations.REVISIONS[0])
    ended = run("doctor", "--url", url)
    assert (ended.code, states(ended)["schema"]) == (0, "warning")
    assert migrations.current(url) == migrations.REVISIONS[0]


def test_tables_of_another_major_revision_are_wrong(journal: str) -> None:
    if not journal.startswith("sqlite"):
        return
    with closing(sqlite3.connect(journal.partition("///")[2])) as connection, connection:
        connection.execute("UPDATE journal_alembic_version SET version_num = '9_later'")
    ended = run("doctor", "--url", journal)
    assert (ended.code, states(ended)["schema"]) == (1, "wrong")
    assert "round trip" not in states(ended)


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/x?timeout=1"])
def test_an_unreachable_database_is_one_line_without_the_password(url: str) -> None:
    ended = run("doctor", "--url", url)
    assert (ended.code, states(ended)) == (1, {"connection": "wrong"})
    assert "hunter2" not in ended.stdout + ended.stderr


def test_a_journal_in_memory_is_well() -> None:
    assert states(run("doctor", "--url", "memory://")) == {"connection": "ok", "round trip": "ok"}


@pytest.mark.parametrize(("version", "state"), [((3, 40, 1), "warning"), ((3, 51, 3), "ok"), ((3, 50, 7), "ok")])
def test_versions_of_sqlite_with_the_wal_reset_bug_are_a_warning(version: Any, state: str) -> None:
    assert version_finding(version).state == state


@pytest.mark.parametrize(
    ("skew", "uncertain", "state"),
    [(0.2, 0.001, "ok"), (-0.2, 0.001, "ok"), (5.0, 0.1, "warning"), (-5.0, 0.1, "warning"), (5.0, 6.0, "ok")],
)
def test_a_clock_that_is_off_is_a_warning(skew: float, uncertain: float, state: str) -> None:
    found = clock_finding(skew, uncertain=uncertain)
    assert found.state == state
    assert ("ahead" in found.what) == (skew > 0)
