"""What sessions there are, and what a session recorded, without reading a value."""

from __future__ import annotations

from dataclasses import dataclass

from jeeves_journal.records import SessionSummary, StepSummary
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes


@dataclass(frozen=True, kw_only=True)
class SessionsQuery:
    """Asks for a page of sessions; ages in seconds."""

    prefix: str | None
    is_recent_first: bool
    newer_than: float | None
    older_than: float | None
    after: str | SessionSummary | None
    limit: int


async def sessions(lanes: Lanes, database: Database, query: SessionsQuery) -> list[SessionSummary]:
    raise NotImplementedError


async def steps(lanes: Lanes, database: Database, session_id: str) -> list[StepSummary]:
    raise NotImplementedError
