"""An agent of JeevesAgent's own whose model and tools note in a file, which outlives the process, that they ran."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from jeevesagent import Agent
from jeevesagent.core.types import Message, ModelChunk, Role, ToolCall
from jeevesagent.model import ScriptedModel, ScriptedTurn

PROMPT: Final = "What is the weather?"
ANSWER: Final = "Take an umbrella."

_SCRIPT: Final = (
    ScriptedTurn(
        text="Looking.",
        tool_calls=[
            ToolCall(id="1", tool="weather", args={"city": "Bath"}),
            ToolCall(id="2", tool="weather", args={"city": "Ely"}),
        ],
    ),
    ScriptedTurn(text="Booking.", tool_calls=[ToolCall(id="3", tool="book", args={"cents": 1999})]),
    ScriptedTurn(text=ANSWER),
)

BEFORE_THE_LAST_TURN: Final = ["book 1999", "model turn 1", "model turn 2", "weather Bath", "weather Ely"]
WHOLE_RUN: Final = [*BEFORE_THE_LAST_TURN[:3], "model turn 3", *BEFORE_THE_LAST_TURN[3:]]


class Ledger:
    """A file with a line for each side effect that really happened."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> list[str]:
        """Return what happened, in alphabetical order: tools of one turn run side by side."""
        return sorted(self._path.read_text().splitlines()) if self._path.exists() else []


class Model(ScriptedModel):
    """A scripted model that, like a real one, answers to the conversation and not to how often it was called."""

    def __init__(self, ledger: Ledger, before_last_turn: Callable[[], None]) -> None:
        super().__init__([])
        self._ledger = ledger
        self._before_last_turn = before_last_turn

    async def complete(self, messages: list[Message], **kwargs: Any) -> Any:
        return await self._turn_for(messages).complete(messages, **kwargs)

    async def stream(self, messages: list[Message], **kwargs: Any) -> AsyncIterator[ModelChunk]:
        async for chunk in self._turn_for(messages).stream(messages, **kwargs):
            yield chunk

    def _turn_for(self, messages: list[Message]) -> ScriptedModel:
        turn = sum(message.role is Role.ASSISTANT for message in messages)
        if turn == len(_SCRIPT) - 1:
            self._before_last_turn()
        self._ledger.note(f"model turn {turn + 1}")
        return ScriptedModel([_SCRIPT[turn]])


def make_agent(runtime: Any, ledger: Ledger, before_last_turn: Callable[[], None] = lambda: None) -> Agent:
    """Return an agent whose run is three calls of the model and three of tools.

    Args:
        runtime: JeevesAgent's or ours.
        ledger: Where side effects are noted.
        before_last_turn: Interrupts the run after two calls of the model and all three of tools.
    """

    async def weather(city: str) -> str:
        """Look up the weather."""
        ledger.note(f"weather {city}")
        return f"rain in {city}"

    async def book(cents: int) -> dict[str, int]:
        """Book something."""
        ledger.note(f"book {cents}")
        return {"paid": cents}

    model = Model(ledger, before_last_turn)
    return Agent("Be brief.", model=model, tools=[weather, book], runtime=runtime)


async def streamed(agent: Agent, session_id: str) -> str:
    """Return the answer of a run that is read as a stream of events."""
    events = [event async for event in agent.stream(PROMPT, session_id=session_id)]
    assert events[-1].kind == "completed", events[-1]
    return events[-1].payload["result"]["output"]
