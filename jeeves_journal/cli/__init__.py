"""The command ``jeeves-journal``. It needs the extra ``cli``."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from jeeves_journal.cli import exits
from jeeves_journal.errors import JournalError

if TYPE_CHECKING:
    import typer

_BROUGHT_BY_THE_EXTRA: Final = {"rich", "typer"}


def main() -> None:
    """Run the command that the process's arguments name, and exit.

    The exit codes are those of ``exits``. An error of ours is one line on stderr: no traceback, whose locals might hold
    a password.
    """
    # What is logged is for those who set logging up; a command says what it has to say itself.
    logging.getLogger("jeeves_journal").addHandler(logging.NullHandler())
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding shows escapes rather than nothing.
        cast("Any", stream).reconfigure(errors="backslashreplace")
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        exits.fail(_INTERRUPTED, exits.INTERRUPTED)
    except BrokenPipeError:
        _forget(sys.stdout)
        sys.exit(exits.COULD_NOT)


def _open_what_is_closed() -> None:
    """Let standard streams that the caller has closed lead nowhere, rather than into the next file that is opened."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The lowest number that is free, and those before it are open by now.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r+" if number == 0 else "w"))


_INTERRUPTED: Final = "interrupted: what was done so far is kept, and whole; run the command again to go on"


def _run() -> int:
    try:
        import typer

        from jeeves_journal.cli.app import app
        from jeeves_journal.cli.output import flush
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _BROUGHT_BY_THE_EXTRA:
            raise
        exits.fail(f"the command needs {error.name}: pip install 'jeeves-journal[cli]'")
    try:
        code = _code(app(prog_name="jeeves-journal", standalone_mode=False))
        flush()
    except JournalError as error:
        exits.fail(str(error), exits.code_of(error))
    except exits.NotWritten as error:
        _forget(sys.stdout)
        exits.fail(f"the output cannot be written: {error}: make room, or see where it goes")
    except exits.NotConfirmed as error:
        exits.fail(str(error), exits.NOT_CONFIRMED)
    except _kind_of_usage_errors(typer.BadParameter) as error:
        return _show_usage_error(error)
    if code == exits.INTERRUPTED:
        exits.warn(_INTERRUPTED)
    return code


def _code(returned: object) -> int:
    # What a command returns, or the code that it exits with.
    return returned if isinstance(returned, int) else 0


def _kind_of_usage_errors(example: type[typer.BadParameter]) -> type[Exception]:
    """Return what everything is that typer raises for what it did not understand; it exports this one kind only."""
    return cast("type[Exception]", example.__bases__[0])


def _show_usage_error(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        # The message is the help.
        error.show()
    else:
        command = error.ctx.command_path if error.ctx is not None else "jeeves-journal"
        message = error.format_message().rstrip(".")
        if type(error).__name__ == "NoSuchOption" and command == "jeeves-journal":
            message += ": options follow the command"
        exits.warn(f"{message[:1].lower()}{message[1:]}; see {command} --help")
    return exits.NOT_UNDERSTOOD


def _forget(stream: TextIO) -> None:
    """Let Python's last flush of a stream that nobody reads go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
