"""Rows of JeevesAgent's that cannot be read are named, and spoil nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import DecodeError, InMemoryJournalStore, InvalidKeyError, JournaledRuntime
from tests.jeevesagent.agents import ANSWER, PROMPT, WHOLE_RUN, Ledger, make_agent
from tests.jeevesagent.runtimes import RUNTIMES, our_store, their_store
from tests.migrations.databases import is_sqlite, path_of
from tests.stores.processes import printed_by
from tests.stores.rows import PostgresRows, Rows, SqliteRows

pytestmark = pytest.mark.anyio

LONG = "x" * 1_001

RECORD_AN_INSTANCE = """
import asyncio, sys
from pathlib import Path
from tests.jeevesagent.runtimes import their_store
url, folder = sys.argv[1:]
Path(folder, "gone.py").write_text("class Gone: pass")
sys.path.insert(0, folder)
from gone import Gone

async def main():
    async with their_store(url) as store:
        await store.put_step("run-1", "good", "before")
        await store.put_step("run-1", "bad", Gone())
        await store.put_stream("run-1", "bad", [Gone()])
        await store.put_step("run-1", "also good", "after")

asyncio.run(main())
"""


def rows_in(url: str) -> Rows:
    return SqliteRows(Path(path_of(url))) if is_sqlite(url) else PostgresRows(url)


async def record_three(url: str) -> None:
    async with their_store(url) as yours:
        for name, value in (("good", "before"), ("bad", {"rows": list(range(9))}), ("also good", "after")):
            await yours.put_step("run-1", name, value)
        await yours.put_stream("run-1", "bad", [1])


async def assert_only_bad_is_unreadable(url: str) -> None:
    async with our_store(url) as mine:
        for read in (mine.get_step, mine.get_stream):
            with pytest.raises(DecodeError, match="session 'run-1', step 'bad'"):
                await read("run-1", "bad")
        assert (await mine.get_step("run-1", "good")).value == "before"
        assert (await mine.get_step("run-1", "also good")).value == "after"


@pytest.mark.parametrize("cut", [1, 5, 30])
async def test_a_pickle_that_is_cut(cut: int, url: str) -> None:
    await record_three(url)
    data = rows_in(url).value("run-1", "bad")[:-cut]
    rows_in(url).run("UPDATE journal_steps SET value = ? WHERE step_name = 'bad'", [(data,)])
    rows_in(url).run("UPDATE journal_streams SET chunks = ? WHERE step_name = 'bad'", [(data,)])
    await assert_only_bad_is_unreadable(url)


@pytest.mark.parametrize("data", [b"", b".", b"\x80", b"no pickle", b"no pickle.", b"cgone\nGone\n."])
async def test_bytes_that_are_no_pickle(data: bytes, url: str) -> None:
    await record_three(url)
    rows_in(url).run("UPDATE journal_steps SET value = ? WHERE step_name = 'bad'", [(data,)])
    rows_in(url).run("UPDATE journal_streams SET chunks = ? WHERE step_name = 'bad'", [(data,)])
    await assert_only_bad_is_unreadable(url)


async def test_a_class_that_is_not_importable_here(url: str, tmp_path: Path) -> None:
    printed_by(RECORD_AN_INSTANCE, url, tmp_path)
    await assert_only_bad_is_unreadable(url)


async def test_a_replay_fails_at_the_bad_row_only(url: str) -> None:
    await record_three(url)
    rows_in(url).run("UPDATE journal_steps SET value = ? WHERE step_name = 'bad'", [(b"no pickle",)])

    async def run() -> Any:
        raise AssertionError("a recorded step ran")

    async with RUNTIMES["our store by URL"](url) as runtime, runtime.session("run-1"):
        assert await runtime.step("good", run) == "before"
        with pytest.raises(DecodeError, match="session 'run-1', step 'bad'"):
            await runtime.step("bad", run)
        assert await runtime.step("also good", run) == "after"


async def test_an_agent_stops_at_a_model_call_that_cannot_be_read(url: str, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    async with RUNTIMES["their runtime"](url) as runtime:
        await make_agent(runtime, ledger).run(PROMPT, session_id="s")
    rows_in(url).run("UPDATE journal_steps SET value = ? WHERE step_name = 'model_call_2'", [(b"no pickle",)])
    async with RUNTIMES["our store by URL"](url) as runtime:
        with pytest.raises(DecodeError, match="session 's', step 'model_call_2'"):
            await make_agent(runtime, ledger).resume("s", PROMPT)
    rows_in(url).run("DELETE FROM journal_steps WHERE step_name = ?", [("model_call_2",)])
    async with RUNTIMES["our store by URL"](url) as runtime:
        assert (await make_agent(runtime, ledger).resume("s", PROMPT)).output == ANSWER
    assert ledger.lines() == sorted([*WHOLE_RUN, "model turn 2"])


@pytest.mark.parametrize("key", [LONG, "é" * 501, "x" * 2_000, ""])
async def test_a_stored_key_that_we_refuse_is_listed_and_not_read(key: str, url: str) -> None:
    async with their_store(url) as yours:
        await yours.put_step("s", key, "theirs")
        await yours.put_step("s", "short", "theirs")
    async with our_store(url) as mine:
        assert {name: entry.value for name, entry in (await mine.get_steps("s")).items()} == {
            key: "theirs",
            "short": "theirs",
        }
        with pytest.raises(InvalidKeyError):
            await mine.get_step("s", key)
        with pytest.raises(InvalidKeyError):
            await mine.put_step("s", key, "ours")


async def test_a_replay_passes_over_a_stored_key_that_we_refuse(url: str) -> None:
    async with their_store(url) as yours:
        for name in ("first", LONG, "last"):
            await yours.put_step("s", name, name)

    async def run() -> str:
        return "ran"

    async with our_store(url) as mine:
        runtime = JournaledRuntime(mine)
        async with runtime.session("s"):
            assert [await runtime.step(name, run) for name in ("first", "last", "new")] == ["first", "last", "ran"]
            with pytest.raises(InvalidKeyError):
                await runtime.step(LONG, run)


async def test_such_a_key_never_comes_into_the_memory_store() -> None:
    store = InMemoryJournalStore()
    with pytest.raises(InvalidKeyError):
        await store.put_step("s", LONG, 1)
    assert store.step_keys() == []
