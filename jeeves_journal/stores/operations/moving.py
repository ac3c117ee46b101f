"""Records as they are stored, on their way to another store: a few MiB of a session at a time, or one record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import (
    Executable,
    SelectBase,
    Text,
    cast,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)

from jeeves_journal.codecs.damage import REMEDY_DAMAGED, no_bytes
from jeeves_journal.errors import DecodeError, InvalidKeyError
from jeeves_journal.keys import check_key
from jeeves_journal.records import Kind, StoredRecord
from jeeves_journal.stores.dialects import Database, Key
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.models import KEY_TYPE
from jeeves_journal.stores.operations.parts import in_parts
from jeeves_journal.stores.operations.reading import stored_record, time_of
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES

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


T = TypeVar("T")


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
        walk.parts = part_by_part(listed, lambda each: each.size)


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
    recorded_at = time_of(created_at, session_id, name)
    if not isinstance(size, int):
        raise no_bytes(size, session_id, name)
    return _Listed(kind, name, recorded_at, size)


async def _read(lanes: Lanes, session_id: str, part: list[_Listed]) -> list[StoredRecord]:
    keys: list[Key] = [(each.kind, session_id, each.step_name) for each in part]
    records = await asyncio.gather(*(lanes.reads.submit(key) for key in keys))
    found = list[StoredRecord]()
    for listed, key, record in zip(part, keys, records, strict=True):
        # One that was put again meanwhile has another place in the order, where it may come a second time.
        if record is not None and float(record[1]) == listed.created_at:
            found.append(stored_record(key, *record))
    return found


def part_by_part(records: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Divide records into those that go over the wire at once."""
    return in_parts(records, size_of, most=_MOST_AT_ONCE, most_bytes=_MOST_BYTES)
