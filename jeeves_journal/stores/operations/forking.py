"""Copying a session into a new one.

A seal is bound to the session, so sealed records are opened and sealed anew. What has no seal is copied as it is, also
where keys are wanted: to fork makes nothing more trusted than it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Insert, LargeBinary, Text, bindparam, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.codecs import RecordCodec
from jeeves_journal.codecs.footer import FOOTER_BYTES, MAGIC, SEAL_FROM_END
from jeeves_journal.codecs.sealing import UNSEALED
from jeeves_journal.records import Kind
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.operations.deleting import recorded_at
from jeeves_journal.stores.operations.parts import MOST_NAMED, in_parts
from jeeves_journal.stores.operations.reading import count_of
from jeeves_journal.stores.operations.transactions import in_one_transaction
from jeeves_journal.stores.refusals import no_session, target_has_records
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES

# Bytes of sealed records that are held at once.
_MOST_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Asks for a copy of what a session recorded, up to a step."""

    source: str
    target: str
    before: str | None


class _Sealed(NamedTuple):
    step_name: str
    size: int


async def fork_session(lanes: Lanes, database: Database, codec: RecordCodec, fork: Fork) -> int:
    """Copy what a session recorded, up to a step, into a new session."""
    source, target = fork.source, fork.target

    async def work(connection: AsyncConnection) -> int:
        # Or two could fork onto it at once.
        await database.lock_session(connection, target)
        if not await count_of(connection, source):
            raise no_session(source)
        end = None if fork.before is None else await recorded_at(connection, source, fork.before)
        if await count_of(connection, target):
            raise target_has_records(target)
        try:
            copied = sum(await database.together(connection, [_copy(kind, source, target, end) for kind in KINDS]))
        except ConstraintError as error:
            raise target_has_records(target) from error
        for kind in KINDS:
            await _seal_anew(connection, codec, kind, source, target)
        # What was put there meanwhile, by somebody who knows of no lock.
        if await count_of(connection, target) != copied:
            raise target_has_records(target)
        return copied

    return await in_one_transaction(lanes, database, work)


def _copy(kind: Kind, source: str, target: str, end: float | None) -> Insert:
    columns, payload = TABLES[kind].c, PAYLOADS[kind]
    rows = select(literal(target, Text()), columns.step_name, columns[payload], columns.created_at)
    rows = rows.where(columns.session_id == source)
    if end is not None:
        rows = rows.where(columns.created_at < end)
    return insert(TABLES[kind]).from_select(["session_id", "step_name", payload, "created_at"], rows)


async def _seal_anew(connection: AsyncConnection, codec: RecordCodec, kind: Kind, source: str, target: str) -> None:
    """Seal for the target what was copied there with the source's seals.

    The copies are worked on: nobody else changes them.
    """
    columns, payload = TABLES[kind].c, PAYLOADS[kind]
    of_target = columns.session_id == target
    sealed = select(columns.step_name, func.length(columns[payload])).where(of_target, _is_sealed(columns[payload]))
    rows = [_Sealed(*row) for row in await connection.execute(sealed)]
    for part in in_parts(rows, lambda row: row.size, most=MOST_NAMED, most_bytes=_MOST_BYTES):
        names = [row.step_name for row in part]
        of_part = select(columns.step_name, columns[payload], columns.created_at)
        of_part = of_part.where(of_target, columns.step_name.in_(names))
        resealed = list[dict[str, object]]()
        for step_name, data, created_at in await connection.execute(of_part):
            place, to = ((kind, session_id, step_name, created_at) for session_id in (source, target))
            resealed.append({"name": step_name, "data": codec.moved(place, data, to)})
        anew = update(TABLES[kind]).where(of_target, columns.step_name == bindparam("name"))
        # Together: to send them one by one takes several times as long as all else.
        await connection.execute(anew.values({payload: bindparam("data", type_=LargeBinary())}), resealed)


def _is_sealed(payload: ColumnElement[bytes]) -> ColumnElement[bool]:
    size = func.length(payload)
    magic = func.substr(payload, size - (len(MAGIC) - 1), type_=LargeBinary())
    seal = func.substr(payload, size - (SEAL_FROM_END - 1), 1, type_=LargeBinary())
    return (size >= FOOTER_BYTES) & (magic == MAGIC) & (seal != bytes([UNSEALED]))
