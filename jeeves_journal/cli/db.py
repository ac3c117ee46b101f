"""``jeeves-journal db``: the journal's tables. Each command is one function of ``jeeves_journal.migrations``."""

from __future__ import annotations

from typing import Annotated

import typer

from jeeves_journal import migrations
from jeeves_journal.cli.options import Schema, Url
from jeeves_journal.options import StoreOptions

app = typer.Typer(help="Create, upgrade and check the journal's tables.", no_args_is_help=True)


@app.command()
def upgrade(
    url: Url,
    revision: Annotated[str, typer.Argument(help="Where to stop.")] = "head",
    schema: Schema = None,
) -> None:
    """Bring the tables to the newest revision, creating them where there are none. Safe to run again, and at once."""
    migrations.upgrade(url, revision, **_options(schema))


@app.command()
def current(url: Url, schema: Schema = None) -> None:
    """Print the revision that the tables are at, or "none"."""
    typer.echo(migrations.current(url, **_options(schema)) or "none")


@app.command()
def check(url: Url, schema: Schema = None) -> None:
    """Fail unless the tables are at the newest revision and as this version knows them."""
    migrations.check(url, **_options(schema))
    typer.echo("The tables are up to date.")


@app.command()
def sql(url: Url, schema: Schema = None) -> None:
    """Print the SQL that creates the tables, without connecting to anything."""
    typer.echo(migrations.sql(url, **_options(schema)), nl=False)


def _options(schema: str | None) -> StoreOptions:
    return {} if schema is None else {"schema": schema}
