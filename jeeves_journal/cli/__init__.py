"""The command ``jeeves-journal``. It needs the extra ``cli``."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

from jeeves_journal.errors import JournalError

_BROUGHT_BY_THE_EXTRA = {"rich", "typer"}


def main() -> None:
    """Run the command that the process's arguments name, and exit.

    The exit code is 0 when it did what was asked, 1 when it could not, and 2 when it was not understood. An error of
    ours is one line on stderr: no traceback, whose locals might hold a password.
    """
    try:
        from jeeves_journal.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _BROUGHT_BY_THE_EXTRA:
            raise
        _fail(f"the command needs {error.name}: pip install 'jeeves-journal[cli]'")
    # What is logged is for those who set logging up; a command says what it has to say itself.
    logging.getLogger("jeeves_journal").addHandler(logging.NullHandler())
    try:
        app(prog_name="jeeves-journal")
    except JournalError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    sys.exit(f"jeeves-journal: {' '.join(message.split())}")
