"""``jeeves-journal keys`` and ``jeeves-journal seal``, as a shell calls them."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import DecodeError, JournalStore, Keyring
from tests.cli.commands import fail, run, succeed
from tests.stores.attacks import Marking


def put(url: str, value: object = 1, **options: Any) -> None:
    async def main() -> None:
        async with JournalStore.from_url(url, create_tables=True, **options) as store:
            await store.put_step("run", "step", value)
            await store.put_stream("run", "step", [value])

    asyncio.run(main())


def get(url: str, **options: Any) -> Any:
    async def main() -> Any:
        async with JournalStore.from_url(url, **options) as store:
            entry = await store.get_step("run", "step")
            assert entry is not None
            assert await store.get_stream("run", "step") == [entry.value]
            return entry.value

    return asyncio.run(main())


def test_a_new_key_is_one_line_that_makes_a_keyring_and_no_two_are_alike() -> None:
    one, other = succeed("keys", "new"), succeed("keys", "new")
    assert one.count("\n") == 1
    assert one != other
    assert Keyring.from_text(one).to_text() == one.strip()


def test_a_journal_is_sealed_and_rotated_to_a_new_key(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(url, "value")
    old = Keyring.from_text(succeed("keys", "new"))
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", old.to_text())
    assert succeed("seal", "--allow-unsealed", "--url", url) == "2 records: 2 sealed anew, 0 refused\n"
    assert get(url, keys=old) == "value"
    new = Keyring.from_text(succeed("keys", "new"))
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", f"{new.to_text()},{old.to_text()}")
    assert succeed("seal", "--encrypt", "--url", url) == "2 records: 2 sealed anew, 0 refused\n"
    assert succeed("seal", "--encrypt", "--url", url) == "2 records: 0 sealed anew, 0 refused\n"
    assert get(url, keys=new, seal="encrypt") == "value"
    with pytest.raises(DecodeError):
        get(url, keys=old)


def test_a_journal_changes_its_codec(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keyring.generate()
    put(url, {"rows": [1]}, keys=keys)
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", keys.to_text())
    assert "2 sealed anew" in succeed("seal", "--codec", "json", "--from-codec", "pickle", "--url", url)
    assert get(url, keys=keys, codec="json") == {"rows": [1]}


def test_what_has_no_seal_is_refused_unless_asked_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(url)
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", Keyring.generate().to_text())
    ended = run("seal", "--url", url)
    assert (ended.code, ended.stdout) == (1, "2 records: 0 sealed anew, 2 refused\n")
    assert ended.stderr.count("the record is not sealed") == 2
    assert ended.stderr.count("add --allow-unsealed") == 2
    assert get(url) == 1


def test_a_planted_pickle_runs_nowhere_while_sealing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        planted = pickle.dumps(Marking(tmp_path / "ran"))
        connection.execute("INSERT INTO journal_steps VALUES ('run', 'planted', ?, 1.5)", (planted,))
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", Keyring.generate().to_text())
    for codec in ("pickle", "json"):
        assert run("seal", "--codec", codec, "--url", url).code == 1
        assert not (tmp_path / "ran").exists()


def test_without_keys_it_says_how_to_make_one(url: str) -> None:
    assert "make one with `jeeves-journal keys new`" in fail("seal", "--url", url)


def test_a_key_that_is_malformed_is_not_shown_and_told_where_it_stands(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", "hunter2hunter2")
    said = fail("seal", "--url", url)
    assert "hunter2" not in said
    assert "JEEVES_JOURNAL_KEYS" in said


def test_where_there_is_no_journal_none_is_made(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", Keyring.generate().to_text())
    said = fail("seal", "--url", url)
    assert "tables are missing" in said or "nothing was created" in said
    assert list(tmp_path.iterdir()) == []
