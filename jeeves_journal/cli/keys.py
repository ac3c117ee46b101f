"""``jeeves-journal keys``: the keys of sealed records."""

from __future__ import annotations

import typer

from jeeves_journal.cli.exits import EPILOG
from jeeves_journal.cli.options import Json
from jeeves_journal.cli.output import print_json, say
from jeeves_journal.codecs import Keyring

app = typer.Typer(help="Make keys.", no_args_is_help=True, epilog=EPILOG)


@app.callback()
def _group() -> None: ...


@app.command(epilog=EPILOG)
def new(*, json: Json = False) -> None:
    """Print a new key, as JEEVES_JOURNAL_KEYS holds it. To rotate, put it in front of the others, with a comma."""
    keys = Keyring.generate()
    if json:
        print_json({"id": keys.first.id, "key": keys.to_text()})
    else:
        say(keys.to_text())
