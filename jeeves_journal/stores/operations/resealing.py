"""Bringing all records to the newest key, seal and codec, while others read and write.

For each page of records only their last bytes are looked at. Those that are not as they should be are read, made anew
and written, unless they were put again meanwhile. Whoever is interrupted begins anew, and passes over what is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple, cast

from sqlalchemy import Executable, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.codecs import Resealer
from jeeves_journal.codecs.damage import REMEDY_DAMAGED
from jeeves_journal.codecs.footer import FOOTER_BYTES
from jeeves_journal.errors import DecodeError
from jeeves_journal.keys import is_text
from jeeves_journal.records import Kind, Resealed
from jeeves_journal.stores.dialects import Database, Key, Stored
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.operations.parts import in_parts
from jeeves_journal.stores.operations.reading import sent
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES

_MOST_LISTED: Final = 1_000
# How many records, or bytes of them, are rewritten in one transaction: others wait for it on SQLite.
_MOST_REWRITTEN: Final = 64
_MOST_BYTES: Final = 4 * 1024 * 1024


class _Listed(NamedTuple):
    # Not only texts: SQLite keeps whatever was put into a column.
    session_id: object
    step_name: object
    size: int | None
    footer: object


class _Rewritten(NamedTuple):
    key: Key
    created_at: object
    before: bytes
    after: bytes


class Resealing:
    """One resealing, page by page; see ``SQLAlchemyJournalStore.reseal``."""

    def __init__(self, resealer: Resealer) -> None:
        """Prepare; no I/O."""
        self._resealer = resealer
        self._kinds = deque[Kind](KINDS)
        self._last: _Listed | None = None
        self._looked_at = 0
        self._resealed = 0

    @property
    def done(self) -> Resealed:
        """What came of it so far."""
        return self._resealer.summary(self._looked_at, self._resealed)

    async def advance(self, lanes: Lanes, database: Database) -> bool:
        """Bring the next page up to date; return whether there was one."""
        while self._kinds:
            kind = self._kinds[0]
            if page := await lanes.attempt(partial(_listed, database, kind, self._last)):
                await self._renew(lanes, database, kind, page)
                return True
            self._kinds.popleft()
            self._last = None
        return False

    async def _renew(self, lanes: Lanes, database: Database, kind: Kind, page: list[_Listed]) -> None:
        outdated = [row for row in page if not self._resealer.is_current(row.footer)]
        for part in in_parts(outdated, lambda row: row.size or 0, most=_MOST_REWRITTEN, most_bytes=_MOST_BYTES):
            rewritten = await _made_anew(lanes, self._resealer, kind, part)
            self._resealed += await lanes.attempt(partial(_write, database, rewritten))
        self._last = page[-1]
        self._looked_at += len(page)


async def _listed(database: Database, kind: Kind, last: _Listed | None) -> list[_Listed]:
    async with database.looking() as connection:
        return [_Listed(*row) for row in await connection.execute(_listing(kind, last))]


def _listing(kind: Kind, last: _Listed | None) -> Executable:
    columns = TABLES[kind].c
    payload = columns[PAYLOADS[kind]]
    size = func.length(payload)
    statement = select(columns.session_id, columns.step_name, size, func.substr(payload, size - (FOOTER_BYTES - 1)))
    # JeevesAgent's columns may have lost their NOT NULL. No record is got without a key, and none follows NULL.
    statement = statement.where(columns.session_id.is_not(None), columns.step_name.is_not(None))
    if last is not None:
        place = tuple_(sent(last.session_id), sent(last.step_name))
        statement = statement.where(tuple_(columns.session_id, columns.step_name) > place)
    return statement.order_by(columns.session_id, columns.step_name).limit(_MOST_LISTED)


async def _made_anew(lanes: Lanes, resealer: Resealer, kind: Kind, rows: list[_Listed]) -> list[_Rewritten]:
    keys = list(_keys(kind, rows, resealer))
    records = await asyncio.gather(*(lanes.reads.submit(key) for key in keys))
    # To look through the pickle of a large row takes seconds, in which others want to read and write.
    return await asyncio.to_thread(_renewed, resealer, keys, records)


def _renewed(resealer: Resealer, keys: list[Key], records: list[Stored | None]) -> list[_Rewritten]:
    rewritten = list[_Rewritten]()
    for key, record in zip(keys, records, strict=True):
        # Deleted meanwhile.
        if record is None:
            continue
        data, created_at = record
        after = resealer.renewed((*key, created_at), data)
        if after is not None:
            rewritten.append(_Rewritten(key, created_at, bytes(cast("bytes", data)), after))
    return rewritten


def _keys(kind: Kind, rows: list[_Listed], resealer: Resealer) -> Iterator[Key]:
    for row in rows:
        if is_text(row.session_id) and is_text(row.step_name) and row.size is not None:
            yield kind, row.session_id, row.step_name
        else:
            resealer.refuse(DecodeError(f"a {kind}'s record has a key that is not a text, or no bytes", REMEDY_DAMAGED))


async def _write(database: Database, rewritten: list[_Rewritten]) -> int:
    if not rewritten:
        return 0
    async with database.operating() as connection:
        return sum([await _replace(connection, each) for each in rewritten])


async def _replace(connection: AsyncConnection, row: _Rewritten) -> int:
    """Write a record anew unless it is another one by now; return how many were written."""
    kind, session_id, step_name = row.key
    columns, payload = TABLES[kind].c, PAYLOADS[kind]
    statement = (
        update(TABLES[kind])
        .where(columns.session_id == session_id, columns.step_name == step_name)
        # The same value put again without a seal has the same bytes. The seal is bound to its earlier time.
        .where(columns[payload] == row.before, columns.created_at == row.created_at)
        .values({payload: row.after})
    )
    return (await connection.execute(statement)).rowcount
