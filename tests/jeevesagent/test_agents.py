"""JeevesAgent's own Agent on our runtimes and stores: interrupted, resumed, and nothing done twice."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from typing import Any

import jeevesagent.runtime as theirs
import pytest
from jeevesagent import Agent
from jeevesagent.core.types import ToolCall
from jeevesagent.model import ScriptedModel, ScriptedTurn

import jeeves_journal as ours
from jeeves_journal import InMemoryJournalStore, JournaledRuntime
from tests.jeevesagent.agents import (
    ANSWER,
    BEFORE_THE_LAST_TURN,
    PROMPT,
    WHOLE_RUN,
    Ledger,
    make_agent,
    streamed,
)
from tests.jeevesagent.runtimes import EVERY_WAY, RUNTIMES
from tests.stores.processes import run_python

RUN = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.jeevesagent.agents import PROMPT, Ledger, make_agent, streamed
from tests.jeevesagent.runtimes import RUNTIMES

kind, url, ledger, way = sys.argv[1:]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with RUNTIMES[kind](url) as runtime:
        agent = make_agent(runtime, Ledger(Path(ledger)), kill)
        if way == "streamed":
            await streamed(agent, "s")
        else:
            await agent.run(PROMPT, session_id="s")

asyncio.run(main())
"""


class InterruptedRunError(Exception):
    """Stands for whatever ends a run in the middle."""


def interrupt() -> None:
    raise InterruptedRunError


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.mark.parametrize(("database", "kind"), EVERY_WAY)
@pytest.mark.parametrize("way", ["run", "streamed"])
def test_a_killed_agent_is_resumed_in_another_process(
    database: str, kind: str, way: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url, path = request.getfixturevalue(f"{database}_url"), tmp_path / "ledger"
    killed = run_python(RUN, kind, url, path, way)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert Ledger(path).lines() == BEFORE_THE_LAST_TURN

    async def resume() -> str:
        async with RUNTIMES[kind](url) as runtime:
            agent = make_agent(runtime, Ledger(path))
            return await streamed(agent, "s") if way == "streamed" else (await agent.resume("s", PROMPT)).output

    assert asyncio.run(resume()) == ANSWER
    assert Ledger(path).lines() == WHOLE_RUN


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_an_interrupted_agent_is_resumed_from_memory(ledger: Ledger) -> None:
    store = InMemoryJournalStore()
    with pytest.raises(InterruptedRunError):
        await make_agent(JournaledRuntime(store), ledger, interrupt).run(PROMPT, session_id="s")
    assert ledger.lines() == BEFORE_THE_LAST_TURN
    result = await make_agent(JournaledRuntime(store), ledger).resume("s", PROMPT)
    assert (result.output, result.turns) == (ANSWER, 3)
    assert ledger.lines() == WHOLE_RUN


@pytest.mark.anyio
async def test_a_run_that_is_done_is_replayed_whole(ledger: Ledger) -> None:
    runtime = JournaledRuntime()
    first = await make_agent(runtime, ledger).run(PROMPT, session_id="s")
    again = await make_agent(runtime, ledger).resume("s", PROMPT)
    assert again.output == first.output == ANSWER
    assert ledger.lines() == WHOLE_RUN


@pytest.mark.anyio
async def test_another_session_runs_afresh(ledger: Ledger) -> None:
    runtime = JournaledRuntime()
    for session_id in ("s", "t"):
        await make_agent(runtime, ledger).run(PROMPT, session_id=session_id)
    assert ledger.lines() == sorted(2 * WHOLE_RUN)


@pytest.mark.anyio
async def test_what_is_recorded_has_the_names_that_jeevesagent_gives(ledger: Ledger) -> None:
    store = InMemoryJournalStore()
    await make_agent(JournaledRuntime(store), ledger).run(PROMPT, session_id="s")
    assert sorted(await store.get_steps("s")) == [
        "model_call_1",
        "model_call_2",
        "model_call_3",
        "persist_episode_3",
        "tool_call_1_0",
        "tool_call_1_1",
        "tool_call_2_0",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("package", [theirs, ours])
async def test_a_tools_result_that_cannot_be_recorded_reaches_the_model_as_an_error(
    package: Any, tmp_path: Path
) -> None:
    async def lock() -> object:
        """Return what no journal on disk can keep."""
        return threading.Lock()

    runtime = package.SqliteRuntime(tmp_path / "journal.db")
    turns = [ScriptedTurn(tool_calls=[ToolCall(id="1", tool="lock", args={})]), ScriptedTurn(text=ANSWER)]
    agent = Agent("Be brief.", model=ScriptedModel(turns), tools=[lock], runtime=runtime)
    results = [event.payload["result"] async for event in agent.stream(PROMPT) if event.kind == "tool_result"]
    assert [result["ok"] for result in results] == [False]
    if package is ours:
        assert "cannot be encoded" in results[0]["error"]
        await runtime.aclose()
