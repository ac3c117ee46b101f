"""However badly a network between a store and its Postgres behaves, every call ends in time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from jeeves_journal import JournalStore, PostgresJournalStore, SQLAlchemyJournalStore, StoreUnavailableError
from jeeves_journal.stores.models import VERSION_TABLE
from tests.faults.figures import Figures
from tests.faults.proxy import GRACE, Proxy, proxy_before
from tests.servers.postgres import execute

pytestmark = pytest.mark.anyio

TIMEOUTS = (0.5, 2.0, 5.0)
SHORT_TIMEOUTS = TIMEOUTS[:2]

Calls = dict[str, Callable[[SQLAlchemyJournalStore], Awaitable[object]]]

CALLS: Calls = {
    "put_step": lambda store: store.put_step("s", "n", 1),
    "get_step": lambda store: store.get_step("s", "n"),
    "get_steps": lambda store: store.get_steps("s"),
    "put_stream": lambda store: store.put_stream("s", "n", [1]),
    "get_stream": lambda store: store.get_stream("s", "n"),
    "init_schema": lambda store: store.init_schema(),
    "aclose": lambda store: store.aclose(),
}


async def outcome(call: Awaitable[object], figures: Figures) -> float:
    """Return how many seconds a call took; it may fail in one way only."""
    started = time.monotonic()
    with figures.timing():
        try:
            await call
        except StoreUnavailableError:
            figures.refused += 1
    return time.monotonic() - started


def falls_silent(proxy: Proxy) -> None:
    proxy.silence()


def accepts_and_never_answers(proxy: Proxy) -> None:
    proxy.accepts_only = True
    for line in proxy.lines:
        line.silence()


def delays_each_piece(proxy: Proxy) -> None:
    proxy.delays = (1.0, 3.0)


def dribbles(proxy: Proxy) -> None:
    proxy.dribbles, proxy.delays = True, (0.001, 0.02)


@asynccontextmanager
async def store_of_ours(url: str, timeout: float) -> AsyncIterator[SQLAlchemyJournalStore]:
    yield JournalStore.from_url(url, timeout=timeout)


@asynccontextmanager
async def store_for_a_pooler(url: str, timeout: float) -> AsyncIterator[SQLAlchemyJournalStore]:
    yield JournalStore.from_url(url, timeout=timeout, pgbouncer=True)


@asynccontextmanager
async def store_on_a_pool(url: str, timeout: float) -> AsyncIterator[SQLAlchemyJournalStore]:
    pool = await asyncpg.create_pool(url, min_size=0)
    yield PostgresJournalStore(pool, timeout=timeout)
    pool.terminate()


@asynccontextmanager
async def store_on_an_engine(url: str, timeout: float) -> AsyncIterator[SQLAlchemyJournalStore]:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    yield SQLAlchemyJournalStore(engine, timeout=timeout)
    await engine.dispose()


Kind = Callable[[str, float], AbstractAsyncContextManager[SQLAlchemyJournalStore]]


@pytest.mark.parametrize(
    ("spoil", "kind", "is_open", "timeouts"),
    [
        (falls_silent, store_of_ours, False, TIMEOUTS),
        (falls_silent, store_of_ours, True, TIMEOUTS),
        (falls_silent, store_for_a_pooler, True, SHORT_TIMEOUTS),
        (falls_silent, store_on_a_pool, True, SHORT_TIMEOUTS),
        (falls_silent, store_on_an_engine, True, SHORT_TIMEOUTS),
        (accepts_and_never_answers, store_of_ours, False, SHORT_TIMEOUTS),
        (accepts_and_never_answers, store_of_ours, True, SHORT_TIMEOUTS),
        (delays_each_piece, store_of_ours, False, SHORT_TIMEOUTS),
        (delays_each_piece, store_of_ours, True, SHORT_TIMEOUTS),
        (dribbles, store_of_ours, False, SHORT_TIMEOUTS),
        (dribbles, store_of_ours, True, SHORT_TIMEOUTS),
    ],
)
async def test_every_call_ends_in_time(
    *,
    migrated_postgres_url: str,
    figures: Figures,
    spoil: Callable[[Proxy], None],
    kind: Kind,
    is_open: bool,
    timeouts: tuple[float, ...],
):
    async def time_call(name: str, timeout: float) -> tuple[str, float, float]:
        async with kind(proxy.url, timeout) as store:
            while is_open and await outcome(store.put_step("s", "n", 0), Figures()) > timeout:
                pass
            ready.release()
            await spoilt.wait()
            busy = [asyncio.ensure_future(outcome(CALLS["put_step"](store), figures)) for _ in range(name == "aclose")]
            await asyncio.sleep(0)
            seconds = await outcome(CALLS[name](store), figures)
            await asyncio.gather(*busy)
            await outcome(store.aclose(), figures)
        return name, timeout, seconds

    async with proxy_before(migrated_postgres_url) as proxy:
        ready, spoilt = asyncio.Semaphore(0), asyncio.Event()
        calls = [asyncio.ensure_future(time_call(name, timeout)) for timeout in timeouts for name in CALLS]
        for _ in calls:
            await ready.acquire()
        spoil(proxy)
        spoilt.set()
        taken = await asyncio.gather(*calls)
    late = [(name, timeout, seconds) for name, timeout, seconds in taken if seconds > timeout + GRACE]
    assert not late, late
    assert figures.longest_stall < max(timeouts) + GRACE, figures


@pytest.mark.parametrize(("timeout", "rounds"), [(0.5, 5), (2.0, 2)])
async def test_an_upgrade_ends_in_time_wherever_the_network_falls_silent(
    *, postgres_url: str, figures: Figures, dice: random.Random, long: bool, timeout: float, rounds: int
):
    async def fall_silent(proxy: Proxy, words: int) -> None:
        for _ in range(words):
            await proxy.next_words(of_server=True)
        proxy.silence()
        nonlocal silent_since
        silent_since = time.monotonic()

    for _ in range(100 * rounds if long else rounds):
        execute(postgres_url, f"DROP TABLE IF EXISTS {VERSION_TABLE}, journal_steps, journal_streams")
        async with proxy_before(postgres_url) as proxy:
            silent_since = time.monotonic()
            words = dice.randrange(5, 60)
            falling = asyncio.ensure_future(fall_silent(proxy, words))
            store = JournalStore.from_url(proxy.url, timeout=timeout)
            async with asyncio.timeout(timeout + 20):
                try:
                    await store.init_schema()
                except StoreUnavailableError:
                    figures.refused += 1
            stall = time.monotonic() - silent_since
            figures.longest_stall = max(figures.longest_stall, stall)
            assert stall < timeout + GRACE, f"silent after {words} words: {figures}"
            falling.cancel()
            with figures.timing():
                await store.aclose()
    assert figures.longest_stall < timeout + GRACE, figures
