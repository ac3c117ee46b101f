"""Whether a database is as it should be, for those who look after it."""

from __future__ import annotations

from jeeves_journal.errors import SchemaError
from jeeves_journal.migrations import HEAD, is_current, look
from jeeves_journal.records import Finding
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.dialects.errors import MISSING_TABLES
from jeeves_journal.stores.lanes import Lanes

_UPGRADE = "run `jeeves-journal db upgrade`"


async def examine(lanes: Lanes, database: Database) -> list[Finding]:
    """Return what was found, the connection first; see ``OperatedStore.examine``."""
    # Not attempt(), which refuses what has no tables.
    await lanes.connect()
    return [
        Finding("connection", "ok", database.describe()),
        await _schema(database),
        *await database.examine(),
    ]


async def _schema(database: Database) -> Finding:
    state = await look(database)
    try:
        current = is_current(database, state)
    except SchemaError as error:
        return Finding("schema", "wrong", error.what, error.remedy)
    if not state.has_tables:
        return Finding("schema", "wrong", "the journal's tables are missing", MISSING_TABLES)
    if not current:
        what = f"the tables are at revision {state.revision or 'none'}, this code's is {HEAD}"
        return Finding("schema", "warning", what, f"they can be used; {_UPGRADE}")
    if state.revision != HEAD:
        what = f"the tables are at revision {state.revision}, which is newer than {HEAD}"
        return Finding("schema", "ok", what)
    return Finding("schema", "ok", f"revision {state.revision}")
