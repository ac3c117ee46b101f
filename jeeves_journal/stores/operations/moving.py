"""Records as they are stored, on their way to or from another store."""

from __future__ import annotations

from jeeves_journal.records import StoredRecord
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes


async def page(lanes: Lanes, database: Database, session_id: str, after: StoredRecord | None) -> list[StoredRecord]:
    raise NotImplementedError


async def restore_session(lanes: Lanes, database: Database, session_id: str, records: tuple[StoredRecord, ...]) -> bool:
    raise NotImplementedError
