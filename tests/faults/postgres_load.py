"""Many tasks that put and get while a server comes to harm, and a ledger of what was acknowledged to them."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from jeeves_journal import JournalStore, StoreUnavailableError
from tests.faults.figures import Figures
from tests.servers.postgres import PostgresServer

WRITERS: Final = 12
READERS: Final = 4
SESSION: Final = "load"


class Load:
    """Puts and gets from many tasks; ``async with`` starts them, ends them, and fails if one of them failed.

    Each writer counts. Some puts make a record of their own, others go over the writer's last one, so that a record
    that comes late and over a newer one shows.

    Attributes:
        refused: Calls that raised, until now.
        acknowledged_at: When each acknowledgement came, as ``time.time()``.
    """

    def __init__(self, store: JournalStore, figures: Figures, *, seed: int) -> None:
        self.refused = 0
        self.acknowledged_at: list[float] = []
        self._store = store
        self._figures = figures
        self._random = random.Random(seed)
        self._ledger: dict[str, int] = {}
        self._put: dict[str, int] = {}
        self._recent: deque[str] = deque(maxlen=50)
        self._over = asyncio.Event()
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        work = [*(self._write(number) for number in range(WRITERS)), *(self._read() for _ in range(READERS))]
        self._tasks = [asyncio.create_task(each) for each in work]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise failures[0]

    async def acknowledgements(self, count: int) -> None:
        """Wait until so many more puts were acknowledged, or fail after a minute."""
        goal = len(self.acknowledged_at) + count
        await self._until(lambda: len(self.acknowledged_at) >= goal)

    async def refusals(self, count: int) -> None:
        """Wait until so many more calls were refused, or fail after a minute."""
        goal = self.refused + count
        await self._until(lambda: self.refused >= goal)

    async def first_after(self, moment: float) -> float:
        """Return the seconds from a moment, as ``time.time()``, to the first acknowledgement after it."""
        while not (later := [at for at in self.acknowledged_at[-10_000:] if at >= moment]):
            await self.acknowledgements(1)
        return later[0] - moment

    async def verify(self, url: str) -> None:
        """Compare what is there with the ledger, in a store of its own, and add up the figures."""
        async with JournalStore.from_url(url) as store:
            found = await store.get_steps(SESSION)
        figures = self._figures
        figures.acknowledged += len(self.acknowledged_at)
        figures.refused += self.refused
        figures.unknown += sum(number != self._ledger.get(name) for name, number in self._put.items())
        for name, number in self._ledger.items():
            if name not in found:
                figures.lost += 1
            elif not number <= found[name].value["number"] <= self._put[name] or found[name].value["name"] != name:
                figures.wrong += 1

    async def _until(self, is_reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_reached():
                self._news.clear()
                await self._news.wait()

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            name = f"{writer}" if number % 2 else f"{writer}-{number}"
            self._put[name] = number
            try:
                with self._figures.timing():
                    await self._store.put_step(SESSION, name, {"name": name, "number": number})
            except StoreUnavailableError:
                self.refused += 1
            else:
                self._ledger[name] = number
                self._recent.append(name)
                self.acknowledged_at.append(time.time())
            self._news.set()

    async def _read(self) -> None:
        await self.acknowledgements(1)
        while not self._over.is_set():
            name = self._random.choice(self._recent)
            least = self._ledger[name]
            try:
                with self._figures.timing():
                    entry = await self._store.get_step(SESSION, name)
            except StoreUnavailableError:
                self.refused += 1
                self._news.set()
            else:
                if entry is None:
                    self._figures.lost += 1
                elif not least <= entry.value["number"] <= self._put[name]:
                    self._figures.wrong += 1


def ready_at(server: PostgresServer) -> float:
    """Return when the server last said that it takes connections, as ``time.time()``."""
    said = re.findall(r"^(\S+ \S+) UTC .*database system is ready to accept connections", server.log(), re.MULTILINE)
    return datetime.strptime(said[-1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
