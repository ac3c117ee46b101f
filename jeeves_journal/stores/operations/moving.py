"""Records as they are stored, on their way to or from another store.

Neither way holds more than a few MiB of a session, or one record, at a time.
"""

from __future__ import annotations

import asyncio
import math
import typing
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import (
    Executable,
    SelectBase,
    Text,
    cast,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    type_coerce,
    union_all,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from jeeves_journal.arguments import each_record
from jeeves_journal.codecs.envelope import REMEDY_DAMAGED
from jeeves_journal.errors import AlreadyRecordedError, DecodeError, InvalidKeyError
from jeeves_journal.keys import check_key
from jeeves_journal.records import StoredRecord
from jeeves_journal.stores.dialects import Database, Key
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.models import KEY_TYPE
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES, Kind

# Each listing sorts all of a session anew, so that a large one is better listed in few.
_MOST_LISTED: Final = 10_000
# How many records, or bytes of them, go over the wire at once.
_MOST_AT_ONCE: Final = 256
_MOST_BYTES: Final = 4 * 1024 * 1024


class _Listed(NamedTuple):
    """A record without its bytes."""

    kind: Kind
    step_name: str
    created_at: float
    size: int


Sized = TypeVar("Sized", _Listed, StoredRecord)


class Walk:
    """The way through a session's records, page by page."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.after: _Listed | None = None
        self.is_listed = False
        """Whether there is nothing to list any more."""
        self.parts: Iterator[list[_Listed]] = iter(())


async def page(lanes: Lanes, database: Database, walk: Walk) -> list[StoredRecord]:
    """Return the next records of a session, none at its end."""
    while True:
        for part in walk.parts:
            # They may all be gone meanwhile.
            if found := await _read(lanes, walk.session_id, part):
                return found
        if walk.is_listed:
            return []
        listed = await lanes.attempt(partial(_list, database, walk.session_id, walk.after))
        walk.after, walk.is_listed = listed[-1] if listed else None, len(listed) < _MOST_LISTED
        walk.parts = in_parts(listed)


async def _list(database: Database, session_id: str, after: _Listed | None) -> list[_Listed]:
    async with database.looking() as connection:
        return [_whole(session_id, *row) for row in await connection.execute(_listing(session_id, after))]


def _listing(session_id: str, after: _Listed | None) -> Executable:
    rows = union_all(*(_of_kind(kind, session_id) for kind in KINDS)).subquery()
    # JeevesAgent's tables may still have another collation.
    order = rows.c.created_at, cast(rows.c.step_name, KEY_TYPE), rows.c.kind
    statement = select(rows.c.kind, rows.c.step_name, rows.c.created_at, rows.c.size)
    if after is not None:
        statement = statement.where(tuple_(*order) > (after.created_at, after.step_name, after.kind))
    return statement.order_by(*order).limit(_MOST_LISTED)


def _of_kind(kind: Kind, session_id: str) -> SelectBase:
    columns = TABLES[kind].c
    size = func.length(columns[PAYLOADS[kind]]).label("size")
    name = literal_column(f"'{kind}'", Text).label("kind")
    return select(name, columns.step_name, columns.created_at, size).where(columns.session_id == session_id)


def _whole(session_id: str, kind: Kind, step_name: object, created_at: object, size: object) -> _Listed:
    """Return a row as it was listed, unless no store would take it.

    Raises:
        DecodeError: No store would. SQLite keeps whatever was put into a column.
    """
    try:
        name = check_key("step_name", step_name)
    except InvalidKeyError as error:
        raise DecodeError(f"a {kind}'s {error.what}", REMEDY_DAMAGED, session_id) from error
    if not isinstance(created_at, float | int | Decimal) or not math.isfinite(created_at):
        raise DecodeError("the record's time is no number", REMEDY_DAMAGED, session_id, name)
    if not isinstance(size, int):
        raise DecodeError("the record holds no bytes", REMEDY_DAMAGED, session_id, name)
    return _Listed(kind, name, float(created_at), size)


async def _read(lanes: Lanes, session_id: str, part: list[_Listed]) -> list[StoredRecord]:
    keys = [Key(each.kind, session_id, each.step_name) for each in part]
    records = await asyncio.gather(*(lanes.reads.submit(key) for key in keys))
    found = list[StoredRecord]()
    for listed, record in zip(part, records, strict=True):
        # One that was put again meanwhile has another place in the order, where it may come a second time.
        if record is None or float(record[1]) != listed.created_at:
            continue
        data = record[0]
        if not isinstance(data, bytes | bytearray | memoryview):
            what = f"the record holds no bytes but {type(data).__name__}"
            raise DecodeError(what, REMEDY_DAMAGED, session_id, listed.step_name)
        found.append(
            StoredRecord(
                listed.kind, session_id, listed.step_name, bytes(typing.cast("bytes", data)), listed.created_at
            )
        )
    return found


def in_parts(records: Iterable[Sized]) -> Iterator[list[Sized]]:
    """Divide records into those that go over the wire at once."""
    part, size = list[Sized](), 0
    for record in records:
        more = len(record.data) if isinstance(record, StoredRecord) else record.size
        if part and (len(part) == _MOST_AT_ONCE or size + more > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(record)
        size += more
    if part:
        yield part


async def restore_session(lanes: Lanes, database: Database, session_id: str, records: Iterable[StoredRecord]) -> bool:
    """Record a session as another store has it.

    Records are taken several times, to check them and at each try. An iterator gives them once: they are kept.
    """
    again: Iterable[StoredRecord] = tuple(records) if isinstance(records, Iterator) else records
    parts = 0
    for _ in in_parts(each_record(session_id, again)):
        parts += 1
        # They may come out of a file, which takes its time.
        await asyncio.sleep(0)
    # Every part has the time of a call.
    deadline = lanes.loop.time() + database.settings.timeout * max(parts, 1)
    return await lanes.attempt(_Restoring(database, session_id, again).attempt, deadline)


class _Restoring:
    """A session on its way into the database."""

    def __init__(self, database: Database, session_id: str, records: Iterable[StoredRecord]) -> None:
        self._database = database
        self._session_id = session_id
        self._records = records
        self._was_sent = False

    async def attempt(self) -> bool:
        try:
            async with self._database.operating() as connection:
                await self._database.lock_session(connection, self._session_id)
                count = sum([await self._count(connection, kind) for kind in KINDS])
                if count == 0:
                    return await self._insert(connection)
                if not await self._are_there(connection, count):
                    raise self._refusal()
                # A commit whose answer was lost has recorded them.
                return self._was_sent
        except IntegrityError as error:
            # A run has recorded a step of the same name since they were counted.
            raise self._refusal() from error

    async def _insert(self, connection: AsyncConnection) -> bool:
        has_any = False
        for part in self._parts():
            has_any = True
            async with asyncio.timeout(self._database.settings.timeout):
                for kind, rows in _by_kind(part):
                    payload = PAYLOADS[kind]
                    values = [
                        {
                            "session_id": r.session_id,
                            "step_name": r.step_name,
                            payload: r.data,
                            "created_at": r.created_at,
                        }
                        for r in rows
                    ]
                    await connection.execute(insert(TABLES[kind]), values)
        self._was_sent = has_any
        return has_any

    async def _count(self, connection: AsyncConnection, kind: Kind) -> int:
        table = TABLES[kind]
        counting = select(func.count()).select_from(table).where(table.c.session_id == self._session_id)
        return int((await connection.execute(counting)).scalar_one())

    async def _are_there(self, connection: AsyncConnection, count: int) -> bool:
        for part in self._parts():
            async with asyncio.timeout(self._database.settings.timeout):
                for kind, rows in _by_kind(part):
                    if not await self._are_alike(connection, kind, rows):
                        return False
            count -= len(part)
        return count == 0

    async def _are_alike(self, connection: AsyncConnection, kind: Kind, rows: Sequence[StoredRecord]) -> bool:
        columns = TABLES[kind].c
        payload = columns[PAYLOADS[kind]]
        names = [row.step_name for row in rows]
        # The sizes first: what is there may be far larger than what is expected.
        for column, expected in (
            (func.length(payload), {row.step_name: len(row.data) for row in rows}),
            (columns.created_at, {row.step_name: row.created_at for row in rows}),
            # As the driver has it: SQLite keeps whatever was put into a column.
            (type_coerce(payload, NullType()), {row.step_name: row.data for row in rows}),
        ):
            query = select(columns.step_name, column)
            query = query.where(columns.session_id == self._session_id, columns.step_name.in_(names))
            if dict(typing.cast("Any", (await connection.execute(query)).all())) != expected:
                return False
        return True

    def _parts(self) -> Iterator[list[StoredRecord]]:
        return in_parts(each_record(self._session_id, self._records))

    def _refusal(self) -> AlreadyRecordedError:
        remedy = "delete it, or leave it as it is"
        return AlreadyRecordedError("the session is there already, with other records", remedy, self._session_id)


def _by_kind(records: list[StoredRecord]) -> Iterator[tuple[Kind, list[StoredRecord]]]:
    for kind in KINDS:
        if of_kind := [record for record in records if record.kind == kind]:
            yield kind, of_kind
