"""The schema and its revisions: upgrade, downgrade, current, check, offline SQL.

The functions that take a URL run an event loop of their own. Alembic is imported only where something must change: one
SELECT tells a current schema.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, Unpack

from sqlalchemy import Connection

from jeeves_journal.errors import ConfigurationError, SchemaError
from jeeves_journal.options import StoreOptions
from jeeves_journal.stores.dialects import Database, database_for_url
from jeeves_journal.stores.dialects.errors import missing_tables
from jeeves_journal.stores.dialects.rows import SchemaState
from jeeves_journal.stores.dialects.urls import parse_url
from jeeves_journal.stores.environment import alembic_errors_as_ours, differences, printed_ddl, run_command
from jeeves_journal.stores.models import VERSION_TABLE, metadata
from jeeves_journal.tracebacks import without_locals

T = TypeVar("T")

_LOGGER: Final = logging.getLogger("jeeves_journal")

REVISIONS: Final = ("1_journal_tables", "1_inline_values", "1_time_indexes")
"""Every revision, oldest first."""
HEAD: Final = REVISIONS[-1]

_UPGRADE: Final = "run `alembic upgrade head` or `jeeves-journal db upgrade`"


@without_locals
def upgrade(url: str, revision: str = "head", **options: Unpack[StoreOptions]) -> None:
    """Bring the tables of a database to a revision. Any number of processes may do so at once.

    A database that newer code has brought further, within the same major revision, is left as it is. On Postgres nobody
    is kept from reading or writing while an index is built, and the build waits for older transactions of others for as
    long as the server answers: to give up would throw the work away, and block nobody less. Other upgrades are refused
    meanwhile. What an interrupted build leaves is built again. On SQLite others read meanwhile, and wait to write.

    Raises:
        ConfigurationError: The URL or an option cannot be used, or the user may not create tables.
        SchemaError: There is no such revision, or the database is at another major one.
        StoreUnavailableError: The database is down or locked, or another upgrade takes longer than ``timeout``.
    """
    _run(url, options, lambda database: upgrade_database(database, revision))


@without_locals
def downgrade(url: str, revision: str, **options: Unpack[StoreOptions]) -> None:
    """Take revisions back. ``"base"`` removes the version table only; no recorded row is ever dropped.

    Raises:
        SchemaError: There is no such revision.
    """
    _run(url, options, lambda database: run_command(database, "downgrade", revision), create=False)


@without_locals
def current(url: str, **options: Unpack[StoreOptions]) -> str | None:
    """Return the revision of a database, or ``None`` where no revision was run. Changes nothing.

    Raises:
        SchemaError: There is no such file.
    """
    return _run(url, options, look, create=False).revision


@without_locals
def check(url: str, **options: Unpack[StoreOptions]) -> None:
    """Compare a database with this code. Changes nothing.

    Raises:
        SchemaError: It is not at the newest revision, or its tables differ from the models.
    """
    _run(url, options, _check_database, create=False)


@without_locals
def sql(url: str, **options: Unpack[StoreOptions]) -> str:
    """Return the DDL from nothing to the newest revision; nothing is connected to, and no driver is needed.

    Raises:
        ConfigurationError: The URL or an option cannot be used.
        StoreUnavailableError: An upgrade is running in this process and does not end.
    """
    return printed_ddl(parse_url(url, options))


def include_name(name: str | None, type_: str, parent_names: object) -> bool:
    """Keep the journal's tables out of a host application's autogenerate.

    Pass it as ``include_name`` to ``context.configure`` in the host's ``env.py``, so that Alembic does not propose to
    drop tables that are not among the host's models.

    Returns:
        Whether the name is not one of ours.
    """
    return type_ != "table" or name not in {*metadata.tables, VERSION_TABLE}


async def look(database: Database) -> SchemaState:
    """Return what stands in an open database's catalogue."""
    async with asyncio.timeout(database.settings.timeout):
        return await database.schema_state()


