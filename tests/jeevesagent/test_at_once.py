"""A rolling deploy: processes of both packages write to one database at the same time, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from jeevesagent.runtime import JournaledRuntime

from tests.jeevesagent.agents import ANSWER, PROMPT, WHOLE_RUN, Ledger, make_agent
from tests.jeevesagent.runtimes import our_store, their_store
from tests.migrations.databases import is_sqlite
from tests.stores.processes import run_together

ROUNDS = 40

WORK = """
import asyncio, sys
from tests.jeevesagent.runtimes import our_store, their_store
opened, url, number, rounds = {"ours": our_store, "theirs": their_store}[sys.argv[1]], *sys.argv[2:]

async def main():
    async with opened(url) as store:
        for i in range(int(rounds)):
            await store.put_step(f"s{number}", f"own {i}", [number, i])
            await store.put_step("shared", f"step {i}", [number, i])
            await store.put_stream("shared", f"stream {i}", [number, i])
            assert (await store.get_step(f"s{number}", f"own {i}")).value == [number, i]
            assert (await store.get_step("shared", f"step {i}")).value[1] == i
            assert (await store.get_stream("shared", f"stream {i}"))[1] == i

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main())
print("done")
"""


OPEN = {"theirs": their_store, "ours": our_store}


async def put_before(first: str, url: str) -> None:
    async with OPEN[first](url) as store:
        await store.put_step("before", "step", "kept")


@pytest.mark.parametrize("first", OPEN)
def test_nothing_is_lost_when_six_processes_of_both_write_at_once(first: str, url: str) -> None:
    asyncio.run(put_before(first, url))
    writers = [("ours" if number % 2 else "theirs", url, number, ROUNDS) for number in range(6)]
    assert run_together(WORK, writers) == ["done"] * 6

    async def read() -> None:
        async with our_store(url) as mine, their_store(url) as yours:
            for store in (mine, yours):
                for _, _, number, _ in writers:
                    for i in range(ROUNDS):
                        entry = await store.get_step(f"s{number}", f"own {i}")
                        assert entry is not None and entry.value == [str(number), i]
                for i in range(ROUNDS):
                    assert (await store.get_step("shared", f"step {i}")).value[1] == i
                    assert (await store.get_stream("shared", f"stream {i}"))[1] == i
                assert (await store.get_step("before", "step")).value == "kept"

    asyncio.run(read())


AGENTS = """
import asyncio, json, sys
from pathlib import Path
from tests.jeevesagent.agents import PROMPT, Ledger, make_agent
from tests.jeevesagent.runtimes import RUNTIMES
kind, url, number, folder = sys.argv[1:]

async def main():
    async with RUNTIMES[kind](url) as runtime:
        runs = [
            make_agent(runtime, Ledger(Path(folder, f"{number}-{i}"))).run(PROMPT, session_id=f"{number}-{i}")
            for i in range(4)
        ]
        return [result.output for result in await asyncio.gather(*runs)]

print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(asyncio.run(main())))
"""


def test_agents_on_both_packages_share_a_database(url: str, tmp_path: Path) -> None:
    # On SQLite all of them may be the first. On Postgres, JeevesAgent's own DDL fails if several run it at once.
    if not is_sqlite(url):
        asyncio.run(put_before("theirs", url))
    kinds = ["their runtime", "our named runtime", "their runtime", "our store by URL"]
    printed = run_together(AGENTS, [(kind, url, number, tmp_path) for number, kind in enumerate(kinds)])
    assert [json.loads(line) for line in printed] == [[ANSWER] * 4] * len(kinds)

    async def replay() -> None:
        async with our_store(url) as mine, their_store(url) as yours:
            for store in (mine, yours):
                for number in range(len(kinds)):
                    for i in range(4):
                        ledger = Ledger(tmp_path / f"{number}-{i}")
                        agent = make_agent(JournaledRuntime(store), ledger)
                        assert (await agent.resume(f"{number}-{i}", PROMPT)).output == ANSWER
                        assert ledger.lines() == WHOLE_RUN

    asyncio.run(replay())


def test_our_first_use_of_postgres_succeeds_while_jeevesagent_makes_its_tables(postgres_url: str) -> None:
    async def open_theirs() -> None:
        async with their_store(postgres_url):
            pass

    async def open_ours() -> None:
        async with our_store(postgres_url) as store:
            await store.put_step("s", "step", 1)

    async def both() -> list[object]:
        opening = [open_theirs(), *(open_ours() for _ in range(4)), open_theirs()]
        return await asyncio.gather(*opening, return_exceptions=True)

    # Theirs may lose to ours, or to each other.
    assert asyncio.run(both())[1:5] == [None] * 4
