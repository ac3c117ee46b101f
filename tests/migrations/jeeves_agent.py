"""A database as JeevesAgent 0.9.7 leaves it: its tables, and rows that it recorded."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

from tests.migrations.databases import is_sqlite, path_of, run_script

STEPS = {("run-1", "fetch"): {"rows": 3}, ("run-1", "Größe"): None, ("run-2", "fetch"): [1.5, "two", b"\0three"]}
STREAMS = {("run-1", "answer"): ["Hel", "lo"], ("run-2", "nothing"): []}

# jeevesagent/runtime/journal.py, for where the package is not installed.
_DDL = """
CREATE TABLE IF NOT EXISTS journal_steps (
    session_id TEXT NOT NULL,
    step_name  TEXT NOT NULL,
    value      {bytes} NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (session_id, step_name)
);
CREATE TABLE IF NOT EXISTS journal_streams (
    session_id TEXT NOT NULL,
    step_name  TEXT NOT NULL,
    chunks     {bytes} NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (session_id, step_name)
);
"""


def record_runs(url: str) -> None:
    """Make JeevesAgent's tables in an empty database and record a few steps and streams as it does."""
    try:
        from jeevesagent.runtime import journal
    except ImportError:
        _record_by_hand(url)
    else:
        asyncio.run(_record_with(journal, url))


def _record_by_hand(url: str) -> None:
    bytes_, time = ("BLOB", "REAL") if is_sqlite(url) else ("BYTEA", "DOUBLE PRECISION")
    blob = "x'{}'" if is_sqlite(url) else "'\\x{}'"
    script = _DDL.format(bytes=bytes_, time=time)
    for table, records in (("journal_steps", STEPS), ("journal_streams", STREAMS)):
        for (session_id, step_name), value in records.items():
            data = blob.format(pickle.dumps(value).hex())
            script += f"INSERT INTO {table} VALUES ('{session_id}', '{step_name}', {data}, 1700000000.25);\n"
    run_script(url, script)


async def _record_with(journal: Any, url: str) -> None:
    if is_sqlite(url):
        store = journal.SqliteJournalStore(path_of(url))
    else:
        store = await journal.PostgresJournalStore.connect(url)
        await store.init_schema()
    for (session_id, step_name), value in STEPS.items():
        await store.put_step(session_id, step_name, value)
    for (session_id, step_name), chunks in STREAMS.items():
        await store.put_stream(session_id, step_name, chunks)
    await store.aclose()
