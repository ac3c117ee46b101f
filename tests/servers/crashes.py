"""How a Postgres server of ours comes to harm from outside: killed, as the kernel does, or silent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.postgres import PostgresServer


def postmaster_of(server: PostgresServer) -> int:
    """Return the process id of a running server's first process."""
    return int((server.folder / "data" / "postmaster.pid").read_text().partition("\n")[0])


def children_of(parent: int) -> list[int]:
    """Return the process ids of a process's children."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            # The name, in brackets, may hold anything.
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                found.append(int(entry.name))
    return found


def kill_postmaster(server: PostgresServer) -> None:
    """SIGKILL a server's first process, and see to what it leaves behind, as an operator has to.

    The others notice and end. While one does not, the next server refuses to start: the shared memory is in use.
    """
    postmaster = postmaster_of(server)
    orphans = children_of(postmaster)
    os.kill(postmaster, signal.SIGKILL)
    patience = time.monotonic() + 5
    while orphans := [each for each in orphans if is_running(each)]:
        if time.monotonic() > patience:
            _send(signal.SIGKILL, orphans)
        time.sleep(0.01)
    # The supervisor is told that there is nothing to stop any more.
    server.stop("immediate")


@contextmanager
def fallen_silent(server: PostgresServer) -> Iterator[None]:
    """The server's connections stay open, the kernel accepts new ones, and nobody answers."""
    postmaster = postmaster_of(server)
    stopped = [postmaster]
    try:
        # The first process first, or it starts others meanwhile.
        os.kill(postmaster, signal.SIGSTOP)
        stopped += children_of(postmaster)
        _send(signal.SIGSTOP, stopped)
        yield
    finally:
        _send(signal.SIGCONT, stopped)


def _send(what: signal.Signals, processes: list[int]) -> None:
    for each in processes:
        with suppress(ProcessLookupError):
            os.kill(each, what)


def is_running(process: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
