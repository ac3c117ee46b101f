"""``jeeves-journal keys``: the keys of sealed records."""

from __future__ import annotations

import typer

from jeeves_journal.codecs import Keyring

app = typer.Typer(help="Make keys.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command()
def new() -> None:
    """Print a new key, as JEEVES_JOURNAL_KEYS holds it. To rotate, put it in front of the others, with a comma."""
    typer.echo(Keyring.generate().to_text())
