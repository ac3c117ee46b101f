"""Attacks on the rows of a store with keys: through the store, the runtime and the command line.

Each is a step of its own, and a stream. None may return a value, run a line of the attacker's, or be sealed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import DecodeError, JournaledRuntime, JournalStore, Keyring
from tests.cli.commands import run
from tests.stores.attacks import AT, SESSION, Attacker
from tests.stores.rows import Rows

pytestmark = pytest.mark.anyio

KEYS = Keyring.generate()
INSERTS = {
    "step": "INSERT INTO journal_steps (session_id, step_name, value, created_at) VALUES (?, ?, ?, ?)",
    "stream": "INSERT INTO journal_streams (session_id, step_name, chunks, created_at) VALUES (?, ?, ?, ?)",
}


@pytest.fixture(params=["sign", "encrypt"])
def seal(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["pickle", "json", "pickle and zstd", "json and zstd"])
def options(request: pytest.FixtureRequest, seal: Any) -> dict[str, Any]:
    """What the store is opened with, beside its keys."""
    compress = "zstd" if "zstd" in request.param else None
    return {"seal": seal, "codec": request.param.partition(" ")[0], "compress": compress}


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there once somebody has unpickled what an attacker wrote."""
    return tmp_path / "ran"


@pytest.fixture
async def attacked(rows: Rows, options: Any, mark: Path) -> AsyncIterator[dict[str, list[str]]]:
    """The names of the attacks, which are there as steps and as streams, by kind; one step before them is right."""
    async with JournalStore.from_url(rows.url, keys=KEYS, **options) as store:
        await store.put_step("good", "first", 1)
    names: dict[str, list[str]] = {}
    for kind, insert in INSERTS.items():
        attacks = Attacker(KEYS, options, mark, kind).rows()
        await asyncio.to_thread(rows.run, insert, [(SESSION, name, data, AT) for name, data in attacks.items()])
        names[kind] = list(attacks)
    yield names
    assert not mark.exists()


async def test_a_store_returns_none(rows: Rows, options: Any, attacked: dict[str, list[str]]) -> None:
    async with JournalStore.from_url(rows.url, keys=KEYS, **options) as store:
        steps, streams = attacked["step"], attacked["stream"]
        calls = [
            *(store.get_step(SESSION, name) for name in steps),
            *(store.get_stream(SESSION, name) for name in streams),
        ]
        found = await asyncio.gather(*calls, store.get_steps(SESSION), return_exceptions=True)
        names = [*steps, *streams, "all steps"]
        assert {name: each for name, each in zip(names, found, strict=True) if not isinstance(each, DecodeError)} == {}
        assert (await store.get_steps("good"))["first"].value == 1


async def test_the_runtime_returns_none_and_runs_no_step_in_its_place(
    rows: Rows, options: Any, attacked: dict[str, list[str]]
) -> None:
    async def never() -> None:
        raise AssertionError("a step whose record is there ran")

    async def never_either() -> AsyncIterator[None]:
        yield await never()

    async with JournaledRuntime(JournalStore.from_url(rows.url, keys=KEYS, **options)) as runtime:
        async with runtime.session(SESSION):
            for name in attacked["step"]:
                with pytest.raises(DecodeError):
                    await runtime.step(name, never)
            for name in attacked["stream"]:
                with pytest.raises(DecodeError):
                    [chunk async for chunk in runtime.stream_step(name, never_either)]
        async with runtime.session("good"):
            assert await runtime.step("first", never) == 1


async def test_the_command_line_shows_none(
    rows: Rows, attacked: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", KEYS.to_text())
    # Each command opens the database anew: of the flipped bits, a few.
    flipped = [name for name in attacked["step"] if "bit" in name]
    for name in {*attacked["step"]}.difference(flipped).union(flipped[:: len(flipped) // 4]):
        for argument in ["--unpickle", "--json"] if "planted" in name else ["--unpickle"]:
            ended = await asyncio.to_thread(run, "show", SESSION, name, argument, "--url", rows.url)
            assert (ended.code, ended.stdout) == (1, ""), (name, ended)


async def test_the_command_line_seals_none(
    rows: Rows, options: Any, attacked: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [rows.value(SESSION, name) for name in attacked["step"][:20]]
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", f"{Keyring.generate().to_text()},{KEYS.to_text()}")
    arguments = ["--codec", options["codec"], *["--compress"][: bool(options["compress"])]]
    ended = await asyncio.to_thread(run, "seal", "--url", rows.url, *arguments)
    count = sum(map(len, attacked.values()))
    assert (ended.code, ended.stdout) == (1, f"{count + 1:,} records: 1 sealed anew, {count:,} refused\n")
    assert [rows.value(SESSION, name) for name in attacked["step"][:20]] == before
