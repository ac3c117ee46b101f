"""A network between a store and its Postgres that resets, half-closes, delays, falls silent and swallows answers."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from jeeves_journal import JournalStore, SQLAlchemyJournalStore, StoreUnavailableError
from jeeves_journal.testing.calls import recorded
from tests.faults.figures import Figures
from tests.faults.ledger import Ledger, Record
from tests.faults.load import under_load
from tests.faults.proxy import GRACE, Proxy, Swallowing, proxy_before

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize("timeout", [0.5, 2.0, 5.0])
async def test_nothing_is_lost_and_no_call_outlives_its_timeout(
    migrated_postgres_url: str, figures: Figures, dice: random.Random, long: bool, timeout: float
):
    ledger = Ledger(figures)
    async with proxy_before(migrated_postgres_url) as proxy:
        store = JournalStore.from_url(proxy.url, timeout=timeout)
        faults, wanted = 0, 20_000 if long else 100
        async with under_load(store, ledger, seed=dice.random()):
            while faults < wanted or proxy.swallowed < wanted // 20 or figures.acknowledged < wanted:
                await moment(dice, figures, timeout)
                harm(proxy, dice)
                faults += 1
            proxy.dribbles, proxy.delays = False, (0.0, 0.0)
        with figures.timing():
            await store.aclose()
        figures.others |= {"faults": faults, "swallowed": proxy.swallowed, "connections": proxy.opened}
    await ledger.verify(migrated_postgres_url)
    assert (figures.lost, figures.wrong) == (0, 0), figures
    assert figures.longest_stall < timeout + GRACE, figures


@pytest.mark.parametrize("then", ["and resets", "and falls silent"])
async def test_a_put_whose_answer_was_swallowed_never_overwrites_a_newer_one(
    migrated_postgres_url: str, figures: Figures, dice: random.Random, long: bool, then: Swallowing
):
    ledger = Ledger(figures)
    async with proxy_before(migrated_postgres_url) as proxy:
        store = JournalStore.from_url(proxy.url, timeout=0.5)

        async def put_often(writer: int) -> None:
            record = Record("step", f"{writer}", "only")
            for _ in range(2000 if long else 15):
                if dice.random() < 0.5:
                    for line in proxy.lines:
                        line.swallow_next_answer(then)
                await ledger.is_answered(ledger.put(store, record))
                await ledger.is_answered(ledger.get(store, record))

        await asyncio.gather(*map(put_often, range(4)))
        await store.aclose()
        figures.others["swallowed"] = proxy.swallowed
    await ledger.verify(migrated_postgres_url)
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
