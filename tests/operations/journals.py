"""Journals that are made of given rows, and what Python alone says of such rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from jeeves_journal import JournalStore
from jeeves_journal.records import SessionSummary
from tests.stores.rows import Rows

TABLES = {"step": ("journal_steps", "value"), "stream": ("journal_streams", "chunks")}


class Given(NamedTuple):
    """A row of a journal: of what is recorded, its size alone matters."""

    kind: str
    session_id: str
    step_name: str
    size: int
    created_at: float


async def make(rows: Rows, given: Iterable[Given] = ()) -> None:
    """Make a journal's tables, and fill them with these rows."""
    async with JournalStore.from_url(rows.url) as store:
        await store.init_schema()
    fill(rows, given)


def fill(rows: Rows, given: Iterable[Given]) -> None:
    """Put these rows where no others are."""
    given = list(given)
    for kind, (table, payload) in TABLES.items():
        of_kind = [
            (row.session_id, row.step_name, b"x" * row.size, row.created_at) for row in given if row.kind == kind
        ]
        if of_kind:
            insert = f"INSERT INTO {table} (session_id, step_name, {payload}, created_at) VALUES (?, ?, ?, ?)"
            rows.run(insert, of_kind)


def empty(rows: Rows) -> None:
    """Delete all rows."""
    for table, _ in TABLES.values():
        rows.run(f"DELETE FROM {table}", [()])


def summaries(given: Iterable[Given]) -> list[SessionSummary]:
    """Return what there is to say of the sessions, by their ids' bytes."""
    of_session = dict[str, list[Given]]()
    for row in given:
        of_session.setdefault(row.session_id, []).append(row)
    found = [
        SessionSummary(
            session_id,
            sum(row.kind == "step" for row in rows),
            sum(row.kind == "stream" for row in rows),
            min(row.created_at for row in rows),
            max(row.created_at for row in rows),
            sum(row.size for row in rows),
        )
        for session_id, rows in of_session.items()
    ]
    return sorted(found, key=lambda session: session.id.encode())


def recent_first(sessions: Iterable[SessionSummary]) -> list[SessionSummary]:
    """Return the sessions with the most recent record first, and those of the same time by their ids' bytes."""
    return sorted(sessions, key=lambda session: (-session.last_recorded, session.id.encode()))
