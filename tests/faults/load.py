"""Many tasks that put and get in a store while something goes wrong, and tell a ledger what they were answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from typing import Final

from jeeves_journal import ManagedJournalStore
from tests.faults.ledger import KINDS, Kind, Ledger, Record

WRITERS: Final = 16
READERS: Final = 4

# Records that each writer has for itself, and that all of them put, often at once.
_OWN: Final = 5
_CONTESTED: Final = 3


class Load:
    """What the tasks do; ``under_load`` lets them.

    Some puts make a record of their own, others go over an older one, so that a record that comes late and over a
    newer one shows, and some of those are made by several tasks at once.

    Attributes:
        ledger: What they are told.
        refused: Calls that were refused, until now.
        latest_answered: When the call began that began last of those that were answered, as ``time.monotonic()``.
    """

    def __init__(self, store: ManagedJournalStore, ledger: Ledger, *, session: str, seed: object) -> None:
        self.ledger = ledger
        self.refused = 0
        self.latest_answered = 0.0
        self._store = store
        self._session = session
        self._seed = seed
        self._once = f"{session}/once-{ledger.puts}"
        self._serials = count()
        self._recent: deque[Record] = deque(maxlen=50)
        self._news = asyncio.Event()
        self._is_over = False

    async def write(self, task: int) -> None:
        """Put and get until it is over."""
        dice = Random(f"{self._seed} writer {task}")
        while not self._is_over:
            await self._make(self._put(dice, task) if dice.random() < 0.7 else self._get(dice, f"{task}"))

    async def read(self, task: int) -> None:
        """Get until it is over."""
        dice = Random(f"{self._seed} reader {task}")
        await self.acknowledgements(1)
        while not self._is_over:
            await self._make(self._get(dice, "0"))

    def end(self) -> None:
        """Let every task make no more calls."""
        self._is_over = True

    async def acknowledgements(self, number: int) -> None:
        """Wait until so many more puts were acknowledged, or fail after a minute."""
        goal = len(self.ledger.acknowledged_at) + number
        await self._until(lambda: len(self.ledger.acknowledged_at) >= goal)

    async def refusals(self, number: int) -> None:
        """Wait until so many more calls were refused, or fail after a minute."""
        goal = self.refused + number
        await self._until(lambda: self.refused >= goal)

    async def first_after(self, moment: float) -> float:
        """Return the seconds from a moment, as ``time.time()``, to the first acknowledgement after it."""
        while not (later := [at for at in self.ledger.acknowledged_at[-10_000:] if at >= moment]):
            await self.acknowledgements(1)
        return later[0] - moment

    async def _until(self, is_reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_reached():
                self._news.clear()
                await self._news.wait()

    async def _make(self, call: Awaitable[None]) -> None:
        began = time.monotonic()
        if await self.ledger.is_answered(call):
            self.latest_answered = max(self.latest_answered, began)
        else:
            self.refused += 1
        self._news.set()
        # The others have their turn also where every call is answered or refused at once.
        await asyncio.sleep(0)

    def _put(self, dice: Random, task: int) -> Awaitable[None]:
        kind, chance = dice.choice(("step", *KINDS)), dice.random()
        if chance < 0.4:
            serial = next(self._serials)
            # A session grows to a size that is read at once in no time.
            record = Record(kind, f"{self._once}-{serial // 1_000}", f"{serial}")
        elif chance < 0.8:
            record = self._own(dice, kind, f"{task}")
        else:
            record = self._contested(dice, kind)
        self._recent.append(record)
        return self.ledger.put(self._store, record)

    def _get(self, dice: Random, task: str) -> Awaitable[None]:
        kind, chance = dice.choice(KINDS), dice.random()
        if chance < 0.1:
            return self.ledger.get(self._store, Record(kind, self._session, "never-put"))
        if chance < 0.2:
            sessions = f"{self._session}/own-{task}", f"{self._session}/contested"
            return self.ledger.get_steps(self._store, dice.choice(sessions))
        if chance < 0.6 and self._recent:
            return self.ledger.get(self._store, dice.choice(self._recent))
        record = self._own(dice, kind, task) if chance < 0.85 else self._contested(dice, kind)
        return self.ledger.get(self._store, record)

    def _own(self, dice: Random, kind: Kind, task: str) -> Record:
        return Record(kind, f"{self._session}/own-{task}", f"{dice.randrange(_OWN)}")

    def _contested(self, dice: Random, kind: Kind) -> Record:
        return Record(kind, f"{self._session}/contested", f"{dice.randrange(_CONTESTED)}")


def is_put_once(session: str) -> bool:
    """Return whether what one load puts into a session is put by it once, and by later loads never."""
    return "/once-" in session


@asynccontextmanager
async def under_load(
    store: ManagedJournalStore,
    ledger: Ledger,
    *,
    seed: object,
    session: str = "load",
    writers: int = WRITERS,
    readers: int = READERS,
) -> AsyncIterator[Load]:
    """All tasks work while the body does; afterwards the last call of each has ended. It fails if one of them does.

    Args:
        store: Where they put and get; of any kind.
        ledger: Kept for this load, or for several in different sessions.
        seed: For what they do.
        session: What all of their sessions' names begin with.
        writers: How many tasks put and get.
        readers: How many tasks only get, also where no put is answered.
    """
    load = Load(store, ledger, session=session, seed=seed)
    async with asyncio.TaskGroup() as tasks:
        for number in range(writers):
            tasks.create_task(load.write(number))
        for number in range(readers):
            tasks.create_task(load.read(number))
        try:
            yield load
        finally:
            load.end()
