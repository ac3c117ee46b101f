"""What was put and what was acknowledged, kept outside the database, and what must therefore be found in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from random import Random
from typing import Any, Final, Literal, NamedTuple

from jeeves_journal import JournalStore, ManagedJournalStore, StoreUnavailableError
from tests.faults.figures import Figures

Kind = Literal["step", "stream"]
KINDS: Final[tuple[Kind, ...]] = ("step", "stream")

# In bytes. So many that most answers come in several pieces, and a few that are far larger than the others.
SIZES: Final = (*(20, 40, 60) * 8, *(500,) * 24, 1_000, 8_000)

# Read on their own as well, once all of a session was read at once.
_READ_ALONE: Final = 20


class Record(NamedTuple):
    """What is overwritten by a later put, and by nothing else. Names hold no spaces."""

    kind: Kind
    session: str
    name: str


class Ledger:
    """What became of each put.

    Each put is of a version of its own. Puts of one record, if several are under way at once, must go through one
    store, which keeps their order: a record must hold the highest version that was acknowledged, or a higher one that
    was put and not acknowledged.

    Attributes:
        figures: Where puts, and what is lost or wrong, are counted.
        puts: How many began; the latest version.
        issued: The versions of each record that were put.
        acknowledged: The highest version of each record whose put returned.
        acknowledged_at: When each acknowledgement came, as ``time.time()``.
        complaints: What the errors said of calls that were refused.
        lost: Records that are not there, or hold what was there before the acknowledged version.
        wrong: Records that hold what was never put there.
        tell: Told of every event, as a line that ``hear`` understands.
    """

    def __init__(self, figures: Figures, *, sizes: tuple[int, ...] = SIZES) -> None:
        """Begin with nothing.

        Args:
            figures: See above.
            sizes: Of values, in bytes; each is as likely.
        """
        self.figures = figures
        self.puts = 0
        self.issued: dict[Record, set[int]] = {}
        self.acknowledged: dict[Record, int] = {}
        self.acknowledged_at: list[float] = []
        self.complaints: set[str] = set()
        self.lost: set[Record] = set()
        self.wrong: set[Record] = set()
        self.tell: Callable[[str], object] | None = None
        self._sizes = sizes
        self._sessions: dict[str, dict[Record, None]] = {}

    async def put(self, store: JournalStore, record: Record) -> None:
        """Put the next version of a record; what the store raises is raised."""
        version = self.puts + 1
        self._note("issued", record, version)
        put = store.put_step if record.kind == "step" else store.put_stream
        with self.figures.timing():
            await put(record.session, record.name, self.value_of(record, version))
        self._note("acknowledged", record, version)

    async def get(self, store: JournalStore, record: Record) -> None:
        """Read a record, one that was never put too, and check it."""
        at_least = self.acknowledged.get(record, 0)
        with self.figures.timing():
            value = await _read(store, record)
        self.check(record, value, at_least)

    async def get_steps(self, store: ManagedJournalStore, session: str) -> None:
        """Read all steps of a session, and check that they are there, and no others."""
        at_least = {record: self.acknowledged.get(record, 0) for record in self._records(session, "step")}
        with self.figures.timing():
            found = await store.get_steps(session)
        for record in {*at_least, *(Record("step", session, name) for name in found)}:
            value = found[record.name].value if record.name in found else None
            self.check(record, value, at_least.get(record, 0))

    async def is_answered(self, call: Awaitable[None]) -> bool:
        """Return whether a call is answered, or else refused; any other error is raised."""
        try:
            await call
        except StoreUnavailableError as error:
            self.figures.refused += 1
            self.complaints.add(str(error))
            return False
        return True

    async def compare(self, store: ManagedJournalStore, sessions: Collection[str] | None = None) -> None:
        """Check all that was ever put, or put into some sessions."""
        for session in self.sessions() if sessions is None else sessions:
            await self.get_steps(store, session)
            alone = [*self._records(session, "step")[:_READ_ALONE], *self._records(session, "stream")]
            await asyncio.gather(*(self.get(store, record) for record in alone))

    async def verify(self, url: str, sessions: Collection[str] | None = None) -> None:
        """Compare with what a store of its own finds."""
        async with JournalStore.from_url(url) as store:
            await self.compare(store, sessions)

    def check(self, record: Record, value: Any, at_least: int) -> None:
        """Note if a record does not hold what it must; ``None`` stands for no record."""
        version = _version_in(value)
        if value is not None and not (version in self.issued.get(record, ()) and self.is_whole(record, value)):
            self._note("wrong", record, version)
        elif version < at_least:
            self._note("lost", record, version)

    def is_whole(self, record: Record, value: Any) -> bool:
        """Return whether a value is all of one version of a record, whoever put it."""
        return bool(value == self.value_of(record, _version_in(value)))

    def value_of(self, record: Record, version: int) -> list[Any]:
        """Return the value of one version of one record, and of no other; it cannot be compressed."""
        chance = Random(f"{record} {version}")
        return [*record, version, chance.randbytes(chance.choice(self._sizes))]

    def sessions(self) -> set[str]:
        """Return all that something was put into."""
        return set(self._sessions)

    def about(self, sessions: Collection[str]) -> Ledger:
        """Return a ledger for whoever goes on putting into some sessions, and has to know of no others."""
        part = Ledger(Figures(), sizes=self._sizes)
        part.puts = self.puts
        part._sessions = {session: self._sessions[session] for session in sessions}
        records = [record for session in sessions for record in self._sessions[session]]
        part.issued = {record: self.issued[record] for record in records}
        part.acknowledged = {record: self.acknowledged[record] for record in records if record in self.acknowledged}
        return part

    def hear(self, line: str) -> None:
        """Note what another ledger told of."""
        word, version, kind, session, name = line.split(" ")
        self._note(word, Record("step" if kind == "step" else "stream", session, name), int(version))

    def _note(self, word: str, record: Record, version: int) -> None:
        match word:
            case "issued":
                self.puts += 1
                self.issued.setdefault(record, set()).add(version)
                self._sessions.setdefault(record.session, {})[record] = None
                # Until it is known.
                self.figures.unknown += 1
            case "acknowledged":
                self.acknowledged[record] = max(self.acknowledged.get(record, 0), version)
                self.acknowledged_at.append(time.time())
                self.figures.acknowledged += 1
                self.figures.unknown -= 1
            case "lost":
                self.figures.lost += record not in self.lost
                self.lost.add(record)
            case "wrong":
                self.figures.wrong += record not in self.wrong
                self.wrong.add(record)
            case _:
                raise ValueError(word)
        if self.tell is not None:
            self.tell(f"{word} {version} {' '.join(record)}")

    def _records(self, session: str, kind: Kind) -> list[Record]:
        return [record for record in self._sessions.get(session, ()) if record.kind == kind]


def _version_in(value: Any) -> int:
    """Return the version that a value says it is, or else 0, which none is."""
    return value[3] if isinstance(value, list) and len(value) == 5 and isinstance(value[3], int) else 0


async def _read(store: JournalStore, record: Record) -> Any:
    if record.kind == "stream":
        return await store.get_stream(record.session, record.name)
    entry = await store.get_step(record.session, record.name)
    return None if entry is None else entry.value
