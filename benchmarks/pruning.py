"""What pruning costs: ``python -m benchmarks.pruning [--quick]``.

The same sessions are pruned from a small journal and from one that keeps ten times as much, and once more from each
while another process puts.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, cast

from jeeves_journal import JournalStore
from tests.servers.postgres import PostgresServer, fresh_database
from tests.stores.rows import PostgresRows, Rows, SqliteRows

_LOGGER: Final = logging.getLogger("jeeves_journal")
_CHECKOUT: Final = Path(__file__).parents[1]
_SERVER: Final = {"shared_buffers": "128MB"}
_WEEK: Final = timedelta(days=7)
_DAY: Final = 86_400.0
_STEPS: Final = 20
_AT_ONCE: Final = 20_000
_FACTOR: Final = 10
_INSERT: Final = "INSERT INTO journal_steps (session_id, step_name, value, created_at) VALUES (?, ?, ?, ?)"


class _Transactions(logging.Handler):
    """Notes what the store says of its transactions, in seconds."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seconds: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and record.msg.startswith("%s: deleted"):
            self.seconds.append(cast("float", record.args[2]))


class Measured(NamedTuple):
    """What one pruning took, in seconds.

    Attributes:
        seconds: All of it.
        transactions: Each of its transactions, from the moment at which it may hold locks.
        longest_put: The longest put of another process meanwhile.
    """

    seconds: float
    transactions: list[float]
    longest_put: float


async def main() -> None:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(prog="benchmarks.pruning", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only to see that it works")
    parser.add_argument("--put", metavar="URL", help="put until the input ends, and print the longest put's seconds")
    arguments = parser.parse_args()
    if arguments.put:
        await _put(arguments.put)
        return
    _LOGGER.setLevel(logging.DEBUG)
    _LOGGER.propagate = False
    pruned, kept, rounds = (2_000, 2_000, 1) if arguments.quick else (20_000, 30_000, 3)
    with PostgresServer(_SERVER) as server, tempfile.TemporaryDirectory(dir=_CHECKOUT, prefix=".bench-") as name:
        fresh: dict[str, Callable[[], AbstractContextManager[Rows]]] = {
            "SQLite": partial(_fresh_file, Path(name)),
            "Postgres": partial(_fresh_database, server),
        }
        for database, fresh_rows in fresh.items():
            await _compare(database, fresh_rows, pruned, kept, rounds)


async def _compare(
    database: str, fresh_rows: Callable[[], AbstractContextManager[Rows]], pruned: int, kept: int, rounds: int
) -> None:
    factors = (1, _FACTOR)
    quiet: dict[int, float] = {}
    measured: dict[int, list[Measured]] = {factor: [] for factor in factors}
    with ExitStack() as stack:
        journals = {factor: stack.enter_context(fresh_rows()) for factor in factors}
        for factor, rows in journals.items():
            async with JournalStore.from_url(rows.url) as store:
                await store.init_schema()
            _fill(rows, "kept", kept * factor, 1)
            quiet[factor] = await _quiet(rows)
        # In turn, since the machine may have other things to do.
        for number in range(rounds):
            for factor, rows in journals.items():
                measured[factor].append(await _prune(rows, pruned, f"{number}"))
        beside = {factor: await _prune(rows, pruned, "beside", putting=True) for factor, rows in journals.items()}
    quickest = {factor: min(each.seconds for each in measured[factor]) for factor in factors}
    for factor in factors:
        transactions = [each for one in (*measured[factor], beside[factor]) for each in one.transactions]
        print(
            f"{database}: {pruned:,} of {pruned + kept * factor:,} records pruned in {quickest[factor]:.2f} s; "
            f"transactions {median(transactions) * 1000:.0f} ms, the longest {max(transactions) * 1000:.0f} ms; "
            f"the longest put meanwhile {beside[factor].longest_put * 1000:.0f} ms, "
            f"without {quiet[factor] * 1000:.0f} ms"
        )
    print(f"{database}: with {_FACTOR} times as much kept it takes {quickest[_FACTOR] / quickest[1]:.2f} times as long")


async def _prune(rows: Rows, pruned: int, name: str, *, putting: bool = False) -> Measured:
    _fill(rows, f"old-{name}", pruned, 30)
    rows.run("ANALYZE", [()])
    transactions = _Transactions()
    _LOGGER.addHandler(transactions)
    async with JournalStore.from_url(rows.url) as store:
        await store.get_step("warm", "up")
        with _putting(rows.url) if putting else nullcontext(lambda: 0.0) as finish:
            started = time.perf_counter()
            done = await store.prune(_WEEK)
            seconds = time.perf_counter() - started
            longest_put = finish()
    if done.records != pruned:
        raise AssertionError(f"{done} was pruned")
    _LOGGER.removeHandler(transactions)
    return Measured(seconds, transactions.seconds, longest_put)


async def _quiet(rows: Rows) -> float:
    with _putting(rows.url) as finish:
        await asyncio.sleep(2)
        return finish()


def _fill(rows: Rows, prefix: str, records: int, days: float) -> None:
    """Record steps of 1 KB in sessions of 20 that are so many days old."""
    value, at = os.urandom(1024), time.time() - days * _DAY
    for first in range(0, records, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, records))
        rows.run(_INSERT, [(f"{prefix}-{n // _STEPS}", f"step-{n % _STEPS}", value, at + n * 1e-6) for n in numbers])


@contextmanager
def _putting(url: str) -> Iterator[Callable[[], float]]:
    """Let another process put, until the function is called that returns the longest put's seconds."""
    command = [sys.executable, "-m", "benchmarks.pruning", "--put", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_CHECKOUT) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise AssertionError("the process that puts did not start")
        yield lambda: float(process.communicate()[0])


async def _put(url: str) -> None:
    reading = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    longest = 0.0
    async with JournalStore.from_url(url) as store:
        await store.put_step("putting", "first", b"")
        print("ready", flush=True)
        for number in count():
            started = time.perf_counter()
            await store.put_step("putting", f"{number}", b"")
            longest = max(longest, time.perf_counter() - started)
            if reading.done():
                break
    print(longest)


@contextmanager
def _fresh_file(folder: Path) -> Iterator[Rows]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield SqliteRows(Path(name) / "journal.db")


@contextmanager
def _fresh_database(server: Any) -> Iterator[Rows]:
    with fresh_database(server) as url:
        yield PostgresRows(url)


if __name__ == "__main__":
    asyncio.run(main())
