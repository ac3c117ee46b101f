"""Asking before something is destroyed."""

from __future__ import annotations

import select
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

from jeeves_journal.cli.exits import NotConfirmed
from jeeves_journal.cli.text import in_one_line


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether to go on, unless that was said already.

    Raises:
        NotConfirmed: The answer is no, or there is no terminal to ask on.
    """
    if yes:
        return
    question = in_one_line(question)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NotConfirmed(f"{question} There is no terminal to ask on, and nothing was done: say it with --yes")
    try:
        with _signals_noted() as noted:
            sys.stderr.write(f"{question} [y/N] ")
            sys.stderr.flush()
            _wait_for_a_line_or_a_signal(noted)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        # Behind the question stands ^C.
        sys.stderr.write("\n")
        raise
    if not answer.endswith("\n"):
        # Ctrl-D leaves the cursor behind the question.
        sys.stderr.write("\n")
    if answer.strip().lower() not in ("y", "yes"):
        raise NotConfirmed("nothing was done")


@contextmanager
def _signals_noted() -> Generator[socket.socket]:
    """Have Python write each signal that comes to a socket; yield the other end of it."""
    noted, note = socket.socketpair()
    with noted, note:
        note.settimeout(0)
        before = signal.set_wakeup_fd(note.fileno(), warn_on_full_buffer=False)
        try:
            yield noted
        finally:
            signal.set_wakeup_fd(before)


def _wait_for_a_line_or_a_signal(noted: socket.socket) -> None:
    """Wait until the terminal has a line, or raise what a signal that came raises.

    A read would not end for a signal that comes in the moment before it begins: Python only notes it, and Ctrl-C would
    wait for the next key.
    """
    if sys.platform == "win32":
        # There, a terminal cannot be waited for so.
        return
    # A process that has over a thousand files open has to do without.
    with suppress(ValueError):
        while sys.stdin not in select.select([sys.stdin, noted], [], [])[0]:
            # Others raise nothing, such as that of a window that was resized. And what Ctrl-C raises, Python drops
            # where it happens to be collecting garbage.
            if noted.recv(1)[0] == signal.SIGINT:
                raise KeyboardInterrupt
