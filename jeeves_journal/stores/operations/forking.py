"""Copying a session into a new one."""

from __future__ import annotations

from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes


async def fork_session(lanes: Lanes, database: Database, source: str, target: str, before: str | None) -> int:
    raise NotImplementedError
