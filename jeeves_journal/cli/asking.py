"""Asking before something is destroyed."""

from __future__ import annotations

import sys

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
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
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
