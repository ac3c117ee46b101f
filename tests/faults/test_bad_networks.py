"""A network between a store and its Postgres that resets, half-closes, delays, falls silent and swallows answers."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from jeeves_journal import JournalStore, PostgresJournalStore, SQLAlchemyJournalStore, StoreUnavailableError
from jeeves_journal.stores.models import VERSION_TABLE
from jeeves_journal.testing.calls import recorded
from tests.faults.figures import Figures
from tests.faults.load import Writer, under_load
from tests.faults.proxy import Proxy, Swallowing, proxy_before
from tests.servers.postgres import execute

pytestmark = pytest.mark.anyio

# What the issue allows a call to take beyond its timeout, in seconds.
GRACE = 2.0
TIMEOUTS = (0.5, 2.0, 5.0)
SHORT_TIMEOUTS = TIMEOUTS[:2]
WRITERS = 16


@pytest.fixture
def dice(figures: Figures) -> random.Random:
    """What the faults are drawn from; its seed is printed."""
    seed = secrets.randbelow(1_000_000)
    figures.others["seed"] = str(seed)
    return random.Random(seed)


async def moment(dice: random.Random, figures: Figures, patience: float) -> None:
    """Wait for a random moment, and where the machine is slow until something was put in between, if it ever is."""
    await asyncio.sleep(dice.expovariate(20))
    enough, latest = figures.acknowledged + 3, time.monotonic() + patience
    while figures.acknowledged < enough and time.monotonic() < latest:
        await asyncio.sleep(0.005)


def harm(proxy: Proxy, dice: random.Random) -> None:
    """Do something to a random connection, if there is one."""
    if not proxy.lines:
        return
    line = dice.choice(proxy.lines)
    match dice.randrange(5):
        case 0:
            line.reset()
        case 1:
            # A server that hears the end in the middle of a password takes it for a wrong one.
            line.half_close(towards_client=line.is_in_pieces or dice.random() < 0.5)
        case 2:
            line.swallow_next_answer("and resets")
        case 3:
            # Rarely, since each costs a call its whole timeout.
            if dice.random() < 0.2:
                line.swallow_next_answer("and falls silent")
        case 4:
            proxy.dribbles = dice.random() < 0.1
            proxy.delays = (0.0, 0.0 if proxy.dribbles else dice.choice([0.0, 0.0, 0.005, 0.02]))


@pytest.mark.parametrize("timeout", TIMEOUTS)
async def test_nothing_is_lost_and_no_call_outlives_its_timeout(
    migrated_postgres_url: str, figures: Figures, dice: random.Random, long: bool, timeout: float
):
    async with proxy_before(migrated_postgres_url) as proxy:
        store = JournalStore.from_url(proxy.url, timeout=timeout)
        writers = [Writer(store, number, figures, dice) for number in range(WRITERS)]
        faults, wanted = 0, 20_000 if long else 100
        async with under_load(writers):
            while faults < wanted or proxy.swallowed < wanted // 20 or figures.acknowledged < wanted:
                await moment(dice, figures, timeout)
                harm(proxy, dice)
                faults += 1
            proxy.dribbles, proxy.delays = False, (0.0, 0.0)
        with figures.timing():
            await store.aclose()
        figures.others |= {"faults": faults, "swallowed": proxy.swallowed, "connections": proxy.opened}
    async with JournalStore.from_url(migrated_postgres_url) as store:
        for writer in writers:
            await writer.check_everything(store)
    assert (figures.lost, figures.wrong) == (0, 0), figures
    assert figures.longest_stall < timeout + GRACE, figures


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


@pytest.mark.parametrize("then", ["and resets", "and falls silent"])
async def test_a_put_whose_answer_was_swallowed_never_overwrites_a_newer_one(
    migrated_postgres_url: str, figures: Figures, dice: random.Random, long: bool, then: Swallowing
):
    async with proxy_before(migrated_postgres_url) as proxy:
        store = JournalStore.from_url(proxy.url, timeout=0.5)
        writers = [Writer(store, number, figures, dice) for number in range(4)]

        async def put_often(writer: Writer) -> None:
            for _ in range(2000 if long else 15):
                if dice.random() < 0.5:
                    for line in proxy.lines:
                        line.swallow_next_answer(then)
                await writer.put_step("only")
                await writer.check_step("only")

        await asyncio.gather(*map(put_often, writers))
        await store.aclose()
        figures.others["swallowed"] = proxy.swallowed
    assert (figures.lost, figures.wrong) == (0, 0), figures


@pytest.mark.parametrize("options", ["", "?pgbouncer=true"])
async def test_a_put_that_the_network_delivers_after_it_was_given_up_on_overwrites_nothing(
    migrated_postgres_url: str, figures: Figures, options: str
):
    """A firewall or a balancer may keep what was said and pass it on when its way is free again."""
    async with (
        JournalStore.from_url(migrated_postgres_url) as other,
        proxy_before(migrated_postgres_url) as proxy,
        JournalStore.from_url(f"{proxy.url}{options}", timeout=1) as store,
    ):
        # A put is one piece on a connection of its own, and up to five in a transaction.
        for pieces in range(6):
            await store.put_step("s", "n", f"before {pieces}")
            falling = asyncio.ensure_future(fall_silent_after(proxy, pieces))
            await asyncio.sleep(0)
            await put_until_acknowledged(store, f"given up on {pieces}", figures, tries=1)
            falling.cancel()
            held = proxy.lines[:] if proxy.is_silent else []
            proxy.resume(old_lines=False)
            await put_until_acknowledged(store, f"newer {pieces}", figures, tries=4)
            for line in held:
                line.resume()
                # The client has hung up long since; the server hears of that after all else.
                await line.ended.wait()
            value = await recorded(other, "s", "n")
            figures.lost += value != f"newer {pieces}"
    assert figures.lost == 0, figures
    assert figures.acknowledged >= 6, figures
    assert figures.refused >= 1, figures


async def fall_silent_after(proxy: Proxy, pieces: int) -> None:
    for _ in range(pieces):
        await proxy.next_words(of_server=False)
    proxy.silence()


async def put_until_acknowledged(store: SQLAlchemyJournalStore, value: str, figures: Figures, *, tries: int) -> None:
    for _ in range(tries):
        try:
            await store.put_step("s", "n", value)
        except StoreUnavailableError:
            figures.refused += 1
        else:
            figures.acknowledged += 1
            return


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
