"""How a store ends: what ``aclose`` waits for, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from jeeves_journal import ConfigurationError, JournalStore, SQLAlchemyJournalStore, StoreClosedError
from jeeves_journal.testing.calls import recorded
from tests.stores.engines import url_of
from tests.stores.servers import backends

pytestmark = pytest.mark.anyio

CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "get_step": lambda store: store.get_step("s", "n"),
    "put_step": lambda store: store.put_step("s", "n", 1),
    "get_stream": lambda store: store.get_stream("s", "n"),
    "put_stream": lambda store: store.put_stream("s", "n", [1]),
    "get_steps": lambda store: store.get_steps("s"),
    "init_schema": lambda store: store.init_schema(),
    "async with": lambda store: store.__aenter__(),
}


@pytest.fixture(params=["file", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


@pytest.fixture(params=["file", "postgres"])
def lasting_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of what is still there when its store is closed."""
    return url_of(request.param, request, tmp_path)


async def is_eventually(wanted: Callable[[], bool]) -> bool:
    """Return whether something comes true within a while."""
    deadline = time.monotonic() + 5
    while not wanted() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return wanted()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("used", [True, False], ids=["used", "never used"])
async def test_every_call_after_the_end_says_that_the_store_is_closed(url: str, call: str, used: bool):
    store = JournalStore.from_url(url)
    if used:
        await store.put_step("s", "n", 1)
    await store.aclose()
    with pytest.raises(StoreClosedError, match="closed"):
        await CALLS[call](store)


async def test_closing_again_does_nothing(url: str):
    store = JournalStore.from_url(url)
    await store.put_step("s", "n", 1)
    for _ in range(3):
        await store.aclose()
        with pytest.raises(StoreClosedError):
            await store.get_step("s", "n")


async def test_closing_many_times_at_once_closes_once_and_all_wait_for_it(url: str):
    store = JournalStore.from_url(url)
    put = asyncio.ensure_future(store.put_step("s", "n", 1))
    await asyncio.sleep(0)
    await asyncio.gather(*(store.aclose() for _ in range(10)))
    assert put.done()
    await put


async def test_closing_before_the_first_call_needs_no_database(tmp_path: Path):
    for url in (f"sqlite:///{tmp_path}/folder/journal.db", "postgresql://127.0.0.1:1/nowhere", "sqlite:///:memory:"):
        await JournalStore.from_url(url).aclose()
    assert not list(tmp_path.iterdir())


async def test_closing_waits_for_five_hundred_puts_in_flight_and_all_are_there_afterwards(lasting_url: str):
    store = JournalStore.from_url(lasting_url)
    puts = [asyncio.ensure_future(store.put_step("s", f"{number}", number)) for number in range(500)]
    await asyncio.sleep(0)
    await store.aclose()
    assert all(put.done() for put in puts)
    await asyncio.gather(*puts)
    async with JournalStore.from_url(lasting_url) as again:
        assert {name: entry.value for name, entry in (await again.get_steps("s")).items()} == {
            f"{number}": number for number in range(500)
        }


async def test_closing_answers_the_reads_in_flight(url: str):
    store = JournalStore.from_url(url)
    await store.put_step("s", "n", 1)
    reads = [
        asyncio.ensure_future(call) for _ in range(50) for call in (store.get_step("s", "n"), store.get_steps("s"))
    ]
    await asyncio.sleep(0)
    await store.aclose()
    answers = await asyncio.gather(*reads)
    assert {answer.value for answer in answers[::2]} == {answer["n"].value for answer in answers[1::2]} == {1}


OPERATIONS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "sessions": lambda store: store.sessions(),
    "steps": lambda store: store.steps("run"),
    "delete": lambda store: store.delete_session("run"),
    "rewind": lambda store: store.rewind("run", to="a"),
    "fork": lambda store: store.fork_session("run", "copy"),
    "usage": lambda store: store.usage(),
    "examine": lambda store: store.examine(),
}
ROUNDS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "prune": lambda store: store.prune(timedelta(), batch=1),
    "reseal": lambda store: store.reseal(from_codec="json"),
}


