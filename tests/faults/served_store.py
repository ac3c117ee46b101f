"""A store in a process of its own, so that it can be killed in the middle of what it does."""

from __future__ import annotations

import asyncio
import io
import pickle
from contextlib import ExitStack, suppress
from itertools import count
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from jeeves_journal import JournalStore
from jeeves_journal.testing.values import Unencodable
from tests.faults.forked import forked


def serve(connection: Connection, url: str) -> None:
    """Make the calls of a store that are asked for, until killed."""
    asyncio.run(_serve(connection, url))


async def _serve(connection: Connection, url: str) -> None:
    store: Any = JournalStore.from_url(url)
    calls: dict[int, asyncio.Task[None]] = {}
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def call(number: int, method: str, arguments: tuple[Any, ...]) -> None:
        try:
            answer = (number, await getattr(store, method)(*arguments), None)
        except Exception as error:
            answer = (number, None, error)
        connection.send(answer)
        calls.pop(number, None)

    def begin(number: int, method: str, arguments: tuple[Any, ...]) -> None:
        nonlocal store
        if method == "open":
            store = JournalStore.from_url(url)
        elif method != "cancel":
            calls[number] = asyncio.create_task(call(number, method, arguments))
        elif number in calls:
            calls.pop(number).cancel()

    def hear() -> None:
        try:
            while True:
                loop.call_soon_threadsafe(begin, *_Unpickler(io.BytesIO(connection.recv_bytes())).load())
        except EOFError:
            loop.call_soon_threadsafe(gone.set)

    # So that whoever asks never waits for us to listen while we wait for him.
    Thread(target=hear, daemon=True).start()
    await gone.wait()


class KilledError(Exception):
    """The process was killed before it answered."""


class ServedStore:
    """A store's methods, made in another process.

    Attributes:
        url: Of the journal.
        acknowledged: How many puts returned.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.acknowledged = 0
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.start()

    def start(self) -> None:
        """Start a process with a store."""
        self._running = ExitStack()
        self._process = self._running.enter_context(forked(serve, self.url, duplex=True))

    def open(self) -> None:
        """Open another store in the same process."""
        self._ask(next(self._numbers), "open")

    def kill(self) -> None:
        """Kill the process. Calls that it did not answer raise KilledError."""
        asyncio.get_running_loop().remove_reader(self._process.connection.fileno())
        self._process.kill()
        # Linux tells of a reset if there was a question left that nobody read.
        with suppress(EOFError, ConnectionResetError):
            while True:
                self._hear()
        for answer in self._waiting.values():
            answer.set_exception(KilledError())
        self._waiting.clear()
        self.stop()

    def stop(self) -> None:
        """Leave nothing running."""
        self._running.close()

    async def __call__(self, method: str, *arguments: Any) -> Any:
        loop, number = asyncio.get_running_loop(), next(self._numbers)
        answer = self._waiting[number] = loop.create_future()
        loop.add_reader(self._process.connection.fileno(), self._hear)
        self._ask(number, method, *arguments)
        try:
            result = await answer
        except asyncio.CancelledError:
            del self._waiting[number]
            self._ask(number, "cancel")
            raise
        self.acknowledged += method.startswith("put_")
        return result

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments: self(method, *arguments)

    def _ask(self, number: int, method: str, *arguments: Any) -> None:
        buffer = io.BytesIO()
        _Pickler(buffer).dump((number, method, arguments))
        self._process.connection.send_bytes(buffer.getvalue())

    def _hear(self) -> None:
        number, result, error = self._process.connection.recv()
        answer = self._waiting.pop(number, None)
        if answer is None:
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)


class _Pickler(pickle.Pickler):
    """Also takes what cannot be pickled, to be refused on the other side."""

    def persistent_id(self, value: Any) -> str | None:
        return "unencodable" if isinstance(value, Unencodable) else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, name: str) -> Unencodable:
        return Unencodable()
