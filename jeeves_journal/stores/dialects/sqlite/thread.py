"""The thread that aiosqlite keeps for a connection: its beginning, and one hop to it.

aiosqlite offers no public way to run a function there; SQLAlchemy's dialect reaches into the same queue. A task around
aiosqlite's own coroutine would take as long as a read does.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from threading import Thread
from typing import Any, Generic, TypeVar, cast

import aiosqlite

from jeeves_journal.errors import StoreClosedError

T = TypeVar("T")


async def connect_driver(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    """Connect by aiosqlite; where that fails, return only when nothing is left of it.

    aiosqlite does not wait for the end of its thread then, which would tell of its end to an event loop that may be
    closed by that time.
    """
    connection = aiosqlite.connect(*arguments, **options)
    thread: Thread = cast("Any", connection)._thread
    # As SQLAlchemy does: a store that nobody closes does not keep the process alive.
    thread.daemon = True
    try:
        return await connection
    except BaseException:
        await asyncio.to_thread(thread.join)
        raise


async def on_thread(driver: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run a function on aiosqlite's thread, in one hop, and return only when it has ended, also if cancelled.

    Nothing can stop it there. A caller that went on would let the next batch, on another connection, overtake this one,
    and be overwritten by it later.

    Raises:
        StoreClosedError: The connection is closed.
    """
    private: Any = driver
    raw: sqlite3.Connection | None = private._connection
    if raw is None or not private._running:
        raise StoreClosedError("the connection was closed during the call", "make the call again")
    outcome = _Outcome[T](private._thread)
    # Without a future of aiosqlite's: it could not tell of the result to an event loop that is closed, and its thread
    # would end by that.
    private._tx.put_nowait((None, _Job(work, raw, outcome)))
    try:
        return await outcome
    finally:
        # An error's traceback leads here, and from here to the error.
        del outcome


async def end(driver: aiosqlite.Connection) -> None:
    """Close a connection and end its thread. Whoever is cancelled does not wait for it; it happens all the same.

    aiosqlite's own closing that is interrupted half-way waits for the thread a second time, and without an end.
    """
    private: Any = driver
    raw: sqlite3.Connection | None = private._connection
    if raw is None or not private._running:
        return
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def close_and_stop(connection: sqlite3.Connection) -> None:
        connection.close()
        # From here, where no event loop runs that it could report to.
        private.stop()

    private._tx.put_nowait((None, _Job(close_and_stop, raw, outcome)))
    await outcome


class _Outcome(asyncio.Future[T]):
    """What comes of a job. A task that waits for it is cancelled when it is there, and not before."""

    def __init__(self, thread: Thread) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._thread = thread

    def cancel(self, msg: Any = None) -> bool:
        # In the child of a fork the thread is not there, and nothing would ever come.
        return not self._thread.is_alive() and super().cancel(msg)


class _Job(Generic[T]):
    """A function's one run.

    aiosqlite's thread holds on to a job until it has another one, so once it was run it holds on to nothing. The
    parameters are inside the function, since aiosqlite logs its own arguments at DEBUG.
    """

    __slots__ = ("_parts",)

    def __init__(
        self, work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection, outcome: asyncio.Future[T]
    ) -> None:
        self._parts: tuple[Callable[[sqlite3.Connection], T], sqlite3.Connection, asyncio.Future[T]] | None
        self._parts = work, connection, outcome

    def __call__(self) -> None:
        parts, self._parts = self._parts, None
        if parts is None:
            return
        work, connection, outcome = parts
        tell = outcome.get_loop().call_soon_threadsafe
        try:
            result = work(connection)
        except BaseException as error:
            tell(_fail, outcome, error)
        else:
            tell(_succeed, outcome, result)
        finally:
            # And here.
            del parts, work, outcome


def _succeed(outcome: asyncio.Future[T], result: T) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _fail(outcome: asyncio.Future[Any], error: BaseException) -> None:
    if not outcome.done():
        outcome.set_exception(error)
