"""How sessions are found without reading all of them: by their ids on the primary keys, by their times on the indexes.

Every statement is bounded by how much it may look at, whatever it finds, so that whoever does not know which of two
ways is the shorter one can try both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Executable, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.keys import is_text
from jeeves_journal.records import Kind, SessionSummary
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES

LATEST: Final = sys.float_info.max
"""Beyond every time: SQLite sorts texts behind it, and Postgres what is no number."""

MOST_IDS: Final = 256
"""How many sessions are summed up by one statement."""

_LAST_CHARACTER: Final = chr(sys.maxunicode)
_SURROGATES: Final = range(0xD800, 0xE000)


@dataclass(frozen=True)
class IdRange:
    """The sessions whose ids begin with a prefix and come after another id, byte by byte."""

    prefix: str = ""
    after: str | None = None

    def conditions(self, column: ColumnElement[str]) -> list[ColumnElement[bool]]:
        """Return what holds of their ids in SQL, as a range of keys."""
        found = list[ColumnElement[bool]]()
        if self.after is not None and self.after >= self.prefix:
            found.append(column > self.after)
        elif self.prefix:
            found.append(column >= self.prefix)
        if (end := end_of_prefix(self.prefix)) is not None:
            found.append(column < end)
        return found


class Window(NamedTuple):
    """What the latest records say."""

    sessions: dict[str, float]
    """The sessions that have records among them, and when the latest of these was recorded."""
    floor: float | None
    """When the earliest of them was recorded; ``None`` if there are no more."""


class Finder:
    """Finds sessions on one snapshot of a journal."""

    def __init__(self, connection: AsyncConnection, database: Database) -> None:
        """Use a connection that ``database.looking`` has lent."""
        self._connection = connection
        self._database = database
        self._has_keys_by_bytes: bool | None = None

    async def next_ids(self, ids: IdRange, count: int) -> list[str]:
        """Return so many ids, or all that there are, in order."""
        if self._has_keys_by_bytes is None:
            self._has_keys_by_bytes = await self._database.has_keys_by_bytes(self._connection)
        found = {session_id for kind in KINDS for session_id in await self._next_of_kind(kind, ids, count)}
        # Python compares texts as their UTF-8 compares.
        return sorted(found)[:count]

    async def summaries(self, session_ids: Sequence[str]) -> dict[str, SessionSummary]:
        """Return what is known of these sessions."""
        found = dict[str, SessionSummary]()
        for first in range(0, len(session_ids), MOST_IDS):
            part = session_ids[first : first + MOST_IDS]
            found |= await self._summed_up({kind: [TABLES[kind].c.session_id.in_(part)] for kind in KINDS})
        return found

    async def summaries_within(self, ids: IdRange, most: int) -> dict[str, SessionSummary] | None:
        """Return what is known of all these sessions; ``None`` if they have more records than that."""
        for kind in KINDS:
            if await self._count(kind, self._conditions(kind, ids), most) > most:
                return None
        return await self._summed_up({kind: self._conditions(kind, ids) for kind in KINDS})

    async def latest(self, ids: IdRange, oldest: float, newest: float, most: int) -> Window:
        """Look at about so many of the latest records between two times, for those of these sessions."""
        floor: float | None = None
        for kind in KINDS:
            found = await self._connection.scalar(_floor(kind, oldest if floor is None else floor, newest, most))
            floor = floor if found is None else float(found)
        return Window(await self._sessions_between(ids, oldest if floor is None else floor, newest), floor)

    async def ids_between(self, ids: IdRange, oldest: float, newest: float, most: int) -> list[str] | None:
        """Return which of these sessions have records between two times; ``None`` if there are more records there."""
        for kind in KINDS:
            if await self._count(kind, [TABLES[kind].c.created_at.between(oldest, newest)], most) > most:
                return None
        return sorted(await self._sessions_between(ids, oldest, newest))

    async def _next_of_kind(self, kind: Kind, ids: IdRange, count: int) -> list[str]:
        listing = self._hopping if self._has_keys_by_bytes else self._distinct
        asked = count
        while True:
            rows = await self._rows(listing(kind, ids, asked))
            found = [session_id for (session_id,) in rows if is_text(session_id)]
            if len(found) >= count or len(rows) < asked:
                return found
            # Once more, with as many more as there are damaged ones among them.
            asked = count + len(rows) - len(found)

    async def _sessions_between(self, ids: IdRange, oldest: float, newest: float) -> dict[str, float]:
        found = dict[str, float]()
        for kind in KINDS:
            for session_id, last in await self._rows(self._within(kind, ids, oldest, newest)):
                if is_text(session_id):
                    found[session_id] = max(float(last), found.get(session_id, -LATEST))
        return found

    async def _summed_up(self, conditions: Mapping[Kind, list[ColumnElement[bool]]]) -> dict[str, SessionSummary]:
        found = dict[str, SessionSummary]()
        for kind in KINDS:
            for session_id, count, first, last, size in await self._rows(_summing(kind, conditions[kind])):
                if is_text(session_id):
                    steps, streams = (count, 0) if kind == "step" else (0, count)
                    # A sum of Postgres's may be a Decimal.
                    part = SessionSummary(
                        session_id, steps, streams, float(first or 0), float(last or 0), int(size or 0)
                    )
                    found[session_id] = _joined(found[session_id], part) if session_id in found else part
        return found

    async def _rows(self, statement: Executable) -> Sequence[Any]:
        return (await self._connection.execute(statement)).all()

    async def _count(self, kind: Kind, conditions: Iterable[ColumnElement[bool]], most: int) -> int:
        some = select(literal(1)).select_from(TABLES[kind]).where(*conditions).limit(most + 1).subquery()
        found: int | None = await self._connection.scalar(select(func.count()).select_from(some))
        return found or 0

    def _conditions(self, kind: Kind, ids: IdRange) -> list[ColumnElement[bool]]:
        return ids.conditions(self._by_bytes(TABLES[kind].c.session_id))

    def _by_bytes(self, column: ColumnElement[str]) -> ColumnElement[str]:
        return self._database.by_bytes(column)

    def _hopping(self, kind: Kind, ids: IdRange, count: int) -> Executable:
        """Return the SELECT that goes from one session to the next by one step down the primary key's index each."""
        column = self._by_bytes(TABLES[kind].c.session_id)
        end = IdRange(ids.prefix).conditions(column)[1:]
        first = select(func.min(column).label("id"), literal(1).label("position")).where(*ids.conditions(column))
        found = first.cte("found", recursive=True)
        following = select(func.min(column)).where(column > found.c.id, *end).scalar_subquery()
        found = found.union_all(
            select(following, found.c.position + 1).where(found.c.id.is_not(None), found.c.position < count)
        )
        return select(found.c.id).where(found.c.id.is_not(None))

    def _distinct(self, kind: Kind, ids: IdRange, count: int) -> Executable:
        column = self._by_bytes(TABLES[kind].c.session_id)
        return select(column).where(*ids.conditions(column)).group_by(column).order_by(column).limit(count)

    def _within(self, kind: Kind, ids: IdRange, oldest: float, newest: float) -> Executable:
        columns = TABLES[kind].c
        session_id = self._database.beside_index(columns.session_id)
        within = select(session_id, func.max(columns.created_at)).where(columns.created_at.between(oldest, newest))
        return within.where(*ids.conditions(self._by_bytes(session_id))).group_by(session_id)