async def close_at_any_moment(
    url: str, operation: Callable[[Any], Awaitable[Any]]
) -> AsyncIterator[asyncio.Future[Any]]:
    """Close a store sooner and later after an operation began, until that ends before; yield each operation."""
    turns, was_done = 1, False
    while not was_done:
        store = JournalStore.from_url(url)
        await store.delete_session("copy")
        for name in "abc":
            await store.put_step("run", name, name)
        calling = asyncio.ensure_future(operation(store))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_done = calling.done()
        await store.aclose()
        yield calling
        turns = turns * 3 // 2 + 1


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_closing_waits_for_an_operation_in_flight(url: str, operation: str):
    async for calling in close_at_any_moment(url, OPERATIONS[operation]):
        assert calling.done()
        await calling


@pytest.mark.parametrize("operation", ROUNDS)
async def test_closing_ends_what_goes_in_rounds_after_one_of_them(url: str, operation: str):
    async for calling in close_at_any_moment(url, ROUNDS[operation]):
        (outcome,) = await asyncio.wait_for(asyncio.gather(calling, return_exceptions=True), 5)
        assert not isinstance(outcome, Exception) or isinstance(outcome, StoreClosedError), repr(outcome)


async def test_closing_that_is_cancelled_goes_on_and_loses_nothing(lasting_url: str):
    store = JournalStore.from_url(lasting_url)
    put = asyncio.ensure_future(store.put_step("s", "n", 1))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await put
    await store.aclose()
    async with JournalStore.from_url(lasting_url) as again:
        assert await recorded(again, "s", "n") == 1


async def test_closing_in_a_cancelled_scope_still_closes(url: str):
    store = JournalStore.from_url(url)
    await store.put_step("s", "n", 1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    with pytest.raises(StoreClosedError):
        await store.get_step("s", "n")
    await store.aclose()


async def test_no_task_is_left(url: str):
    before = asyncio.all_tasks()
    async with JournalStore.from_url(url) as store:
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(50)))
        await store.get_steps("s")
        await store.get_stream("s", "n")
    assert asyncio.all_tasks() == before


async def test_no_task_waits_while_nobody_calls(url: str):
    before = asyncio.all_tasks()
    async with JournalStore.from_url(url) as store:
        await store.put_step("s", "n", 1)
        await store.get_step("s", "n")
        assert await is_eventually(lambda: asyncio.all_tasks() == before)


async def test_no_file_is_left_open(tmp_path: Path):
    path = tmp_path / "journal.db"
    async with JournalStore.from_url(f"sqlite:///{path}") as store:
        await store.put_step("s", "n", 1)
        assert open_files(path)
    assert not open_files(path)


async def test_a_failing_body_still_closes(url: str):
    store = JournalStore.from_url(url)
    with pytest.raises(KeyError):
        async with store:
            await store.put_step("s", "n", 1)
            raise KeyError
    with pytest.raises(StoreClosedError):
        await store.get_step("s", "n")


async def test_a_file_store_that_is_dropped_unclosed_in_a_live_loop_lets_go_of_its_file(tmp_path: Path):
    path = tmp_path / "journal.db"
    store = JournalStore.from_url(f"sqlite:///{path}", timeout=2)
    await store.put_step("s", "n", 1)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del store
        assert await is_eventually(lambda: gc.collect() >= 0 and not open_files(path))
    assert len(warned) <= 1


async def test_a_postgres_store_that_is_dropped_unclosed_in_a_live_loop_lets_go_of_its_connections(
    migrated_postgres_url: str,
):
    store = JournalStore.from_url(migrated_postgres_url, timeout=2)
    await asyncio.gather(store.put_step("s", "n", 1), store.get_steps("s"))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del store
        assert await is_eventually(lambda: gc.collect() >= 0 and not backends(migrated_postgres_url))
    assert len(warned) <= 1


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("call", [name for name in CALLS if name != "async with"])
@pytest.mark.parametrize("url", ["sqlite:///unused.db", "sqlite://", "postgresql://127.0.0.1:1/db"])
async def test_under_trio_every_call_says_that_the_sql_stores_need_asyncio(url: str, call: str):
    store = JournalStore.from_url(url)
    with pytest.raises(ConfigurationError, match="asyncio"):
        await CALLS[call](store)
    await store.aclose()
    assert isinstance(store, SQLAlchemyJournalStore)


def open_files(path: Path) -> list[str]:
    """Return the files of this process whose names begin with a path."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith(str(path)):
            found.append(target)
    return found
