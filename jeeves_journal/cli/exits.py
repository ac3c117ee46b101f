"""How a command ends: the exit codes, and the one line that says why."""

from __future__ import annotations

import sys
from typing import Final, NoReturn

from jeeves_journal.cli.text import in_one_line
from jeeves_journal.errors import InvalidKeyError, JournalError, NotRecordedError

COULD_NOT: Final = 1
NOT_UNDERSTOOD: Final = 2
NOT_CONFIRMED: Final = 3
NOT_RECORDED: Final = 4
INTERRUPTED: Final = 130

MEANINGS: Final = {
    0: "done",
    COULD_NOT: "could not: the database or the file refused, or a record was refused",
    NOT_UNDERSTOOD: "not understood: an unknown command or option, or a value that cannot be used",
    NOT_CONFIRMED: "not confirmed: nothing was done",
    NOT_RECORDED: "there is no such session or step",
    INTERRUPTED: "interrupted: what was done so far is kept, and whole",
}
EPILOG: Final = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items()) + "."


class NotConfirmed(Exception):  # noqa: N818  # no error: somebody said no
    """What destroys was not confirmed."""


class NotWritten(Exception):  # noqa: N818  # it says what happened
    """What a command printed could not be written."""


def code_of(error: JournalError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, NotRecordedError):
        return NOT_RECORDED
    return NOT_UNDERSTOOD if isinstance(error, InvalidKeyError) else COULD_NOT


def warn(message: str) -> None:
    """Say something on stderr, in one line."""
    sys.stderr.write(f"jeeves-journal: {in_one_line(message)}\n")


def fail(message: str, code: int = COULD_NOT) -> NoReturn:
    """Say why in one line on stderr, and exit."""
    warn(message)
    sys.exit(code)
