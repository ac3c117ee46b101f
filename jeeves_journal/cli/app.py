"""The tree of commands: one module for each group."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from jeeves_journal.cli import db, keys
from jeeves_journal.cli.seal import seal

app = typer.Typer(
    help="Operate a journal.",
    no_args_is_help=True,
    add_completion=False,
    # Errors of ours are caught in main(); anything else is a bug, and its plain traceback shows no values of locals.
    pretty_exceptions_enable=False,
)
app.add_typer(db.app, name="db")
app.add_typer(keys.app, name="keys")
app.command()(seal)


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
