"""The tree of commands: one module for each group."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from jeeves_journal.cli import db, keys
from jeeves_journal.cli.changing import delete, fork, rewind
from jeeves_journal.cli.doctor import doctor
from jeeves_journal.cli.exits import EPILOG
from jeeves_journal.cli.moving import export, import_
from jeeves_journal.cli.prune import prune
from jeeves_journal.cli.seal import seal
from jeeves_journal.cli.sessions import sessions
from jeeves_journal.cli.show import show
from jeeves_journal.cli.usage import usage

app = typer.Typer(
    help="Operate a journal.",
    epilog=EPILOG,
    no_args_is_help=True,
    # Errors of ours are caught in main(); anything else is a bug, and its plain traceback shows no values of locals.
    pretty_exceptions_enable=False,
)
for _command in (sessions, show, rewind, fork, delete, prune, usage, export):
    app.command(epilog=EPILOG)(_command)
app.command("import", epilog=EPILOG)(import_)
for _command in (seal, doctor):
    app.command(epilog=EPILOG)(_command)
app.add_typer(db.app, name="db")
app.add_typer(keys.app, name="keys")


def _print_version(asked: bool) -> None:  # noqa: FBT001  # typer calls it so
    if asked:
        typer.echo(version("jeeves-journal"))
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...
