"""Attacks on the rows of a store with keys: through the store, the runtime and the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import DecodeError, JournaledRuntime, JournalStore, Keyring
from tests.cli.commands import run
from tests.stores.attacks import AT, rows_of
from tests.stores.rows import Rows, SqliteRows

pytestmark = pytest.mark.anyio

KEYS = Keyring.generate()
PUT = "UPDATE journal_steps SET value = ?, created_at = ? WHERE session_id = 'run' AND step_name = 'attacked'"


@pytest.fixture(params=["sign", "encrypt"])
def seal(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def store(rows: Rows, seal: Any) -> AsyncIterator[Any]:
    async with JournalStore.from_url(rows.url, keys=KEYS, seal=seal) as store:
        await store.put_step("run", "first", 1)
        await store.put_step("run", "attacked", 2)
        yield store


async def test_no_attack_returns_a_value_or_runs_through_a_store(
    rows: Rows, store: Any, seal: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    for name, data in rows_of(KEYS, mark, seal).items():
        await asyncio.to_thread(rows.run, PUT, [(data, AT)])
        found = await asyncio.gather(store.get_step("run", "attacked"), store.get_steps("run"), return_exceptions=True)
        assert all(isinstance(each, DecodeError) for each in found), (name, found)
        assert not mark.exists(), name
    entry = await store.get_step("run", "first")
    assert entry.value == 1


async def test_no_attack_returns_a_value_or_runs_through_the_runtime(
    rows: Rows, store: Any, seal: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"

    async def never() -> None:
        raise AssertionError("a step whose record is there ran")

    for name, data in rows_of(KEYS, mark, seal).items():
        await asyncio.to_thread(rows.run, PUT, [(data, AT)])
        runtime = JournaledRuntime(store)
        async with runtime.session("run"):
            assert await runtime.step("first", never) == 1
            with pytest.raises(DecodeError):
                await runtime.step("attacked", never)
        assert not mark.exists(), name


async def test_no_attack_is_sealed_or_run_by_the_command_line(
    tmp_path: Path, seal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attack is on a step of its own, since a command takes its time to start."""
    rows, mark = SqliteRows(tmp_path / "journal.db"), tmp_path / "ran"
    new = Keyring.generate()
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", f"{new.to_text()},{KEYS.to_text()}")
    async with JournalStore.from_url(rows.url, keys=KEYS, seal=seal) as store:
        await store.put_step("run", "first", 1)
    attacks = {name: rows_of(KEYS, mark, seal, step_name=name)[name] for name in rows_of(KEYS, mark, seal)}
    insert = "INSERT INTO journal_steps (session_id, step_name, value, created_at) VALUES ('run', ?, ?, ?)"
    rows.run(insert, [(name, data, AT) for name, data in attacks.items()])
    ended = await asyncio.to_thread(run, "seal", "--url", rows.url)
    assert (ended.code, ended.stdout) == (1, f"{len(attacks) + 1} records: 1 sealed anew, {len(attacks)} refused\n")
    assert not mark.exists()
    assert all(rows.value("run", name) == data for name, data in attacks.items())
