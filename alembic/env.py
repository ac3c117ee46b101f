"""Where Alembic runs the journal's revisions.

The library hands its own connection in, under its upgrade lock. On the command line the URL comes from ``-x url=...``,
then ``JEEVES_JOURNAL_URL``, then ``alembic.ini``; ``-x schema=...`` names another Postgres schema.
"""

from __future__ import annotations

import asyncio
import os
from logging.config import fileConfig

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from jeeves_journal import migrations
from jeeves_journal.errors import JournalError
from jeeves_journal.stores.dialects.urls import parse_url
from jeeves_journal.stores.environment import configure, run_migrations
from jeeves_journal.tracebacks import without_locals

config = context.config


def run_offline(dialect_name: str, schema: str | None) -> None:
    """Print the DDL; nothing is connected to, and no driver is needed."""
    configure(context, schema=schema, dialect_name=dialect_name)
    run_migrations(context)


def run_on(connection: Connection, schema: str | None) -> None:
    """Run on a connection that is under the upgrade lock."""
    configure(context, schema=schema, connection=connection)
    run_migrations(context)


@without_locals
def run_from_command_line() -> None:
    """Run on the database that the command line, the environment or the ini file names."""
    arguments = context.get_x_argument(as_dictionary=True)
    # One that is there and empty, as from a secret that is not set, must not let the next one be upgraded in its place.
    named = arguments.get("url"), os.environ.get("JEEVES_JOURNAL_URL"), config.get_main_option("sqlalchemy.url")
    url = next((url for url in named if url is not None), "")
    schema = arguments.get("schema")
    if config.config_file_name is not None:
        fileConfig(config.config_file_name, disable_existing_loggers=False)
    if context.is_offline_mode():
        target = parse_url(url, {"schema": schema} if schema else {})
        run_offline(target.dialect, target.settings.schema)
    else:
        asyncio.run(migrations.run_online(url, run_on, schema=schema))


if "connection" in config.attributes:
    run_on(config.attributes["connection"], config.attributes["schema"])
elif "dialect" in config.attributes:
    run_offline(config.attributes["dialect"], config.attributes["schema"])
else:
    try:
        run_from_command_line()
    except JournalError as error:
        # Alembic prints its own kind of error in one line. A traceback might show the URL.
        own = error.__cause__
        raise (own if isinstance(own, CommandError) else CommandError(str(error))) from error
