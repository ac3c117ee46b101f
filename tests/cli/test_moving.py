"""``jeeves-journal export`` and ``import``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import fail, run, succeed, succeed_in_json
from tests.cli.records import AT, restore, session_ids, step_names


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tmp_path / "journal.bundle"


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/target.db"


def test_what_is_exported_can_be_imported(journal: str, bundle: Path, target: str) -> None:
    assert succeed("export", str(bundle), "--url", journal).startswith("exported 3 sessions with 6 records (")
    assert succeed("import", str(bundle), "--url", target) == (
        "imported 3 sessions with 6 records, 0 unchanged, 0 refused\n"
    )
    assert session_ids(target) == ["other", "run-1", "run-2"]
    assert step_names(target, "run-1") == ["fetch", "answer", "parse", "store"]


def test_importing_again_changes_nothing(journal: str, bundle: Path) -> None:
    listed = succeed_in_json("sessions", "--prefix", "run-", "--url", journal)["sessions"]
    assert succeed_in_json("export", str(bundle), "--session", "run-1", "--session", "run-2", "--url", journal) == {
        "sessions": 2,
        "records": 5,
        "bytes": sum(each["bytes"] for each in listed),
    }
    assert succeed_in_json("import", str(bundle), "--url", journal) == {
        "sessions": 0,
        "records": 0,
        "unchanged": 2,
        "refused": [],
    }


def test_a_session_with_other_records_is_refused_by_itself(journal: str, bundle: Path, target: str) -> None:
    succeed("export", str(bundle), "--url", journal)
    restore(target, {"run-1": [("step", "fetch", "other", AT)]})
    ended = run("import", str(bundle), "--url", target)
    assert (ended.code, ended.stdout) == (1, "imported 2 sessions with 2 records, 0 unchanged, 1 refused\n")
    assert ended.stderr.count("\n") == 1
    assert "'run-1'" in ended.stderr
    assert step_names(target, "run-1") == ["fetch"]


def test_a_damaged_bundle_is_refused_before_a_journal_is_made(
    journal: str, bundle: Path, target: str, tmp_path: Path
) -> None:
    succeed("export", str(bundle), "--url", journal)
    damaged = bytearray(bundle.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    bundle.write_bytes(damaged)
    assert str(bundle) in fail("import", str(bundle), "--url", target)
    assert not (tmp_path / "target.db").exists()


def test_a_file_that_is_there_is_left_as_it_is(journal: str, bundle: Path) -> None:
    bundle.write_text("precious")
    assert "there already" in fail("export", str(bundle), "--url", journal)
    assert bundle.read_text() == "precious"


def test_a_file_that_is_not_there_is_one_line(bundle: Path, target: str) -> None:
    assert str(bundle) in fail("import", str(bundle), "--url", target)


def test_exporting_makes_no_journal(bundle: Path, tmp_path: Path) -> None:
    assert "nothing was created" in fail("export", str(bundle), "--url", f"sqlite:///{tmp_path}/journal.db")
    assert list(tmp_path.iterdir()) == []
