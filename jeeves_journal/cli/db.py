"""``jeeves-journal db``: the journal's tables. Each command is one function of ``jeeves_journal.migrations``."""

from __future__ import annotations

from typing import Annotated

import typer

from jeeves_journal.cli.exits import EPILOG
from jeeves_journal.cli.journals import Journal
from jeeves_journal.cli.options import Json, Schema, Url
from jeeves_journal.cli.output import print_json, say
from jeeves_journal.cli.text import shown

# Inside the functions, since it loads SQLAlchemy, for which nobody waits who asks for help.

app = typer.Typer(help="Create, upgrade and check the journal's tables.", no_args_is_help=True, epilog=EPILOG)


@app.command(epilog=EPILOG)
def upgrade(
    url: Url,
    revision: Annotated[str, typer.Argument(help="Where to stop.")] = "head",
    *,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Bring the tables to the newest revision, creating them where there are none. Safe to run again, and at once."""
    from jeeves_journal import migrations

    options = Journal(url, schema).options()
    migrations.upgrade(url, revision, **options)
    if json:
        print_json({"revision": migrations.current(url, **options)})


@app.command(epilog=EPILOG)
def current(url: Url, *, json: Json = False, schema: Schema = None) -> None:
    """Print the revision that the tables are at, or "none"."""
    from jeeves_journal import migrations

    revision = migrations.current(url, **Journal(url, schema).options())
    if json:
        print_json({"revision": revision})
    else:
        say(shown(revision or "none"))


@app.command(epilog=EPILOG)
def check(url: Url, *, json: Json = False, schema: Schema = None) -> None:
    """Fail unless the tables are at the newest revision and as this version knows them."""
    from jeeves_journal import migrations

    migrations.check(url, **Journal(url, schema).options())
    if json:
        print_json({"revision": migrations.HEAD, "is_current": True})
    else:
        say("The tables are up to date.")


@app.command(epilog=EPILOG)
def sql(url: Url, *, json: Json = False, schema: Schema = None) -> None:
    """Print the SQL that creates the tables, without connecting to anything."""
    from jeeves_journal import migrations

    script = migrations.sql(url, **Journal(url, schema).options())
    if json:
        print_json({"sql": script})
    else:
        say(script.removesuffix("\n"))
