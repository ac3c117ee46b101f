"""The runtime: runs a session's steps once each, and replays what is recorded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from functools import partial
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, overload

from jeeves_journal.keys import check_key
from jeeves_journal.protocol import JournalStore
from jeeves_journal.sessions import JournaledSession, OpenSession, OpenSessions, reader_ahead
from jeeves_journal.stores.memory import InMemoryJournalStore

P = ParamSpec("P")
T = TypeVar("T")

READ_AHEAD_BYTES: Final = 64 * 1024 * 1024
"""How much of a session's recorded steps, encoded, a replay keeps in memory at most."""


class JournaledRuntime:
    """Runs the steps of sessions over a journal: what is recorded is replayed, what is not runs and is recorded.

    The current session lives in a ContextVar, so that tasks inherit it. Works on asyncio and trio, as far as the store
    does. Satisfies JeevesAgent's ``Runtime`` protocol.

    Attributes:
        name: What kind of runtime this is.
    """

    name = "journaled"

    def __init__(self, store: JournalStore | None = None) -> None:
        """Run over a store of any kind; without one, over a new ``InMemoryJournalStore``."""
        self._store: JournalStore = InMemoryJournalStore() if store is None else store
        # Looked up here, as isinstance against a protocol takes longer than a replayed step.
        self._read_ahead = reader_ahead(self._store, READ_AHEAD_BYTES)
        self._sessions = OpenSessions()

    @property
    def store(self) -> JournalStore:
        """The store that keeps the records."""
        return self._store

    async def __aenter__(self) -> Self:
        """Return the runtime. No I/O happens."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the store. Closing again does nothing."""
        await self._store.aclose()

    @asynccontextmanager
    async def session(self, session_id: str) -> AsyncGenerator[JournaledSession, None]:
        """Make a session the current one inside the ``async with`` block, also for tasks that are started there.

        Blocks nest, also those of several runtimes: a step belongs to the innermost session of its own runtime. Blocks
        of the same id that are open at once share one handle, which is dropped when the last of them ends.

        Args:
            session_id: Which run this is. The same id finds the same records.

        Raises:
            InvalidKeyError: No store accepts the id.
        """
        with self._sessions.visit(check_key("session_id", session_id)) as handle:
            yield handle

    async def signal(self, session_id: str, name: str, payload: Any) -> None:
        """Deliver a payload to a session that is open in this runtime; do nothing if it is not, as JeevesAgent does.

        Raises:
            InvalidKeyError: No session can have this id.
        """
        session = self._sessions.get(check_key("session_id", session_id))
        if session is not None:
            await session.handle.deliver(name, payload)

    # The key has to be split off in an overload of its own: no keyword may stand between P.args and P.kwargs.
    @overload
    async def step(
        self, name: str, fn: Callable[..., Awaitable[T]], *args: Any, idempotency_key: str | None, **kwargs: Any
    ) -> T: ...

    @overload
    async def step(self, name: str, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def step(self, name: str, fn: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Return the recorded result of a step, or else run ``fn(*args, **kwargs)`` in this task and record its result.

        Calls of one step that overlap, in one session and runtime, share one run and its result or exception. If the
        caller that runs it is cancelled, one of the others takes over, beginning with the journal. A step that is
        entered from inside itself runs ``fn`` without recording it, and so does every step outside a session. Callers
        that share a run get the same object; a replayed result is a new one.

        A kill between the effect of ``fn`` and its record makes the step run again: steps run at least once. A result
        that is at hand is returned without giving way to other tasks.

        Args:
            name: The step's name, unique within the session.
            fn: What to run. If it raises, nothing is recorded.
            *args: Passed to ``fn``.
            **kwargs: Passed to ``fn``, but for ``idempotency_key``, which JeevesAgent's ``Runtime`` protocol has: it is
                not used, as a step's key is its name. Bind one called as a parameter here with ``functools.partial``.

        Raises:
            InvalidKeyError: No store accepts the name.
            EncodeError: The result cannot be recorded. ``fn`` has run.
            DecodeError: The recorded result cannot be read.
            StoreError: The store failed. Whether ``fn`` has run, and whether its result was recorded, is unknown.
        """
        # Also outside a session: whether a bad name is found should not depend on where the step runs.
        name = check_key("step_name", name)
        kwargs.pop("idempotency_key", None)
        session = self._sessions.current()
        if session is None:
            return await fn(*args, **kwargs)
        if name in session.ahead.rows:
            return session.ahead.take(name)
        return await self._ask_or_run(session, name, partial(fn, *args, **kwargs))

    def stream_step(
        self, name: str, fn: Callable[P, AsyncIterator[T]], *args: P.args, **kwargs: P.kwargs
    ) -> AsyncIterator[T]:
        """Return the recorded chunks of a step, or else those of ``fn(*args, **kwargs)``, recorded after the last one.

        The session is the one that is current at this call. A stream that raises or is not read to its end is not
        recorded, and runs again next time. Calls that overlap each run ``fn``. Outside a session nothing is recorded.

        Args:
            name: The step's name, unique among the session's streams.
            fn: What to run; an async generator function, say.
            *args: Passed to ``fn``.
            **kwargs: Passed to ``fn``.

        Returns:
            An async generator. To stop early, close it: it closes the iterator of ``fn`` too.

        Raises:
            InvalidKeyError: No store accepts the name.
        """
        name = check_key("step_name", name)
        session = self._sessions.current()
        start = partial(fn, *args, **kwargs)
        return _read(start) if session is None else self._replay_or_record(session.id, name, start)

    async def _ask_or_run(self, session: OpenSession, name: str, fn: Callable[[], Awaitable[Any]]) -> Any:
        """Run the step in single flight, then read ahead if it was found recorded."""

        async def lead() -> tuple[Any, bool]:
            entry = await self._store.get_step(session.id, name)
            if entry is not None:
                return entry.value, True
            if name not in session.unrecorded:
                session.unrecorded[name] = await fn()
            return await self._record(session, name), False

        async def run_directly() -> tuple[Any, bool]:
            return await fn(), False

        if not session.visits:
            # A task outlived its session() block. If the session is open again, share the runs with those inside.
            session = self._sessions.get(session.id) or session
        session.asks_store(name)
        value, recorded = await session.flights.run(name, lead, run_directly)
        if recorded and self._read_ahead is not None:
            await session.look_ahead(name, self._read_ahead)
        return value

    async def _record(self, session: OpenSession, name: str) -> Any:
        """Record the result that a step has returned, and return it.

        If the caller is cancelled meanwhile, the next one finds the result here and puts it again, which is always
        right, where running the step again would not be.
        """
        value = session.unrecorded[name]
        try:
            await self._store.put_step(session.id, name, value)
        except BaseException as error:
            if isinstance(error, Exception):
                session.unrecorded.pop(name, None)
            # A traceback with locals would show it.
            del value
            raise
        session.unrecorded.pop(name, None)
        return value

    async def _replay_or_record(
        self, session_id: str, name: str, start: Callable[[], AsyncIterator[T]]
    ) -> AsyncGenerator[T, None]:
        recorded = await self._store.get_stream(session_id, name)
        if recorded is not None:
            for chunk in recorded:
                yield chunk
            return
        chunks: list[T] = []
        live = _read(start)
        try:
            async for chunk in live:
                chunks.append(_as_it_is_now(chunk))
                yield chunk
                del chunk
        finally:
            await live.aclose()
        try:
            await self._store.put_stream(session_id, name, chunks)
        except BaseException:
            # As the chunk above: a traceback with locals would show them.
            del chunks
            raise


def _as_it_is_now(chunk: T) -> T:
    """Return a chunk that no later change reaches: streams often yield one object that grows."""
    if isinstance(chunk, str | bytes):
        return chunk
    try:
        return deepcopy(chunk)
    except Exception:
        # What cannot be copied is recorded as it is at the end, if it can be recorded at all.
        return chunk


async def _read(start: Callable[[], AsyncIterator[T]]) -> AsyncGenerator[T, None]:
    """Yield an iterator's chunks, and close it however this ends."""
    chunks = start()
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
