"""Single flight: calls of one step that overlap share one run.

The first caller leads: the run happens in its own task, so that ContextVars and cancel scopes are the caller's. Whoever
asks meanwhile follows, and gets the leader's result or error. A leader that is cancelled leaves the run to a follower.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar

from anyio import Event

T = TypeVar("T")


class _Run:
    """One caller's attempt at a step. A task may outlive the run that started it, and is then inside it no longer."""

    __slots__ = ("awaited",)

    def __init__(self) -> None:
        # The flights that this run waits for as a follower.
        self.awaited: list[_Flight] = []


class _Flight:
    """One step that somebody runs, or is about to."""

    __slots__ = ("changed", "error", "followers", "result", "run", "traceback")

    def __init__(self) -> None:
        # None while nobody leads.
        self.run: _Run | None = None
        self.followers = 0
        # Made when the first follower comes: most runs never have one.
        self.changed: Event | None = None
        # In a tuple, as a result may be None.
        self.result: tuple[Any] | None = None
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None

    def waits_for(self, callers: tuple[_Run, ...]) -> bool:
        """Return whether the run that is under way cannot end before one of the callers' runs has."""
        run = self.run
        return run is not None and (run in callers or any(other.waits_for(callers) for other in run.awaited))

    async def change(self) -> None:
        """Wait until the leader is done or gone."""
        if self.changed is None:
            self.changed = Event()
        await self.changed.wait()

    def announce(self) -> None:
        """Wake the followers."""
        if self.changed is not None:
            self.changed.set()
            self.changed = None


# The runs that the current task is inside of, outermost first. Tasks that a run starts inherit it.
_inside: ContextVar[tuple[_Run, ...]] = ContextVar("jeeves_journal_inside", default=())


class Flights:
    """The steps of one session that are under way."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Flight] = {}

    def names(self) -> set[str]:
        """Return the names of the steps that are under way."""
        return set(self._by_name)

    async def run(self, name: str, lead: Callable[[], Awaitable[T]], directly: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the run of this step that is under way, or else run it.

        Args:
            name: The step's name.
            lead: Does the work, for this caller and all that come meanwhile.
            directly: Is called instead if waiting would never end: this call comes from inside the step itself, or
                from a run that the step waits for.

        Raises:
            Exception: What the run raised; each caller gets the same object.
        """
        flight = self._by_name.get(name)
        if flight is None:
            flight = _Flight()
        else:
            callers = _inside.get()
            if flight.waits_for(callers):
                return await directly()
            result: tuple[T] | None = await self._follow(name, flight, callers)
            if result is not None:
                return result[0]
        return await self._lead(name, flight, lead)

    async def _lead(self, name: str, flight: _Flight, lead: Callable[[], Awaitable[T]]) -> T:
        self._by_name[name] = flight
        flight.run = run = _Run()
        token = _inside.set((*_inside.get(), run))
        try:
            result = await lead()
        except Exception as error:
            del self._by_name[name]
            if flight.followers:
                flight.error, flight.traceback = error, error.__traceback__
            raise
        except BaseException:
            # Cancelled. With followers the flight stays listed, so that one of them, or a newcomer, takes it over.
            if not flight.followers:
                del self._by_name[name]
            raise
        else:
            del self._by_name[name]
            if flight.followers:
                flight.result = (result,)
            return result
        finally:
            flight.run = None
            flight.announce()
            # ValueError: an abandoned coroutine is closed by the garbage collector, in whatever context that runs.
            with suppress(ValueError):
                _inside.reset(token)

    async def _follow(self, name: str, flight: _Flight, callers: tuple[_Run, ...]) -> tuple[Any] | None:
        """Return the run's result in a tuple, or ``None`` if its leader is gone and the caller is to lead."""
        flight.followers += 1
        for caller in callers:
            caller.awaited.append(flight)
        try:
            # More than once if a follower that took over is cancelled, too.
            while flight.run is not None:
                await flight.change()
            if flight.error is not None:
                # Each follower starts from the run's own traceback, or it would grow with every one.
                raise flight.error.with_traceback(flight.traceback)
            return flight.result
        finally:
            for caller in callers:
                caller.awaited.remove(flight)
            flight.followers -= 1
            if not flight.followers:
                self._leave(name, flight)

    def _leave(self, name: str, flight: _Flight) -> None:
        """Let go of what only followers needed, when the last of them leaves."""
        # The error's traceback holds frames that hold the flight: a cycle.
        flight.result = flight.error = flight.traceback = None
        if flight.run is None and self._by_name.get(name) is flight:
            del self._by_name[name]
