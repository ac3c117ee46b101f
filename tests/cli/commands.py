"""Commands, as a shell calls them."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

RUN_MAIN = "import sys; from jeeves_journal.cli import main; sys.exit(main())"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def run(*arguments: str, code: str = RUN_MAIN) -> Ended:
    """Run a command in a process of its own, as a shell does."""
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def succeed(*arguments: str) -> str:
    """Run a command that must do what was asked and say nothing on stderr; return its output."""
    ended = run(*arguments)
    assert (ended.code, ended.stderr) == (0, "")
    return ended.stdout


def fail(*arguments: str, code: str = RUN_MAIN) -> str:
    """Run a command that must fail in one line; return that line."""
    ended = run(*arguments, code=code)
    assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), ended.stderr
    return ended.stderr
