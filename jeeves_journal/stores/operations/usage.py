"""How much a journal holds."""

from __future__ import annotations

from jeeves_journal.records import Usage
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes


async def usage(lanes: Lanes, database: Database) -> Usage:
    raise NotImplementedError
