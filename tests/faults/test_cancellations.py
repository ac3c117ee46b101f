"""Calls that are cancelled at random points, in each of the ways that asyncio and AnyIO have.

Nothing leaks, nothing is torn, nothing that was acknowledged is lost, and the store goes on.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import secrets
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from jeeves_journal import JournalStore
from tests.faults.cancelling import WAYS, Way, Work, some_turns
from tests.faults.figures import Figures
from tests.faults.ledger import KINDS, Ledger, Record
from tests.servers.postgres import execute
from tests.stores.engines import url_of
from tests.stores.servers import backends

WORKERS = 8
SIZES = (10, 10, 200, 200, 5_000, 5_000, 100_000, 1_500_000)
"""Of values, in bytes: the last travel alone."""


@pytest.fixture(params=["file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


class Workload:
    """Workers that call one store and are cancelled, until so many calls were."""

    def __init__(self, url: str, seed: str, wanted: int, figures: Figures) -> None:
        self.url = url
        self.seed = seed
        self.wanted = wanted
        self.cancelled = Counter[str]()
        self.store = JournalStore.from_url(url)
        self.figures = figures
        self.ledger = Ledger(figures, sizes=SIZES)
        # Of puts that nobody cancels.
        self.steady = Ledger(figures)

    async def run(self) -> None:
        steady = asyncio.ensure_future(self._put_steadily())
        await asyncio.gather(*(self._work(worker) for worker in range(WORKERS)))
        await steady

    async def _put_steadily(self) -> None:
        """Put in the company of those that are cancelled, never cancelled itself."""
        for number in count():
            await self.steady.put(self.store, Record("step", "steady", f"{number}"))
            if self.cancelled.total() >= self.wanted:
                return

    async def _work(self, worker: int) -> None:
        chance = random.Random(f"{self.seed}-{worker}")
        calls = [self._put, self._get, self._get_steps, self._put, self._get, self._open, self._aclose]
        while self.cancelled.total() < self.wanted:
            call, way = chance.choice(calls), chance.choice(WAYS)
            await call(worker, way, chance)

    def _record(self, worker: int, chance: random.Random) -> Record:
        """Return one that no other worker uses."""
        return Record(chance.choice(KINDS), "s", f"{worker}-{chance.randrange(4)}")

    async def _put(self, worker: int, way: Way, chance: random.Random) -> None:
        record = self._record(worker, chance)
        await self._make(f"put_{record.kind}", way, chance, lambda: self.ledger.put(self.store, record))

    async def _get(self, worker: int, way: Way, chance: random.Random) -> None:
        record = self._record(worker, chance)
        await self._make(f"get_{record.kind}", way, chance, lambda: self.ledger.get(self.store, record))

    async def _get_steps(self, worker: int, way: Way, chance: random.Random) -> None:
        await self._make("get_steps", way, chance, lambda: self.ledger.get_steps(self.store, "s"))

    async def _open(self, worker: int, way: Way, chance: random.Random) -> None:
        """The first call of a store is cancelled; the next one is not."""
        async with JournalStore.from_url(self.url) as store:
            calls = [lambda: store.get_step("opened", "n"), store.init_schema, lambda: store.put_step("opened", "n", 1)]
            await self._make("open", way, chance, chance.choice(calls))
            record = Record("step", "other", f"{worker}")
            await self.steady.put(store, record)
            await self.steady.get(store, record)

    async def _aclose(self, worker: int, way: Way, chance: random.Random) -> None:
        """Closing is cancelled, with puts in flight; closing again ends it, and the puts are there."""
        store = JournalStore.from_url(self.url)
        records = [Record("step", "closing", f"{worker}-{chance.random()}") for _ in range(3)]
        puts = [asyncio.ensure_future(self.steady.put(store, record)) for record in records]
        for _ in range(1 + some_turns(chance)):
            await asyncio.sleep(0)
        await self._make("aclose", way, chance, store.aclose)
        with self.figures.timing():
            await store.aclose()
        await asyncio.gather(*puts)
        for record in records:
            await self.steady.get(self.store, record)

    async def _make(self, name: str, way: Way, chance: random.Random, call: Work) -> None:
        with self.figures.timing():
            self.cancelled[name] += await way(call, chance)

    async def check_all(self) -> None:
        """See that the store goes on, and what it holds."""
        await asyncio.gather(
            *(self.steady.put(self.store, Record("step", "after", f"{number}")) for number in range(300))
        )
        for ledger in (self.steady, self.ledger):
            await ledger.compare(self.store)


@contextmanager
def nothing_is_left_over(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Fail if Python has anything to say of tasks, coroutines or resources, now or when the garbage is collected."""
    said: list[str] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda unraisable: said.append(repr(unraisable))
    try:
        with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.WARNING):
            warnings.simplefilter("always")
            yield said
            for _ in range(3):
                gc.collect()
    finally:
        sys.unraisablehook = hook
    said += [str(warning.message) for warning in warned]
    # Slow callbacks are no fault of anybody's.
    said += [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert not said


def open_files() -> list[str]:
    """Return what this process has open, but for the directory that is being read."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(descriptor.readlink()).rstrip("0123456789[]"))
        except OSError:
            continue
    return sorted(found)


def test_calls_that_are_cancelled_leave_nothing_behind(
    url: str, figures: Figures, long: bool, caplog: pytest.LogCaptureFixture
):
    seed = secrets.token_hex(4)
    figures.others["seed"] = seed
    wanted = 20_000 if long else 1_000
    work = Workload(url, seed, wanted, figures)

    async def main() -> None:
        await work.store.init_schema()
        await work.run()
        await work.check_all()
        if url.startswith("postgres"):
            # Nothing but what the store may keep, and nothing of it in the middle of something.
            query = "SELECT state FROM pg_stat_activity WHERE pid = ANY($1::int[])"
            states = [row["state"] for row in execute(url, query, backends(url))]
            assert len(states) <= 15, f"seed {seed}"
            assert set(states) <= {"idle"}, f"seed {seed}"
        await work.store.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"seed {seed}: {left}"

    gc.collect()
    files, threads = open_files(), threading.active_count()
    with nothing_is_left_over(caplog):
        asyncio.run(main())
    assert open_files() == files, f"seed {seed}"
    assert threading.active_count() == threads, f"seed {seed}"
    assert (figures.lost, figures.wrong) == (0, 0), f"seed {seed}"
    calls = ["put_step", "put_stream", "get_step", "get_stream", "get_steps", "open", "aclose"]
    figures.others.update({f"{call} cancelled": work.cancelled[call] for call in calls})
    assert work.cancelled.total() >= wanted
    assert all(work.cancelled[call] for call in calls), f"seed {seed}: {work.cancelled}"
