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
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from jeeves_journal import JournalStore
from tests.faults.figures import Figures
from tests.servers.postgres import execute
from tests.stores.engines import url_of
from tests.stores.servers import backends

WORKERS = 8
MEAN_TURNS = 30
"""Of the event loop, before a call is cancelled; about as many as one takes."""
MEAN_SECONDS = 0.01
SIZES = [10, 10, 200, 200, 5_000, 5_000, 100_000, 1_500_000]
"""Of values, in bytes: the last travel alone."""

Work = Callable[[], Awaitable[Any]]


@pytest.fixture(params=["file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


# -- ways to be cancelled: each makes a call, and returns whether it was cancelled


async def by_task(work: Work, chance: random.Random) -> bool:
    task = asyncio.ensure_future(_awaited(work))
    for _ in range(some_turns(chance)):
        await asyncio.sleep(0)
    # Whoever cancels may do so again before the first has taken effect.
    for _ in range(chance.choice([1, 1, 3])):
        task.cancel()
    await asyncio.wait([task])
    return _is_cancelled(task)


async def by_timeout(work: Work, chance: random.Random) -> bool:
    try:
        async with asyncio.timeout(chance.expovariate(1 / MEAN_SECONDS)):
            await work()
    except TimeoutError:
        return True
    return False


async def by_scope(work: Work, chance: random.Random) -> bool:
    with anyio.move_on_after(chance.expovariate(1 / MEAN_SECONDS)) as scope:
        await work()
    return scope.cancelled_caught


async def by_level(work: Work, chance: random.Random) -> bool:
    """In a group that is cancelled: every await in it is cancelled again, turn after turn."""
    was_cancelled = False

    async def run() -> None:
        nonlocal was_cancelled
        try:
            await work()
        except asyncio.CancelledError:
            was_cancelled = True
            # As a cleanup that goes on using the store does; it is cancelled, too.
            await work()
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(some_turns(chance)):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return was_cancelled


async def before_it_starts(work: Work, chance: random.Random) -> bool:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await work()
    return scope.cancelled_caught


async def undisturbed(work: Work, chance: random.Random) -> bool:
    await work()
    return False


WAYS = [undisturbed, by_task, by_timeout, by_scope, by_level, before_it_starts]


def some_turns(chance: random.Random) -> int:
    return int(chance.expovariate(1 / MEAN_TURNS))


async def _awaited(work: Work) -> None:
    await work()


def _is_cancelled(task: asyncio.Task[None]) -> bool:
    if task.cancelled():
        return True
    error = task.exception()
    if error is not None:
        raise error
    return False


# -- what is put, and what may be found


class Record:
    """One key, which one worker uses: what was put under it, in order."""

    def __init__(self, worker: int, chance: random.Random) -> None:
        self.name = f"{worker}-{chance.randrange(4)}"
        self.issued = 0
        self.acknowledged = 0

    def next_value(self, chance: random.Random) -> list[Any]:
        self.issued += 1
        return [self.name, self.issued, chance.randbytes(8) * (chance.choice(SIZES) // 8)]

    def check(self, value: Any, at_least: int) -> None:
        """See that a value is whole, was put here, and is no older than what was acknowledged."""
        if value is None:
            assert at_least == 0, f"{self.name}: {at_least} was acknowledged and is lost"
            return
        name, number, data = value
        assert name == self.name
        assert at_least <= number <= self.issued, f"{self.name}: {number} is there, {at_least} was acknowledged"
        assert data == data[:8] * (len(data) // 8)


class Workload:
    """Workers that call one store and are cancelled, until so many calls were."""

    def __init__(self, url: str, seed: str, wanted: int, figures: Figures) -> None:
        self.url = url
        self.seed = seed
        self.wanted = wanted
        self.figures = figures
        self.cancelled = Counter[str]()
        self.records = {"step": dict[str, Record](), "stream": dict[str, Record]()}
        self.steady = 0
        self.store = JournalStore.from_url(url)

    async def run(self) -> None:
        steady = asyncio.ensure_future(self._put_steadily())
        await asyncio.gather(*(self._work(worker) for worker in range(WORKERS)))
        await steady

    async def _put_steadily(self) -> None:
        """Put in the company of those that are cancelled, never cancelled itself."""
        while self.cancelled.total() < self.wanted:
            with self.figures.timing():
                await self.store.put_step("steady", f"{self.steady}", self.steady)
            self.steady += 1
            self.figures.acknowledged += 1

    async def _work(self, worker: int) -> None:
        chance = random.Random(f"{self.seed}-{worker}")
        calls = [self._put, self._get, self._get_steps, self._put, self._get, self._open, self._aclose]
        while self.cancelled.total() < self.wanted:
            call, way = chance.choice(calls), chance.choice(WAYS)
            await call(worker, way, chance)

    def _record(self, worker: int, chance: random.Random) -> tuple[str, Record]:
        kind = chance.choice(["step", "stream"])
        record = Record(worker, chance)
        return kind, self.records[kind].setdefault(record.name, record)

    async def _put(self, worker: int, way: Any, chance: random.Random) -> None:
        kind, record = self._record(worker, chance)
        put = self.store.put_step if kind == "step" else self.store.put_stream

        async def work() -> None:
            value = record.next_value(chance)
            number = record.issued
            await put("s", record.name, value)
            record.acknowledged = number
            self.figures.acknowledged += 1

        with self.figures.timing():
            self._count(f"put_{kind}", await way(work, chance))

    async def _get(self, worker: int, way: Any, chance: random.Random) -> None:
        kind, record = self._record(worker, chance)

        async def work() -> None:
            at_least = record.acknowledged
            if kind == "step":
                entry = await self.store.get_step("s", record.name)
                record.check(None if entry is None else entry.value, at_least)
            else:
                record.check(await self.store.get_stream("s", record.name), at_least)

        with self.figures.timing():
            self._count(f"get_{kind}", await way(work, chance))

    async def _get_steps(self, worker: int, way: Any, chance: random.Random) -> None:
        async def work() -> None:
            at_least = {name: record.acknowledged for name, record in self.records["step"].items()}
            found = await self.store.get_steps("s")
            for name, number in at_least.items():
                self.records["step"][name].check(found[name].value if name in found else None, number)

        with self.figures.timing():
            self._count("get_steps", await way(work, chance))

    async def _open(self, worker: int, way: Any, chance: random.Random) -> None:
        """The first call of a store is cancelled; the next one is not."""
        async with JournalStore.from_url(self.url) as store:
            calls = [lambda: store.get_step("other", "n"), store.init_schema, lambda: store.put_step("other", "n", 1)]
            self._count("open", await way(chance.choice(calls), chance))
            with self.figures.timing():
                await store.put_step("other", f"{worker}", worker)
                entry = await store.get_step("other", f"{worker}")
            assert entry is not None
            assert entry.value == worker

    async def _aclose(self, worker: int, way: Any, chance: random.Random) -> None:
        """Closing is cancelled, with puts in flight; closing again ends it, and the puts are there."""
        store = JournalStore.from_url(self.url)
        names = [f"{worker}-{chance.random()}" for _ in range(3)]
        puts = [asyncio.ensure_future(store.put_step("closing", name, name)) for name in names]
        for _ in range(1 + some_turns(chance)):
            await asyncio.sleep(0)
        self._count("aclose", await way(store.aclose, chance))
        with self.figures.timing():
            await store.aclose()
        await asyncio.gather(*puts)
        found = [await self.store.get_step("closing", name) for name in names]
        assert [entry and entry.value for entry in found] == names

    def _count(self, call: str, cancelled: bool) -> None:
        if cancelled:
            self.cancelled[call] += 1
            self.figures.unknown += call.startswith("put")

    async def check_all(self) -> None:
        """See that the store goes on, and what it holds."""
        await asyncio.gather(*(self.store.put_step("after", f"{number}", number) for number in range(300)))
        assert len(await self.store.get_steps("after")) == 300
        steady = await self.store.get_steps("steady")
        assert {name: entry.value for name, entry in steady.items()} == {f"{put}": put for put in range(self.steady)}
        found = await self.store.get_steps("s")
        for name, record in self.records["step"].items():
            record.check(found[name].value if name in found else None, record.acknowledged)
        for name, record in self.records["stream"].items():
            record.check(await self.store.get_stream("s", name), record.acknowledged)


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
    calls = ["put_step", "put_stream", "get_step", "get_stream", "get_steps", "open", "aclose"]
    figures.others.update({f"{call} cancelled": work.cancelled[call] for call in calls})
    assert work.cancelled.total() >= wanted
    assert all(work.cancelled[call] for call in calls), f"seed {seed}: {work.cancelled}"
