"""A record and its key, out of whatever stands in the row: SQLite keeps whatever was put into a column."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import ColumnElement, Text, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.codecs.damage import no_bytes, no_time
from jeeves_journal.keys import is_text
from jeeves_journal.records import StoredRecord
from jeeves_journal.stores.dialects import Key
from jeeves_journal.stores.statements import KINDS, TABLES


def stored_record(key: Key, data: object, created_at: object) -> StoredRecord:
    """Return a record.

    Raises:
        DecodeError: It has no bytes, or no time.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise no_bytes(data, *key[1:])
    return StoredRecord(*key, bytes(cast("bytes", data)), time_of(created_at, *key[1:]))


def time_of(created_at: object, session_id: str, step_name: str) -> float:
    """Return when a record was recorded.

    Raises:
        DecodeError: What stands there is no time.
    """
    if not isinstance(created_at, float | int | Decimal) or not math.isfinite(created_at):
        raise no_time(session_id, step_name)
    return float(created_at)


async def count_of(connection: AsyncConnection, session_id: str) -> int:
    """Return how many records a session has."""
    counts = [
        select(func.count()).select_from(TABLES[kind]).where(TABLES[kind].c.session_id == session_id).scalar_subquery()
        for kind in KINDS
    ]
    return sum((await connection.execute(select(*counts))).one())


def sent(key: object) -> ColumnElement[Any]:
    """Return a key, whatever it is, as it is sent to be compared."""
    if isinstance(key, str) and not is_text(key):
        return literal(key.encode("utf-8", "surrogateescape")).cast(Text)
    return literal(key)
