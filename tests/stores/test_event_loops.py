"""Where a store may be used: one event loop after the other, never two at once, and not after a fork."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import JournalStore, SQLAlchemyJournalStore, StoreClosedError
from jeeves_journal.testing.calls import recorded
from tests.servers.postgres import run_apart
from tests.stores.engines import url_of


@pytest.fixture(params=["file", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


def put(store: SQLAlchemyJournalStore, number: int) -> None:
    asyncio.run(store.put_step("s", f"{number}", number))


def test_one_store_serves_one_asyncio_run_after_the_other(url: str):
    store = JournalStore.from_url(url)
    for number in range(4):
        put(store, number)
    found = asyncio.run(store.get_steps("s"))
    assert [entry.value for entry in found.values()] == [0, 1, 2, 3]
    asyncio.run(store.aclose())


def test_a_store_can_be_closed_after_its_loop_was(url: str):
    store = JournalStore.from_url(url)
    put(store, 1)
    asyncio.run(store.aclose())
    asyncio.run(store.aclose())
    with pytest.raises(StoreClosedError):
        asyncio.run(store.get_step("s", "1"))


def test_a_store_that_was_never_used_can_be_made_in_one_loop_and_used_in_another(url: str):
    async def make() -> SQLAlchemyJournalStore:
        return JournalStore.from_url(url)

    store = asyncio.run(make())
    put(store, 1)
    assert asyncio.run(recorded(store, "s", "1")) == 1
    asyncio.run(store.aclose())


def test_calls_that_their_loop_left_unfinished_do_not_disturb_the_next_loop(url: str):
    store = JournalStore.from_url(url)
    left: list[asyncio.Future[None]] = []

    async def leave() -> None:
        await store.put_step("s", "1", 1)
        left.extend(asyncio.ensure_future(store.put_step("s", f"left-{number}", number)) for number in range(20))
        await asyncio.sleep(0)

    asyncio.run(leave())
    put(store, 2)
    assert asyncio.run(recorded(store, "s", "2")) == 2
    asyncio.run(store.aclose())


def test_a_loop_that_is_closed_without_its_async_generators_leaves_a_store_that_opens_itself_again(url: str):
    store = JournalStore.from_url(url)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(store.put_step("s", "1", 1))
    loop.close()
    put(store, 2)
    assert asyncio.run(recorded(store, "s", "1")) == 1
    asyncio.run(store.aclose())


@pytest.mark.anyio
@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get_step("s", "n"),
        lambda store: store.put_step("s", "n", 1),
        lambda store: store.get_steps("s"),
        lambda store: store.init_schema(),
        lambda store: store.aclose(),
    ],
    ids=["get", "put", "get_steps", "init_schema", "aclose"],
)
async def test_a_second_live_loop_is_refused_at_once_and_the_first_goes_on(url: str, call: Callable[[Any], Any]):
    async with JournalStore.from_url(url) as store:
        await store.put_step("s", "n", 1)

        async def use() -> None:
            await call(store)

        with pytest.raises(StoreClosedError, match="loop"):
            run_apart(use())
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2


@pytest.mark.anyio
async def test_a_second_live_loop_is_refused_while_the_first_is_opening(url: str):
    async with JournalStore.from_url(url) as store:
        opening = asyncio.ensure_future(store.put_step("s", "n", 1))
        await asyncio.sleep(0)

        async def use() -> None:
            await store.get_step("s", "n")

        with pytest.raises(StoreClosedError, match="loop"):
            run_apart(use())
        await opening


def test_two_threads_that_use_one_fresh_store_at_once_never_share_it(url: str):
    store = JournalStore.from_url(url)
    start, stop = threading.Barrier(8, timeout=60), threading.Barrier(8, timeout=60)
    outcomes: list[str] = []

    async def use() -> None:
        start.wait()
        try:
            await store.put_step("s", "n", 1)
        except StoreClosedError:
            outcomes.append("refused")
        else:
            outcomes.append("served")
        stop.wait()

    threads = [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["served"]
    asyncio.run(store.aclose())
