"""Alembic, as we run it: one command at a time in a process, and confined to our tables."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, MetaData, Table, inspect
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.schema import CreateSchema, DropTable

from jeeves_journal.errors import ConfigurationError, SchemaError, StoreUnavailableError
from jeeves_journal.stores.dialects import Database, driver_error
from jeeves_journal.stores.dialects.urls import Target
from jeeves_journal.stores.models import NAMING_CONVENTION, VERSION_TABLE, metadata

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

# alembic.op and alembic.context are process-wide: two upgrades in one process would run on each other's connection.
_alembic_is_used = threading.Lock()
_LONGEST_WAIT: Final = 30.0


async def run_command(database: Database, name: str, revision: str) -> None:
    """Run ``alembic upgrade`` or ``downgrade`` on an open database, under its upgrade lock.

    Raises:
        SchemaError: There is no such revision.
    """
    # In a thread, since the first import takes long enough for the loop to be missed.
    command = await asyncio.to_thread(import_module, "alembic.command")

    def run(connection: Connection) -> None:
        getattr(command, name)(_config(schema=database.settings.schema, connection=connection), revision)

    # The database's lock first: whoever waits for another process must not keep this process's other upgrades waiting.
    async with database.migrating() as connection, _alone_in_process():
        database.is_upgrading = True
        try:
            with alembic_errors_as_ours(database):
                await connection.run_sync(run)
        finally:
            database.is_upgrading = False


def printed_ddl(target: Target) -> str:
    """Return what ``alembic upgrade head --sql`` prints.

    Raises:
        StoreUnavailableError: An upgrade is running in this process and does not end.
    """
    from alembic import command

    printed = io.StringIO()
    config = _config(dialect=target.dialect, schema=target.settings.schema)
    config.output_buffer = printed
    # Bounded, since that upgrade may be waiting for the event loop that this call blocks.
    if not _alembic_is_used.acquire(timeout=_LONGEST_WAIT):
        raise StoreUnavailableError("an upgrade is running in this process", "try again when it is done")
    try:
        command.upgrade(config, "head", sql=True)
    finally:
        _alembic_is_used.release()
    return printed.getvalue()


@contextmanager
def alembic_errors_as_ours(database: Database) -> Generator[None]:
    """Turn what Alembic's commands raise inside into a ``SchemaError``, and let a cancellation be one."""
    from alembic.util import CommandError

    try:
        yield
    except PendingRollbackError as error:
        # Alembic commits also what was interrupted, and is refused: who cancelled it would wait for that in vain.
        interrupted = driver_error(error)
        if isinstance(interrupted, Exception):
            raise
        raise interrupted from None
    except CommandError as error:
        remedy = "name a revision that this version of jeeves-journal knows, or use the version that knows this one"
        raise SchemaError(f"{database.describe()}: {str(error).rstrip('.')}", remedy) from error


def configure(
    context: EnvironmentContext,
    *,
    schema: str | None,
    connection: Connection | None = None,
    dialect_name: str | None = None,
) -> None:
    """Configure Alembic's environment, and see that the schema is there before anything is made in it.

    Args:
        context: What ``env.py`` imports from Alembic.
        schema: The Postgres schema of the tables, where it is not the first of the search path.
        connection: Where to run.
        dialect_name: What to print DDL for, where there is no connection.
    """
    context.configure(
        connection=connection,
        dialect_name=dialect_name,
        # A style in which printed DDL does not double the percent sign of a schema's name.
        dialect_opts={"paramstyle": "named"},
        target_metadata=_metadata_in(schema),
        transactional_ddl=True,
        transaction_per_migration=True,
        **_scope(schema, connection),
    )
    if schema is None:
        return
    if connection is None:
        context.execute(CreateSchema(schema, if_not_exists=True))
    # What only looks must make nothing. Looked up and not left to IF NOT EXISTS, which needs the CREATE privilege even
    # where the schema is there. Alembic commits it together with the first revision.
    elif not context.get_context().opts.get("dont_mutate") and not inspect(connection).has_schema(schema):
        connection.execute(CreateSchema(schema))


def run_migrations(context: EnvironmentContext) -> None:
    """Run what the command asks for in a configured environment, and leave no empty version table behind.

    Alembic keeps it after a downgrade to base, and makes it before it finds that there is nothing to take back.
    """
    with context.begin_transaction():
        context.run_migrations()
    ran = context.get_context()
    if ran.as_sql:
        is_at_base = not context.get_revision_argument()
    else:
        is_at_base = not ran.opts.get("dont_mutate") and not ran.get_current_heads()
    if is_at_base:
        # If it exists: some versions of Alembic drop it themselves, but only in the DDL that they print.
        table = Table(VERSION_TABLE, MetaData(), schema=ran.version_table_schema)
        context.execute(DropTable(table, if_exists=True))


def differences(connection: Connection, schema: str | None) -> list[str]:
    """Return in what the tables differ from the models, one short line each.

    Alembic compares tables, columns, types and indexes; it does not compare collations and names of constraints.
    """
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts=_scope(schema, connection))
    return [_described(change) for change in compare_metadata(context, _metadata_in(schema))]


def _described(change: tuple[Any, ...] | list[Any]) -> str:
    if isinstance(change, list):
        # A column's changes come together.
        return ", ".join(map(_described, change))
    operation, *parts = change
    names = [part if isinstance(part, str) else getattr(part, "name", None) for part in parts[:3]]
    return f"{operation.replace('_', ' ')} {'.'.join(filter(None, names))}"


def _scope(schema: str | None, connection: Connection | None) -> dict[str, Any]:
    """Return the options that confine Alembic to our tables."""
    # Alembic calls the default schema None, also where it was named.
    is_default = connection is not None and schema == connection.dialect.default_schema_name
    ours = {schema, None} if is_default else {schema}

    def include_name(name: str | None, type_: str, parent_names: object) -> bool:
        if type_ == "schema":
            return name in ours
        return type_ != "table" or name in metadata.tables

    return {
        "version_table": VERSION_TABLE,
        "version_table_schema": schema,
        "include_schemas": schema is not None,
        "include_name": include_name,
        "compare_type": True,
    }


def _metadata_in(schema: str | None) -> MetaData:
    if schema is None:
        return metadata
    copied = MetaData(naming_convention=NAMING_CONVENTION)
    for table in metadata.tables.values():
        table.to_metadata(copied, schema=schema)
    return copied


@asynccontextmanager
async def _alone_in_process() -> AsyncGenerator[None]:
    """Hold the lock that other event loops and threads share, without blocking this loop.

    It is asked for again and again: threads that block on it would fill the loop's executor, which the holder needs to
    resolve a host name.
    """
    while not _alembic_is_used.acquire(blocking=False):  # noqa: ASYNC110  # no event of this loop tells of another one
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        _alembic_is_used.release()


def _config(**attributes: Any) -> Config:
    from alembic.config import Config

    package = Path(__file__).parents[1]
    packaged = package / "_alembic"
    folder = packaged if packaged.is_dir() else package.with_name("alembic")
    if not folder.is_dir():
        raise ConfigurationError(f"the migrations are missing from {folder}", "install jeeves-journal again")
    config = Config(attributes=attributes)
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config
