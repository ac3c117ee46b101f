"""A store where it does not belong: in a fork's child, in a second live event loop, after its end. Refused at once.

The in-memory store holds nothing that two processes or loops could quarrel over: there, a child has a copy of its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import JournalStore, SQLAlchemyJournalStore, StoreClosedError
from tests.faults.figures import Figures
from tests.stores.engines import url_of
from tests.stores.processes import printed_by

AT_ONCE = 0.1
"""Seconds in which a store must have refused, in the fastest of three tries: the machine may be busy."""

CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "get_step": lambda store: store.get_step("s", "n"),
    "put_step": lambda store: store.put_step("s", "n", 1),
    "get_stream": lambda store: store.get_stream("s", "n"),
    "put_stream": lambda store: store.put_stream("s", "n", [1]),
    "get_steps": lambda store: store.get_steps("s"),
    "init_schema": lambda store: store.init_schema(),
}


@pytest.fixture(params=["file", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


FORKS = """
    import asyncio, json, multiprocessing, os, sys, time, warnings
    from jeeves_journal import JournalStore, StoreClosedError
    from tests.faults.test_forks_and_loops import CALLS

    # Python 3.12 warns of any fork beside a thread, and aiosqlite has one.
    warnings.filterwarnings("ignore", "(?s).*fork", DeprecationWarning)
    ROUNDS = int(sys.argv[3])

    async def refused(store, pipe):
        slowest, count = 0.0, 0
        for call in CALLS.values():
            times = []
            for _ in range(3):
                started = time.perf_counter()
                try:
                    await call(store)
                except StoreClosedError as error:
                    assert "fork" in str(error), error
                    times.append(time.perf_counter() - started)
            slowest = max(slowest, min(times))
            count += len(times) == 3
        await store.aclose()
        pipe.send((count, slowest))

    def in_child(store, pipe):
        asyncio.run(refused(store, pipe))

    def fork(store, pipe):
        child = os.fork()
        if not child:
            try:
                in_child(store, pipe)
                os._exit(0)
            finally:
                os._exit(1)
        return lambda: os.waitpid(child, 0)[1]

    def process(store, pipe):
        child = multiprocessing.get_context("fork").Process(target=in_child, args=(store, pipe))
        child.start()

        def wait():
            child.join()
            return child.exitcode

        return wait

    async def main():
        store = JournalStore.from_url(sys.argv[1])
        await asyncio.gather(*(store.put_step("s", f"before-{number}", number) for number in range(20)))
        acknowledged, slowest, refusals = 20, 0.0, 0
        for round in range(ROUNDS):
            # While calls are in flight.
            puts = [asyncio.ensure_future(store.put_step("s", f"{round}-{number}", number)) for number in range(20)]
            await asyncio.sleep(0)
            ours, theirs = multiprocessing.Pipe(duplex=False)
            wait = globals()[sys.argv[2]](store, theirs)
            await asyncio.gather(*puts)
            acknowledged += len(puts)
            status = await asyncio.to_thread(wait)
            assert status == 0, status
            count, took = ours.recv()
            refusals += count
            slowest = max(slowest, took)
        found = await store.get_steps("s")
        await store.aclose()
        print(json.dumps([acknowledged, len(found), refusals, slowest]))

    asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["fork", "process"])
def test_a_child_is_refused_at_once_and_the_parent_goes_on(url: str, way: str, figures: Figures, long: bool):
    rounds = 100 if long else 5
    figures.acknowledged, found, figures.refused, slowest = json.loads(printed_by(FORKS, url, way, rounds))
    figures.lost = figures.acknowledged - found
    figures.longest_stall = slowest
    assert figures.lost == 0
    assert figures.refused == rounds * len(CALLS)
    assert slowest < AT_ONCE


def test_in_memory_a_child_has_a_copy_of_its_own():
    script = """
    import asyncio, os
    from jeeves_journal import InMemoryJournalStore

    async def main():
        store = InMemoryJournalStore()
        await store.put_step("s", "n", "before")
        if not os.fork():
            async def in_child():
                assert (await store.get_step("s", "n")).value == "before"
                await store.put_step("s", "n", "in the child")
                assert (await store.get_step("s", "n")).value == "in the child"
                await store.aclose()
            try:
                asyncio.run(in_child())
                print("the child's own", flush=True)
            finally:
                os._exit(0)
        os.wait()
        print((await store.get_step("s", "n")).value)

    asyncio.run(main())
    """
    assert printed_by(script) == "the child's own\nbefore"


async def refusal(call: Callable[[Any], Awaitable[Any]], store: Any, word: str, figures: Figures) -> None:
    """Make a call that is refused, and time it."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        with pytest.raises(StoreClosedError, match=word):
            await call(store)
        times.append(time.perf_counter() - started)
    figures.refused += 1
    figures.longest_stall = max(figures.longest_stall, min(times))


def test_a_second_live_loop_is_refused_at_once_and_the_first_goes_on(url: str, figures: Figures):
    async def use(store: Any) -> None:
        for call in (*CALLS.values(), lambda store: store.aclose()):
            await refusal(call, store, "loop", figures)

    async def main() -> None:
        async with JournalStore.from_url(url) as store:
            for number in range(10):
                puts = [asyncio.ensure_future(store.put_step("s", f"{number}-{put}", put)) for put in range(50)]
                await asyncio.sleep(0)
                await asyncio.to_thread(asyncio.run, use(store))
                await asyncio.gather(*puts)
                figures.acknowledged += len(puts)
            figures.lost = figures.acknowledged - len(await store.get_steps("s"))

    asyncio.run(main())
    assert figures.lost == 0
    assert figures.refused == 10 * (len(CALLS) + 1)
    assert figures.longest_stall < AT_ONCE


def test_use_after_the_end_is_refused_at_once(url: str, figures: Figures):
    async def use(store: SQLAlchemyJournalStore) -> None:
        for call in (*CALLS.values(), lambda store: store.__aenter__()):
            await refusal(call, store, "closed", figures)

    async def main(store: SQLAlchemyJournalStore) -> None:
        await store.put_step("s", "n", 1)
        await store.aclose()
        await use(store)

    store = JournalStore.from_url(url)
    asyncio.run(main(store))
    asyncio.run(use(store))
    assert figures.refused == 2 * (len(CALLS) + 1)
    assert figures.longest_stall < AT_ONCE


def test_after_a_loop_was_closed_the_store_works_in_the_next(url: str, figures: Figures):
    store = JournalStore.from_url(url)

    async def use(number: int) -> None:
        await asyncio.gather(*(store.put_step("s", f"{number}-{put}", put) for put in range(20)))
        figures.acknowledged += 20

    for number in range(10):
        with figures.timing():
            asyncio.run(use(number))
    figures.lost = figures.acknowledged - len(asyncio.run(store.get_steps("s")))
    asyncio.run(store.aclose())
    assert figures.lost == 0
