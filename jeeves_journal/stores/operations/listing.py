"""What sessions there are, and what a session recorded, without reading a value."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Executable, LargeBinary, cast, func, select

from jeeves_journal.arguments import SessionsQuery
from jeeves_journal.codecs.describing import DESCRIBING_BYTES, described
from jeeves_journal.records import Kind, SessionSummary, StepSummary
from jeeves_journal.stores.clock import timestamp
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.operations.finding import LATEST, Finder, IdRange
from jeeves_journal.stores.operations.paging import Mark, Wanted, page_of
from jeeves_journal.stores.refusals import no_session_to_go_on_behind
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES


async def sessions(lanes: Lanes, database: Database, query: SessionsQuery) -> list[SessionSummary]:
    """Return one page of the sessions; see ``OperableJournalStore``."""
    return await lanes.attempt(partial(_page, database, query, timestamp()))


async def steps(lanes: Lanes, database: Database, session_id: str) -> list[StepSummary]:
    """Return what a session recorded, in recorded order; see ``OperableJournalStore``."""
    return await lanes.attempt(partial(_steps, database, session_id))


async def _page(database: Database, query: SessionsQuery, now: float) -> list[SessionSummary]:
    async with database.looking() as connection:
        finder = Finder(connection, database)
        after = query.after.id if isinstance(query.after, SessionSummary) else query.after
        wanted = Wanted(
            ids=IdRange(query.prefix, None if query.is_recent_first else after),
            oldest=-LATEST if query.newer_than is None else now - query.newer_than,
            newest=LATEST if query.older_than is None else now - query.older_than,
            mark=await _mark(finder, query.after) if query.is_recent_first else None,
            limit=query.limit,
        )
        return await page_of(finder, wanted, is_recent_first=query.is_recent_first)


async def _mark(finder: Finder, after: str | SessionSummary | None) -> Mark | None:
    if after is None:
        return None
    if isinstance(after, str):
        found = await finder.summaries([after])
        if after not in found:
            raise no_session_to_go_on_behind(after)
        after = found[after]
    return Mark(after.last_recorded, after.id)


async def _steps(database: Database, session_id: str) -> list[StepSummary]:
    async with database.looking() as connection:
        found = list[StepSummary]()
        for kind in KINDS:
            found += [_step(kind, *row) for row in await connection.execute(_listing(kind, session_id))]
    return sorted(found, key=lambda step: (step.recorded_at, step.name, step.kind))


def _listing(kind: Kind, session_id: str) -> Executable:
    columns = TABLES[kind].c
    # What is no blob in SQLite may be a text that is none.
    payload = cast(columns[PAYLOADS[kind]], LargeBinary)
    size = func.length(payload)
    end = func.substr(payload, size - (DESCRIBING_BYTES - 1), type_=LargeBinary())
    return select(columns.step_name, columns.created_at, size, end).where(columns.session_id == session_id)


def _step(kind: Kind, name: object, created_at: object, size: int | None, end: object) -> StepSummary:
    shown = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    recorded_at = float(created_at) if isinstance(created_at, float | int) and abs(created_at) <= LATEST else 0.0
    return StepSummary(shown, kind, recorded_at, size or 0, *described(end))
