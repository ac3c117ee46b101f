"""Processes to be killed: forked from one that has the library loaded, many times faster than Python starts."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "alembic.command",
        "jeeves_journal.factory",
        "jeeves_journal.stores.dialects.postgres.own",
        "jeeves_journal.stores.dialects.sqlite.in_file",
        "jeeves_journal.stores.named",
        # Every child imports the program that its parent runs.
        "pytest",
        "tests.faults.acknowledgers",
        "tests.faults.served_store",
        "tests.faults.writers",
    ]
)


# With each child that it starts, multiprocessing looks whether others have ended. Where another thread waits for one at
# the same moment, only one of the two is told of how it ended.
_LOCK: Final = Lock()


class Forked:
    """One process at work.

    Attributes:
        pid: Its id.
        connection: Our end of a pipe whose other end is the first argument of what the process does.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any, duplex: bool) -> None:
        """Start a process that does some work, a function of a module."""
        self.connection, other = _CONTEXT.Pipe(duplex)
        self._process = _CONTEXT.Process(target=work, args=(other, *arguments), daemon=True)
        with _LOCK:
            self._process.start()
        other.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def kill(self) -> None:
        """End the process by SIGKILL and return once it is gone; the connection still holds what it said."""
        self.end()
        assert self._process.exitcode == -signal.SIGKILL, f"it had ended before, with {self._process.exitcode}"

    def end(self) -> None:
        """End the process, if it is still there."""
        with _LOCK:
            self._process.kill()
            self._process.join()


@contextmanager
def forked(work: Callable[..., None], *arguments: Any, duplex: bool = False) -> Iterator[Forked]:
    """A process at work, which is gone afterwards.

    Args:
        work: A function of a module; its first argument is a connection to us.
        arguments: Its further arguments.
        duplex: Whether we tell it anything. Else it only speaks.
    """
    process = Forked(work, *arguments, duplex=duplex)
    try:
        yield process
    finally:
        process.end()
        process.connection.close()
