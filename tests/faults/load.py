"""Writers that keep a ledger of what was acknowledged, and read it back while something goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from jeeves_journal import SQLAlchemyJournalStore, StoreUnavailableError
from tests.faults.figures import Figures

T = TypeVar("T")

KEYS_PER_WRITER = 5
# Enough that a value cannot be right by chance, and that answers come in several pieces.
_PADDING = 500


def value_of(session: str, step: str, version: int) -> tuple[str, str, int, str]:
    """Return what a writer puts: it says where it belongs."""
    return session, step, version, "x" * _PADDING


class Ledger:
    """What one writer was told, by step: kept outside the database.

    Each step has one writer, who puts one version after the other: a step must hold the last version that was
    acknowledged, or one that was put after it without an answer.
    """

    def __init__(self, session: str, figures: Figures) -> None:
        self.session = session
        self._figures = figures
        self._acknowledged: dict[str, int] = {}
        self._tried: dict[str, int] = {}
        self.versions = 0

    async def put(self, step: str, put: Callable[[tuple[str, str, int, str]], Awaitable[None]]) -> None:
        """Put the next version and note what became of it."""
        self.versions += 1
        version = self.versions
        self._tried[step] = version
        with self._figures.timing():
            try:
                await put(value_of(self.session, step, version))
            except StoreUnavailableError:
                self._figures.unknown += 1
                self._figures.refused += 1
                return
        self._acknowledged[step] = version
        self._figures.acknowledged += 1

    def check(self, step: str, value: object) -> None:
        """Count a step as lost or wrong that does not hold what it must; ``None`` stands for no record."""
        acknowledged, tried = self._acknowledged.get(step, 0), self._tried.get(step, 0)
        if value is None:
            self._figures.lost += acknowledged > 0
            return
        version = value[2] if isinstance(value, tuple) and len(value) == 4 else -1
        if value != value_of(self.session, step, version) or version > tried:
            self._figures.wrong += 1
        elif version < acknowledged:
            self._figures.lost += 1

    def check_all(self, values: dict[str, object]) -> None:
        """Check every step that was ever put."""
        for step in self._tried:
            self.check(step, values.get(step))


class Writer:
    """One task that puts, gets and streams under keys of its own."""

    def __init__(self, store: SQLAlchemyJournalStore, number: int, figures: Figures, dice: random.Random) -> None:
        self.store = store
        self.steps = Ledger(f"writer-{number}", figures)
        self.streams = Ledger(f"writer-{number}", figures)
        self._figures = figures
        self._dice = random.Random(dice.random())

    async def work_until(self, over: asyncio.Event) -> None:
        """Call again and again; nothing but ``StoreUnavailableError`` may be raised."""
        while not over.is_set():
            await self.call_once()

    async def call_once(self) -> None:
        """Make one call, whichever."""
        session, step = self.steps.session, f"{self._dice.randrange(KEYS_PER_WRITER)}"
        choice = self._dice.random()
        if choice < 0.6:
            await self.put_step(step)
        elif choice < 0.7:
            await self.streams.put(step, lambda value: self.store.put_stream(session, step, list(value)))
        elif choice < 0.85:
            await self.check_step(step)
        elif choice < 0.95:
            chunks = await self._tell(self.store.get_stream(session, step))
            if chunks is not REFUSED:
                self.streams.check(step, None if chunks is None else tuple(chunks))
        else:
            entries = await self._tell(self.store.get_steps(session))
            if entries is not REFUSED:
                self.steps.check_all({name: entry.value for name, entry in entries.items()})

    async def put_step(self, step: str) -> None:
        """Put the next version of a step."""
        await self.steps.put(step, lambda value: self.store.put_step(self.steps.session, step, value))

    async def check_step(self, step: str) -> None:
        """Read a step and compare it with the ledger."""
        found = await self._tell(self.store.get_step(self.steps.session, step))
        if found is not REFUSED:
            self.steps.check(step, None if found is None else found.value)

    async def _tell(self, call: Awaitable[T]) -> T:
        with self._figures.timing():
            try:
                return await call
            except StoreUnavailableError:
                self._figures.refused += 1
                return REFUSED

    async def check_everything(self, store: SQLAlchemyJournalStore) -> None:
        """Compare the whole ledger with what a store finds."""
        entries = await store.get_steps(self.steps.session)
        self.steps.check_all({name: entry.value for name, entry in entries.items()})
        streams = {f"{n}": await store.get_stream(self.streams.session, f"{n}") for n in range(KEYS_PER_WRITER)}
        self.streams.check_all({step: None if chunks is None else tuple(chunks) for step, chunks in streams.items()})


# What a call that was refused returns here, where None means that nothing is recorded.
REFUSED: object = object()


@asynccontextmanager
async def under_load(writers: list[Writer]) -> AsyncIterator[None]:
    """All writers work while the body does; afterwards the last call of each has ended."""
    over = asyncio.Event()
    working = asyncio.gather(*(writer.work_until(over) for writer in writers))
    try:
        yield
    finally:
        over.set()
        await working
