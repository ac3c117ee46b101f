"""Kill an agent of JeevesAgent's in the middle, resume it, and see that no call is made twice.

    pip install jeeves-journal jeevesagent==0.9.7
    python examples/jeevesagent_agent.py
    python examples/jeevesagent_agent.py --url postgresql://user:password@localhost/database

The agent plans a trip in three turns: each is a call of its model, and the first two call a tool. The model is
scripted, so no API key is needed. Each call appends a line to a ledger file. The first process is killed with SIGKILL
when the third turn begins; the second resumes the session, and the journal answers for what the first has done.
"""

import argparse
import asyncio
import multiprocessing
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jeeves_journal import JournaledRuntime, JournalError, JournalStore

try:
    from jeevesagent import Agent
    from jeevesagent.core.types import Message, Role, ToolCall
    from jeevesagent.model import ScriptedModel, ScriptedTurn
except ImportError:
    sys.exit("this example needs JeevesAgent: pip install jeevesagent==0.9.7")

PROMPT = "Plan a trip to Bath."
SCRIPT = [
    ScriptedTurn(text="First a train.", tool_calls=[ToolCall(tool="book_train", args={"city": "Bath"})]),
    ScriptedTurn(text="Then a room.", tool_calls=[ToolCall(tool="book_room", args={"city": "Bath"})]),
    ScriptedTurn(text="Your train and your room are booked."),
]
CALLS = ["model, turn 1", "book_train", "model, turn 2", "book_room", "model, turn 3"]


class Trip:
    """A scripted model and two tools, whose every call is a line in a ledger."""

    def __init__(self, ledger: Path, *, is_killed: bool) -> None:
        """Take the file for the calls, and whether the process is killed when the last turn begins."""
        self.ledger = ledger
        self.is_killed = is_killed

    def executed(self, call: str) -> None:
        """Append a line to the ledger, and return once it is on the disk."""
        with self.ledger.open("a") as file:
            file.write(f"{call}\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"  executed  {call}", flush=True)

    async def book_train(self, city: str) -> str:
        """Book a train."""
        self.executed("book_train")
        return f"train to {city}, ticket {secrets.token_hex(3)}"

    async def book_room(self, city: str) -> str:
        """Book a room."""
        self.executed("book_room")
        return f"room in {city}, booking {secrets.token_hex(3)}"


class Model(ScriptedModel):
    """Answers to the conversation so far, as a language model does."""

    def __init__(self, trip: Trip) -> None:
        """Answer for a trip."""
        super().__init__(SCRIPT)
        self.trip = trip

    async def complete(self, messages: list[Message], **options: Any) -> Any:
        """Take the turn that the conversation has come to."""
        turn = sum(message.role is Role.ASSISTANT for message in messages)
        if self.trip.is_killed and turn == len(SCRIPT) - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self.trip.executed(f"model, turn {turn + 1}")
        return await ScriptedModel([SCRIPT[turn]]).complete(messages, **options)


async def run_agent(url: str, session_id: str, trip: Trip) -> None:
    """Run the agent to its end, or be killed on the way."""
    store = JournalStore.from_url(url)
    await store.init_schema()  # a deploy would have run `jeeves-journal db upgrade`
    async with JournaledRuntime(store) as runtime:
        recorded = await store.get_steps(session_id)
        print(f"  {len(recorded)} steps are in the journal{': ' if recorded else ''}{', '.join(recorded)}", flush=True)
        agent = Agent("Be brief.", model=Model(trip), tools=[trip.book_train, trip.book_room], runtime=runtime)
        result = await agent.resume(session_id, PROMPT)  # of a session that is not recorded, this is its first run
        print(f"  the answer: {result.output}", flush=True)


def start(*run: Any) -> None:
    """Be the process that runs the agent."""
    try:
        asyncio.run(run_agent(*run))
    except JournalError as error:
        sys.exit(f"  {error}")


def run_process(*run: Any) -> int | None:
    """Run the agent in a process of its own; return its exit code, which is -9 if SIGKILL ended it."""
    process = multiprocessing.get_context("spawn").Process(target=start, args=run)
    process.start()
    process.join()
    return process.exitcode


def main() -> int:
    """Kill, resume, compare; return the exit code."""
    parser = argparse.ArgumentParser(description="Kill an agent in the middle and resume it.")
    parser.add_argument("--url", help="any URL that JournalStore.from_url takes and that outlives a process")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{quote(str(Path(folder, 'journal.db')))}"
        ledger = Path(folder, "ledger.txt")
        # A new session each time, so that the demonstration can be repeated on the same journal.
        session_id = f"trip-{secrets.token_hex(4)}"

        print(f"{session_id} starts, to be killed when turn {len(SCRIPT)} begins", flush=True)
        exit_code = run_process(url, session_id, Trip(ledger, is_killed=True))
        if exit_code != -signal.SIGKILL:
            print(f"FAILED: the process was not killed but ended with exit code {exit_code}")
            return 1
        before = ledger.read_text().splitlines()
        print(f"killed; {session_id} is resumed in a new process", flush=True)
        exit_code = run_process(url, session_id, Trip(ledger, is_killed=False))
        if exit_code != 0:
            print(f"FAILED: the resumed process ended with exit code {exit_code}")
            return 1
        done = ledger.read_text().splitlines()

    print(f"replayed: {', '.join(call for call in before if done.count(call) == 1)}")
    print(f"executed after the kill: {', '.join(done[len(before) :])}")
    if done != CALLS:
        print(f"FAILED: each call should have been executed once, and were: {', '.join(done)}")
        return 1
    print("OK: every call of the model and of a tool was executed exactly once")
    return 0


if __name__ == "__main__":
    sys.exit(main())
