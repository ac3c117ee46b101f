"""``aclose`` with calls in flight, once, twice and from two tasks, also while the database hangs: everything ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import JournalStore, SQLAlchemyJournalStore, StoreUnavailableError
from tests.faults.figures import Figures
from tests.servers.postgres import PostgresServer, execute
from tests.stores.engines import url_of
from tests.stores.servers import silent_server

pytestmark = pytest.mark.anyio

CALLS = 500
TIMEOUT = 1.0
"""Seconds that one call may take where the database hangs."""

# A hundred of each, interleaved.
KINDS = [
    lambda store, number: store.put_step("s", f"{number}", number),
    lambda store, number: store.get_step("s", f"{number}"),
    lambda store, number: store.put_stream("s", f"{number}", [number]),
    lambda store, number: store.get_stream("s", f"{number}"),
    lambda store, number: store.get_steps("s"),
]


@pytest.fixture(params=["file", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


def started(store: SQLAlchemyJournalStore, ended: dict[asyncio.Task[Any], float]) -> list[asyncio.Task[Any]]:
    """Return so many calls on their way, which note when they end."""
    calls = [asyncio.ensure_future(KINDS[number % len(KINDS)](store, number)) for number in range(CALLS)]
    for call in calls:
        call.add_done_callback(lambda done: ended.setdefault(done, time.monotonic()))
    return calls


async def close(store: SQLAlchemyJournalStore, way: str) -> None:
    if way == "twice":
        await store.aclose()
        await store.aclose()
    elif way == "from two tasks":
        await asyncio.gather(asyncio.create_task(store.aclose()), asyncio.create_task(store.aclose()))
    else:
        await store.aclose()


WAYS = pytest.mark.parametrize("way", ["once", "twice", "from two tasks"])


@WAYS
@pytest.mark.parametrize("opened", [True, False], ids=["open", "not yet open"])
async def test_calls_in_flight_all_get_their_answer(url: str, way: str, opened: bool, figures: Figures):
    before = asyncio.all_tasks()
    store = JournalStore.from_url(url)
    if opened:
        await store.get_step("s", "n")
    calls = started(store, {})
    await asyncio.sleep(0)
    with figures.timing():
        await asyncio.wait_for(close(store, way), 30)
    assert all(call.done() for call in calls)
    figures.refused = sum(call.exception() is not None for call in calls)
    figures.acknowledged = sum(call.exception() is None for call in calls[::5] + calls[2::5])
    assert figures.refused == 0
    assert asyncio.all_tasks() == before
    if ":memory:" not in url:
        async with JournalStore.from_url(url) as again:
            found = len(await again.get_steps("s"))
            found += sum([await again.get_stream("s", f"{number}") is not None for number in range(2, CALLS, 5)])
        figures.lost = figures.acknowledged - found
        assert figures.lost == 0


# -- a database that hangs


async def ends_in_time(url: str, way: str, figures: Figures, hanging: Any = None, *, timeout: float = TIMEOUT) -> None:
    """Close a store whose database hangs, with calls in flight."""
    before = asyncio.all_tasks()
    store = JournalStore.from_url(url, timeout=timeout)
    if hanging is not None:
        await asyncio.gather(*(store.get_steps("s") for _ in range(4)))
    ended: dict[asyncio.Task[Any], float] = {}
    async with hanging() if hanging is not None else nullcontext():
        start = time.monotonic()
        calls = started(store, ended)
        await asyncio.sleep(0)
        await asyncio.wait_for(close(store, way), 60)
        figures.others["closed after, s"] = time.monotonic() - start
        assert all(call.done() for call in calls)
        # Nothing that still waits for the database.
        assert asyncio.all_tasks() == before
    await asyncio.sleep(0)
    figures.longest_stall = max(ended.values()) - start
    errors = [call.exception() for call in calls]
    figures.refused = sum(error is not None for error in errors)
    assert {type(error) for error in errors if error is not None} == {StoreUnavailableError}
    assert figures.longest_stall < timeout + 2
    # It waits for the calls, and then for the connections.
    assert figures.others["closed after, s"] < 2 * timeout + 2


@WAYS
async def test_a_server_that_never_answered(way: str, figures: Figures):
    async with silent_server() as port:
        before = asyncio.all_tasks()
        # Once for so long that it shows how often it is waited for.
        timeout = 3 * TIMEOUT if way == "once" else TIMEOUT
        await ends_in_time(f"postgresql://u:p@127.0.0.1:{port}/db", way, figures, timeout=timeout)
        assert asyncio.all_tasks() == before
    assert figures.refused == CALLS


@WAYS
async def test_a_server_that_is_stopped_while_it_works(stoppable: PostgresServer, way: str, figures: Figures):
    url = stoppable.url()

    @asynccontextmanager
    async def hanging() -> AsyncIterator[None]:
        with stopped(stoppable):
            yield

    await ends_in_time(url, way, figures, hanging)
    assert figures.refused == CALLS


@WAYS
async def test_a_file_that_another_process_keeps_locked(tmp_path: Path, way: str, figures: Figures):
    path = tmp_path / "journal.db"

    @asynccontextmanager
    async def hanging() -> AsyncIterator[None]:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    await ends_in_time(f"sqlite:///{path}", way, figures, hanging)
    # Readers need no lock that a writer has.
    assert figures.refused == CALLS * 2 // 5


@pytest.fixture(scope="module")
def stoppable() -> Iterator[PostgresServer]:
    """A server of our own, whose processes may be stopped."""

    async def prepare(url: str) -> None:
        async with JournalStore.from_url(url) as store:
            await store.init_schema()

    with PostgresServer() as server:
        asyncio.run(prepare(server.url()))
        yield server


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """The postmaster and every backend are stopped, and go on at the end."""
    query = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    postmaster = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    pids = [postmaster, *(row["pid"] for row in execute(server.url(), query))]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
