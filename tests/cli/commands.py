"""Commands, as a shell calls them."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

from jeeves_journal import cli

RUN_MAIN = "import sys; from jeeves_journal.cli import main; sys.exit(main())"

# Whoever leads a session and opens a terminal has it: so Ctrl-C is a signal. In the background, shells have it ignored.
_TAKE_TERMINAL = (
    "import os, signal; os.close(os.open(os.ttyname(0), os.O_RDWR)); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def run(*arguments: str) -> Ended:
    """Run a command in this process, which has no terminal."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["jeeves-journal", *arguments], io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv, sys.stdin = before
    assert isinstance(code, int)
    return Ended(code, *(each.buffer.getvalue().decode() for each in (out, err)))


def run_apart(*arguments: str, code: str = RUN_MAIN, **options: Any) -> Ended:
    """Run a command in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def succeed(*arguments: str) -> str:
    """Run a command that must do what was asked and say nothing on stderr; return its output."""
    ended = run(*arguments)
    assert (ended.code, ended.stderr) == (0, "")
    return ended.stdout


def succeed_in_json(*arguments: str) -> Any:
    """Run a command with ``--json`` that must do what was asked; return its document."""
    return json.loads(succeed(*arguments, "--json"))


def fail(*arguments: str, code: int = 1) -> str:
    """Run a command that must fail in one line; return that line."""
    return one_line(run(*arguments), code=code)


def one_line(ended: Ended, *, code: int = 1) -> str:
    """Return the one line that a command failed with."""
    assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (code, "", 1), ended
    return ended.stderr


class Terminal:
    """A command that was started on a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self.text = ""

    def wait_for(self, wanted: str) -> None:
        """Wait until the terminal shows this."""
        while wanted not in self.text:
            self.wait_for_more()

    def wait_for_more(self) -> None:
        """Wait until the terminal shows anything more."""
        assert self._read(), f"it ended, or stands still: {self.text}"

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._screen, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        while self._read():
            pass
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end: {self.text}") from None

    def _read(self) -> bool:
        if not select.select([self._screen], [], [], 60)[0]:
            return False
        try:
            read = os.read(self._screen, 65_536)
        except OSError:
            # So Linux tells that nobody has the terminal open any more.
            return False
        self.text += read.decode(errors="replace").replace("\r\n", "\n")
        return bool(read)


@contextmanager
def on_terminal(*arguments: str, kind: str = "xterm", columns: int = 100, code: str = RUN_MAIN) -> Iterator[Terminal]:
    """Start a command on a terminal of so many columns, of the kind that TERM names."""
    screen, slave = pty.openpty()
    environment = {**os.environ, "TERM": kind, "COLUMNS": str(columns)}
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL + code, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def shown_on_terminal(*arguments: str, columns: int = 100) -> str:
    """Return what a command that needs no answers shows on a terminal."""
    with on_terminal(*arguments, columns=columns) as terminal:
        assert terminal.end() == 0, terminal.text
        return terminal.text