def _floor(kind: Kind, oldest: float, newest: float, most: int) -> Executable:
    created_at = TABLES[kind].c.created_at
    times = select(created_at).where(created_at.between(oldest, newest)).order_by(created_at.desc())
    return times.offset(most - 1).limit(1)


def end_of_prefix(prefix: str) -> str | None:
    """Return the least text that comes after all that begin with a prefix; ``None`` if there is none."""
    rest = prefix.rstrip(_LAST_CHARACTER)
    if not rest:
        return None
    following = ord(rest[-1]) + 1
    return rest[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def _summing(kind: Kind, conditions: Iterable[ColumnElement[bool]]) -> Executable:
    columns = TABLES[kind].c
    # A damaged one is no time at all.
    time = case((columns.created_at.between(-LATEST, LATEST), columns.created_at))
    size = func.sum(func.length(columns[PAYLOADS[kind]]))
    summed = select(columns.session_id, func.count(), func.min(time), func.max(time), size)
    return summed.where(*conditions).group_by(columns.session_id)


def _joined(one: SessionSummary, other: SessionSummary) -> SessionSummary:
    return SessionSummary(
        one.id,
        one.steps + other.steps,
        one.streams + other.streams,
        min(one.first_recorded, other.first_recorded),
        max(one.last_recorded, other.last_recorded),
        one.bytes + other.bytes,
    )
