"""Sessions: the handle that users hold, and what a runtime knows of a session while it is open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias

from anyio import Event

from jeeves_journal.flights import Flights
from jeeves_journal.protocol import JournalStore, ManagedJournalStore, ReadAheadStore
from jeeves_journal.records import JournalEntry, StepsAhead

ReadAhead: TypeAlias = Callable[[str], Awaitable[StepsAhead[Any]]]
"""From a session's id to its recorded steps."""


class JournaledSession:
    """A session that is open: its id, and signals from outside, say a human's approval.

    Signals live in memory, as long as the session is open, and are not recorded. To make one survive a restart, wait
    for it inside a step.

    Attributes:
        id: The session's id.
    """

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self._payloads: dict[str, deque[Any]] = {}
        self._arrivals: dict[str, Event] = {}

    async def deliver(self, name: str, payload: Any) -> None:
        """Hand a payload to one ``wait(name)``, now or later. Payloads of one name keep their order."""
        self._payloads.setdefault(name, deque()).append(payload)
        arrival = self._arrivals.pop(name, None)
        if arrival is not None:
            arrival.set()

    async def wait(self, name: str) -> Any:
        """Return the oldest payload that was delivered under this name and not yet handed out; wait for one if none is.

        A waiter that is cancelled takes no payload with it.
        """
        while name not in self._payloads:
            arrival = self._arrivals.get(name)
            if arrival is None:
                arrival = self._arrivals[name] = Event()
            await arrival.wait()
        payloads = self._payloads[name]
        payload = payloads.popleft()
        if not payloads:
            del self._payloads[name]
        return payload


class OpenSession:
    """What one runtime knows of a session while at least one of its ``session()`` blocks is open."""

    __slots__ = ("_loop", "_overtaken", "ahead", "flights", "handle", "id", "looked_ahead", "unrecorded", "visits")

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.handle = JournaledSession(session_id)
        self.visits = 0
        self._loop = _asyncio_loop()
        self.flights = Flights()
        # Results whose record is on its way, or whose caller was cancelled on that way.
        self.unrecorded: dict[str, Any] = {}
        # Recorded steps that nobody asked for yet. Never one that went to the store since they were read, so that they
        # cannot hide what this runtime recorded later.
        self.ahead = _nothing_ahead()
        self.looked_ahead = False
        self._overtaken: set[str] | None = None

    def is_stranded(self) -> bool:
        """Return whether the event loop that it was opened in is closed: what is under way there never ends."""
        return self._loop is not None and self._loop.is_closed()

    def asks_store(self, name: str) -> None:
        """Note that a step goes to the store: what is being read ahead of it is not to be used."""
        if self._overtaken is not None:
            self._overtaken.add(name)

    async def look_ahead(self, name: str, read: ReadAhead) -> None:
        """Read the session's other recorded steps at once, the first time that one was found recorded.

        Args:
            name: The step that was found.
            read: Asks the store.
        """
        if self.looked_ahead:
            return
        self.looked_ahead = True
        self._overtaken = overtaken = {name, *self.flights.names()}
        try:
            ahead = await read(self.id)
        # It only saves time. What is wrong with the store, the next step that needs the store will say.
        except Exception:
            return
        finally:
            self._overtaken = None
        if self.visits:
            for step in overtaken:
                ahead.rows.pop(step, None)
            self.ahead = ahead

    def end(self) -> None:
        """Let go of what was read ahead: tasks that outlive the session keep this object through their context."""
        self.ahead = _nothing_ahead()


class _Visit:
    """One ``session()`` block that is open in the current context."""

    __slots__ = ("outer", "owner", "session")

    def __init__(self, owner: OpenSessions, session: OpenSession, outer: _Visit | None) -> None:
        self.owner: OpenSessions | None = owner
        self.session = session
        self.outer = outer


_innermost: ContextVar[_Visit | None] = ContextVar("jeeves_journal_session", default=None)


class OpenSessions:
    """The sessions that are open in one runtime, by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, OpenSession] = {}

    def get(self, session_id: str) -> OpenSession | None:
        """Return the session of this id if it is open."""
        return self._by_id.get(session_id)

    def current(self) -> OpenSession | None:
        """Return the innermost of these that the current task is in; other runtimes' are passed over."""
        visit = _innermost.get()
        while visit is not None and visit.owner is not self:
            visit = visit.outer
        return None if visit is None else visit.session

    @contextmanager
    def visit(self, session_id: str) -> Generator[JournaledSession, None, None]:
        """Open a session, or join it if it is open, and make it the current one."""
        session = self._by_id.get(session_id)
        if session is None or session.is_stranded():
            session = self._by_id[session_id] = OpenSession(session_id)
        session.visits += 1
        visit = _Visit(self, session, _innermost.get())
        token = _innermost.set(visit)
        try:
            yield session.handle
        finally:
            try:
                _innermost.reset(token)
            except ValueError:
                # Left in another Context than it was entered in, say by a fixture. The one it was entered in keeps the
                # variable, so the visit itself has to say that it is over.
                visit.owner = None
            session.visits -= 1
            if not session.visits:
                if self._by_id.get(session_id) is session:
                    del self._by_id[session_id]
                session.end()


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        # Another kind of loop.
        return None


def reader_ahead(store: JournalStore, max_bytes: int) -> ReadAhead | None:
    """Return how this store reads a session at once, or ``None`` if it cannot.

    Args:
        store: Any store.
        max_bytes: Encoded size in bytes at which to stop. A third party's store whose only way is ``get_steps`` reads
            all.
    """
    if isinstance(store, ReadAheadStore):
        return partial(store.read_ahead, max_bytes=max_bytes)
    if isinstance(store, ManagedJournalStore):
        return partial(_read_entries, store)
    return None


async def _read_entries(store: ManagedJournalStore, session_id: str) -> StepsAhead[JournalEntry]:
    return StepsAhead(dict(await store.get_steps(session_id)), _value)


def _nothing_ahead() -> StepsAhead[JournalEntry]:
    return StepsAhead({}, _value)


def _value(entry: JournalEntry) -> Any:
    return entry.value
