"""Deleting sessions, steps, and the end of a session."""

from __future__ import annotations

from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes


async def delete_session(lanes: Lanes, database: Database, session_id: str) -> int:
    raise NotImplementedError


async def delete_step(lanes: Lanes, database: Database, session_id: str, step_name: str) -> int:
    raise NotImplementedError


async def rewind(lanes: Lanes, database: Database, session_id: str, to: str) -> int:
    raise NotImplementedError
