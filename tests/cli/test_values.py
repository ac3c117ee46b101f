"""``jeeves-journal show SESSION STEP``: a value, and no code that it names."""

from __future__ import annotations

import pickle
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import Keyring
from tests.cli.commands import fail, succeed, succeed_in_json
from tests.cli.records import AT, restore
from tests.stores.attacks import Marking


@dataclass
class Order:
    cents: int


def plant(tmp_path: Path, data: object, created_at: object = AT) -> str:
    """Put bytes into a journal as somebody does who can write to the database."""
    url = f"sqlite:///{tmp_path}/journal.db"
    restore(url, {"run": [("step", "other", 1, AT)]})
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.execute("INSERT INTO journal_steps VALUES ('run', 'step', ?, ?)", (data, created_at))
    return url


def body(*arguments: str) -> list[str]:
    """Return what is shown, without the line about the record."""
    return succeed("show", "run", "step", *arguments).splitlines()[1:]


def test_the_first_line_tells_of_the_record(journal: str) -> None:
    line = succeed("show", "run-1", "fetch", "--url", journal).splitlines()[0]
    assert line.startswith("step fetch of run-1: recorded 2025-06-15 15:06:40 UTC, ")
    assert line.endswith(" B, codec pickle, not sealed")


def test_plain_data_is_shown_without_unpickling(journal: str) -> None:
    assert succeed("show", "run-1", "fetch", "--url", journal).splitlines()[1:] == [
        "a pickle of protocol 5, not unpickled",
        "{'rows': 3}",
    ]


def test_an_object_is_described_by_what_would_be_called(empty: str) -> None:
    restore(empty, {"run": [("step", "step", [Order(5)], AT)]})
    name = f"{__name__}.Order"
    assert body("--url", empty) == [
        f"a pickle of protocol 5, not unpickled; that would import {name}",
        f"[{name}(... then {{'cents': 5}})]",
    ]


def test_unpickle_shows_the_value_itself(empty: str) -> None:
    restore(empty, {"run": [("step", "step", [Order(5)], AT)]})
    assert body("--unpickle", "--url", empty) == ["[Order(cents=5)]"]
    assert succeed_in_json("show", "run", "step", "--unpickle", "--url", empty)["records"][0]["repr"] == (
        "[Order(cents=5)]"
    )


def test_a_planted_pickle_runs_only_if_that_is_asked_for(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    url = plant(tmp_path, pickle.dumps(Marking(mark)))
    for more in ([], ["--json"]):
        assert "touch" in succeed("show", "run", "step", *more, "--url", url)
        assert not mark.exists()
    succeed("show", "run", "step", "--unpickle", "--url", url)
    assert mark.exists()


@pytest.mark.parametrize("more", [[], ["--unpickle"]])
def test_with_keys_nothing_is_shown_that_has_no_seal_unless_asked_for(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    url = plant(tmp_path, pickle.dumps(Marking(mark)))
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", Keyring.generate().to_text())
    assert "--allow-unsealed" in fail("show", "run", "step", *more, "--url", url)
    assert not mark.exists()
    assert "touch" in succeed("show", "run", "step", "--allow-unsealed", "--url", url)


@pytest.mark.parametrize("seal", ["sign", "encrypt"])
def test_what_is_sealed_is_opened_by_the_keys(seal: Any, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keyring.generate()
    restore(empty, {"run": [("step", "step", "value", AT)]}, keys=keys, seal=seal)
    assert "JEEVES_JOURNAL_KEYS" in fail("show", "run", "step", "--url", empty)
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", Keyring.generate().to_text())
    assert "keyring" in fail("show", "run", "step", "--url", empty)
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", keys.to_text())
    assert body("--url", empty)[-1] == "'value'"
    assert body("--unpickle", "--url", empty) == ["'value'"]


def test_a_changed_record_is_refused_before_anything_is_told_of_it(tmp_path: Path) -> None:
    url = plant(tmp_path, b"x")
    assert "footer is missing" in fail("show", "run", "step", "--url", url)


@pytest.mark.parametrize(("data", "created_at"), [("text", 1.5), (b"x", "noon")])
def test_a_row_that_is_no_record_is_refused(data: object, created_at: object, tmp_path: Path) -> None:
    assert "restore" in fail("show", "run", "step", "--url", plant(tmp_path, data, created_at))


def test_json_is_shown_as_it_is(empty: str) -> None:
    restore(empty, {"run": [("step", "step", {"rows": [1, "é\x1b"]}, AT)]}, codec="json")
    assert body("--url", empty) == ["{", '  "rows": [', "    1,", '    "é\\u001b"', "  ]", "}"]
    assert succeed_in_json("show", "run", "step", "--url", empty)["records"][0]["value"] == {"rows": [1, "é\x1b"]}


def test_what_is_compressed_is_inflated(empty: str) -> None:
    restore(empty, {"run": [("step", "step", "x" * 5_000, AT)]}, compress="zstd")
    assert body("--url", empty)[-1] == repr("x" * 5_000)


def test_a_stream_is_a_list_of_its_chunks(journal: str) -> None:
    assert succeed("show", "run-1", "answer", "--url", journal).splitlines()[-1] == "['Hel', 'lo']"
    assert succeed("show", "run-1", "answer", "--unpickle", "--url", journal).splitlines()[-1] == "['Hel', 'lo']"


def test_a_step_and_a_stream_of_one_name_are_both_shown(empty: str) -> None:
    restore(empty, {"run": [("step", "step", 1, AT), ("stream", "step", [2], AT + 1)]})
    records = succeed_in_json("show", "run", "step", "--url", empty)["records"]
    assert [(each["kind"], each["pickle"]["outline"]) for each in records] == [("step", "1"), ("stream", "[2]")]


class Reversed:
    """A codec of somebody's own."""

    id = "reversed"

    def dumps(self, value: str) -> bytes:
        return value.encode()[::-1]

    def loads(self, payload: bytes | memoryview) -> str:
        return bytes(payload)[::-1].decode()


def test_of_an_unknown_codec_the_bytes_are_shown(empty: str) -> None:
    restore(empty, {"run": [("step", "step", "abc", AT)]}, codec=Reversed())
    assert body("--url", empty)[-1] == "63 62 61"
    assert succeed_in_json("show", "run", "step", "--url", empty)["records"][0]["hex"] == "636261"


def test_an_unknown_step_ends_with_4_and_the_nearest(journal: str) -> None:
    assert fail("show", "run-1", "fetsh", "--url", journal, code=4) == (
        "jeeves-journal: there is no such step (session 'run-1', step 'fetsh'): "
        "the nearest are 'fetch', 'parse', 'store'\n"
    )


def test_a_class_that_is_not_here_is_one_line(tmp_path: Path) -> None:
    url = plant(tmp_path, b"cnowhere\nNothing\n.")
    assert "nowhere.Nothing" in succeed("show", "run", "step", "--url", url)
    assert "importable" in fail("show", "run", "step", "--unpickle", "--url", url)
