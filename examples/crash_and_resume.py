"""Kill a run in the middle, start it again, and see that nothing is done twice.

    python examples/crash_and_resume.py
    python examples/crash_and_resume.py --journal journal.db
    python examples/crash_and_resume.py --url postgresql://user:password@localhost/database

The run is an order with five steps. Each has a side effect that can be counted: it appends a line to a ledger file. The
first process is killed with SIGKILL after its third step; the second is told nothing of that and runs the whole order
again. The journal answers for the three steps that were done, and only the other two are executed.
"""

import argparse
import asyncio
import multiprocessing
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jeeves_journal import JournaledRuntime, JournalError, JournalStore

STEPS = ["reserve stock", "charge card", "write letter", "print label", "send mail"]


class Shop:
    """Does the work. Nothing in here knows of the journal."""

    def __init__(self, ledger: Path) -> None:
        """Take the file that side effects go to."""
        self.ledger = ledger
        self.executed: set[str] = set()

    def side_effect(self, step: str) -> None:
        """Append a line to the ledger, and return once it is on the disk."""
        with self.ledger.open("a") as file:
            file.write(f"{step}\n")
            file.flush()
            os.fsync(file.fileno())
        self.executed.add(step)

    async def do(self, step: str) -> str:
        """Do a step, and return a receipt that no second execution would return again."""
        self.side_effect(step)
        return f"receipt {secrets.token_hex(3)}"

    async def write_letter(self) -> AsyncIterator[str]:
        """Write a letter as a language model does, in chunks."""
        self.side_effect("write letter")
        for chunk in ("Dear customer, ", "your order ", "is on ", "its way."):
            yield chunk


async def run_order(url: str, session_id: str, ledger: Path, killed_after: str | None) -> None:
    """Run an order to its end, or be killed on the way."""
    shop = Shop(ledger)
    store = JournalStore.from_url(url)
    await store.init_schema()  # a deploy would have run `jeeves-journal db upgrade`
    async with JournaledRuntime(store) as runtime, runtime.session(session_id):
        for step in STEPS:
            if step == "write letter":
                result = "".join([chunk async for chunk in runtime.stream_step(step, shop.write_letter)])
            else:
                result = await runtime.step(step, shop.do, step)
            print(f"  {'executed' if step in shop.executed else 'replayed'}  {step:14}  {result}", flush=True)
            if step == killed_after:
                os.kill(os.getpid(), signal.SIGKILL)


def start(*order: Any) -> None:
    """Be the process that runs an order."""
    try:
        asyncio.run(run_order(*order))
    except JournalError as error:
        sys.exit(f"  {error}")


def run_process(*order: Any) -> int | None:
    """Run an order in a process of its own; return its exit code, which is -9 if SIGKILL ended it."""
    process = multiprocessing.get_context("spawn").Process(target=start, args=order)
    process.start()
    process.join()
    return process.exitcode


def main() -> int:
    """Kill, resume, compare; return the exit code."""
    parser = argparse.ArgumentParser(description="Kill a run in the middle and resume it.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--journal", metavar="FILE", type=Path, help="a SQLite file")
    where.add_argument("--url", help="any URL that JournalStore.from_url takes, for example of a Postgres")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        journal = arguments.journal or Path(folder, "journal.db")
        url = arguments.url or f"sqlite:///{quote(str(journal.absolute()))}"
        ledger = Path(folder, "ledger.txt")
        # A new session each time, so that the demonstration can be repeated on the same journal.
        session_id = f"order-{secrets.token_hex(4)}"

        print(f"{session_id} starts, to be killed after {STEPS[2]!r}", flush=True)
        exit_code = run_process(url, session_id, ledger, STEPS[2])
        if exit_code != -signal.SIGKILL:
            print(f"FAILED: the process was not killed but ended with exit code {exit_code}")
            return 1
        print(f"killed; {session_id} starts again in a new process", flush=True)
        exit_code = run_process(url, session_id, ledger, None)
        if exit_code != 0:
            print(f"FAILED: the resumed process ended with exit code {exit_code}")
            return 1
        done = ledger.read_text().splitlines()

    print(f"the ledger holds: {', '.join(done)}")
    if done != STEPS:
        print("FAILED: it should hold every step once")
        return 1
    print("OK: every side effect happened exactly once")
    return 0


if __name__ == "__main__":
    sys.exit(main())