async def ensure_schema(database: Database) -> None:
    """Make sure that an open database has tables that this code can use.

    Raises:
        SchemaError: They are missing, or of another major revision, and must not be made here.
    """
    state = await look(database)
    # Also where nothing is created: another major revision is refused.
    is_newest = is_current(database, state)
    if database.may_create and not is_newest:
        try:
            await upgrade_database(database)
        except Exception as error:
            # A user who may not alter the tables may use them: a revision that only adds is needed by nobody.
            if not (state.has_tables and isinstance(database.translate(error), ConfigurationError)):
                raise
    elif not state.has_tables:
        raise missing_tables(database.describe())


async def upgrade_database(database: Database, revision: str = "head") -> None:
    """Bring an open database to a revision; see ``upgrade``."""
    if revision != "head":
        await _upgrade(database, revision)
    elif not is_current(database, await look(database)):
        try:
            await _upgrade(database, revision)
        except SchemaError:
            # Newer code may have been faster, and have left a revision that Alembic does not know here.
            if not is_current(database, await look(database)):
                raise


async def _upgrade(database: Database, revision: str) -> None:
    await run_command(database, "upgrade", revision)
    _LOGGER.info("%s: upgraded to revision %s", database.describe(), revision)


@without_locals
async def run_online(url: str, run: Callable[[Connection, str | None], None], *, schema: str | None) -> None:
    """Run Alembic's environment on a connection of ours, under the upgrade lock; for ``env.py`` on the command line.

    Args:
        url: Names the database.
        run: Runs the environment, given the connection and the schema of the tables.
        schema: Wins over the URL's.
    """

    async def run_locked(database: Database) -> None:
        async with database.migrating() as connection:
            with alembic_errors_as_ours(database):
                await connection.run_sync(run, database.settings.schema)

    await _with_database(url, {"schema": schema} if schema else {}, run_locked, create=True)


async def _check_database(database: Database) -> None:
    state = await look(database)
    if not state.has_tables and state.revision is None:
        raise missing_tables(database.describe())
    if not is_current(database, state) or state.revision != HEAD:
        what = f"{database.describe()}: the journal's tables are at revision {state.revision}, this code's is {HEAD}"
        raise SchemaError(what, "upgrade jeeves-journal" if is_current(database, state) else _UPGRADE)
    async with database.migrating() as connection:
        found = await connection.run_sync(differences, database.settings.schema)
    if found:
        what = f"{database.describe()}: the journal's tables are not those of {HEAD}, which would {', '.join(found)}"
        raise SchemaError(what, "restore them; `jeeves-journal db sql` prints how they were made")


def is_current(database: Database, state: SchemaState) -> bool:
    """Return whether a schema is at this code's newest revision, or at an unknown one, which only adds to it.

    Raises:
        SchemaError: It is of another major revision, or it lacks a table that its revision has.
    """
    revision = state.revision
    if revision is None:
        return False
    if _major(revision) != _major(HEAD):
        what = f"{database.describe()}: the journal's tables are at revision {revision}, this code needs {HEAD}"
        raise SchemaError(what, "upgrade jeeves-journal" if _major(revision) > _major(HEAD) else _UPGRADE)
    if not state.has_tables:
        what = f"{database.describe()}: one of the journal's tables is missing, though revision {revision} was run"
        raise SchemaError(what, "run `alembic downgrade base`, which drops no row, and then `alembic upgrade head`")
    return revision == HEAD or revision not in REVISIONS


def _run(url: str, options: StoreOptions, work: Callable[[Database], Awaitable[T]], *, create: bool = True) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_with_database(url, options, work, create=create))
    remedy = "await store.init_schema(), or call it in a thread"
    raise ConfigurationError("this function runs an event loop of its own, and one is running here", remedy)


async def _with_database(
    url: str, options: StoreOptions, work: Callable[[Database], Awaitable[T]], *, create: bool
) -> T:
    database = database_for_url(url, options)
    database.only_looks = not create
    async with database.translating():
        await database.open(create=create)
        try:
            return await work(database)
        finally:
            await database.close()


def _major(revision: str) -> int:
    number = revision.partition("_")[0]
    return int(number) if number.isdecimal() else 0
