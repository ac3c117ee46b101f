"""Which sessions nobody has added to for long, and what their records are.

They are found from the oldest record on, in the indexes by time. Of a session that goes on, only the old records are
passed over, in the index, and it is looked at once. Sessions without any old record are never met.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Select, Text, column, func, literal, select, tuple_, values
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.keys import is_text
from jeeves_journal.records import Kind
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes
from jeeves_journal.stores.operations.pace import Pace
from jeeves_journal.stores.operations.parts import MOST_NAMED
from jeeves_journal.stores.operations.reading import sent
from jeeves_journal.stores.statements import KINDS, PAYLOADS, TABLES

# Entries of an index that are passed over in one statement.
_MOST_PASSED: Final = 10_000
# Seconds for which one look holds a snapshot.
_LOOK: Final = 0.2
# Records of one session that are listed at once. To find the latest, all of them are looked at.
_MOST_LISTED: Final = 50_000
# The journal's latest records, among which is what was put since a session was looked at.
_MOST_RECENT: Final = 10_000


class Sleeper(NamedTuple):
    """A session whose last record is old."""

    session_id: str
    records: int
    bytes: int


class Listed(NamedTuple):
    """A record of such a session."""

    created_at: float
    step_name: str
    kind: Kind
    bytes: int
    records: int = 1


class _Met(NamedTuple):
    """A session on the way; looked at, its records are those that one expects of it."""

    session_id: str
    records: int = 1
    bytes: int = 0


class Walk:
    """Walks from the oldest record to the first one that is not old."""

    def __init__(self, cutoff: float, keep: tuple[str, ...]) -> None:
        """Prepare.

        Args:
            cutoff: What was recorded before is old.
            keep: Prefixes of sessions to pass over.
        """
        self._cutoff = cutoff
        self._keep = keep
        self._kinds = deque[Kind](KINDS)
        self._last: tuple[float, object] | None = None
        self._seen = set[str]()
        self._met = deque[_Met]()
        self._pace = Pace(_LOOK, MOST_NAMED)

    async def advance(self, lanes: Lanes, database: Database) -> list[Sleeper] | None:
        """Return the next sessions that sleep, maybe none; ``None`` at the end."""
        if self._met:
            some = list(self._pace.fitting(self._met))
            started = time.monotonic()
            found = await asleep(lanes, database, self._cutoff, [each.session_id for each in some])
            self._pace.took(time.monotonic() - started, some)
            for _ in some:
                self._met.popleft()
            return found
        if not self._kinds:
            return None
        passed = await lanes.attempt(partial(self._pass_over, database, self._kinds[0]))
        if passed:
            self._last = passed[0]
        else:
            self._kinds.popleft()
            self._last = None
        for _, session_id in reversed(passed):
            if is_text(session_id) and session_id not in self._seen and not session_id.startswith(self._keep):
                self._seen.add(session_id)
                self._met.append(_Met(session_id))
        return []

    async def _pass_over(self, database: Database, kind: Kind) -> list[tuple[float, object]]:
        """Return the sessions of the next entries, each with its last one, the very last one first."""
        columns = TABLES[kind].c
        entries = select(columns.created_at, columns.session_id).where(columns.created_at < self._cutoff)
        if self._last is not None:
            created_at, session_id = self._last
            place = tuple_(literal(created_at), sent(session_id))
            entries = entries.where(tuple_(columns.created_at, columns.session_id) > place)
        page = entries.order_by(columns.created_at, columns.session_id).limit(_MOST_PASSED).subquery()
        last = func.max(page.c.created_at)
        # The last one by the order that the database has.
        sessions = select(last, page.c.session_id).group_by(page.c.session_id)
        async with database.looking() as connection:
            rows = await connection.execute(sessions.order_by(last.desc(), page.c.session_id.desc()))
            return [(created_at, session_id) for created_at, session_id in rows]


async def asleep(lanes: Lanes, database: Database, cutoff: float, session_ids: list[str]) -> list[Sleeper]:
    """Return those of these sessions that have records, and none that is not old."""
    if not session_ids:
        return []

    async def look() -> list[Sleeper]:
        async with database.looking() as connection:
            wanted = list(await connection.scalars(_without_young(cutoff, session_ids)))
            sizes: dict[str, tuple[int, int]] = {}
            for kind in KINDS if wanted else ():
                columns = TABLES[kind].c
                size = func.coalesce(func.sum(func.length(columns[PAYLOADS[kind]])), 0)
                of_kind = select(columns.session_id, func.count(), size).where(columns.session_id.in_(wanted))
                for session_id, records, bytes_ in await connection.execute(of_kind.group_by(columns.session_id)):
                    before = sizes.get(session_id, (0, 0))
                    sizes[session_id] = before[0] + records, before[1] + int(bytes_)
            return [Sleeper(session_id, *sizes[session_id]) for session_id in wanted if session_id in sizes]

    return await lanes.attempt(look)


def _without_young(cutoff: float, session_ids: list[str]) -> Select[str]:
    wanted = values(column("session_id", Text), name="wanted").data([(each,) for each in session_ids]).cte()
    statement = select(wanted.c.session_id)
    for kind in KINDS:
        columns = TABLES[kind].c
        # From the end, since names are often numbered. A scalar, since Postgres would be free to join an EXISTS, and
        # for that to read all that is young.
        young = select(literal(1)).where(columns.session_id == wanted.c.session_id, ~is_old(kind, cutoff))
        young = young.order_by(columns.step_name.desc()).limit(1)
        statement = statement.where(young.scalar_subquery().is_(None))
    return statement


def is_old(kind: Kind, cutoff: float) -> ColumnElement[bool]:
    """Return the condition that a record of a given session is old; one without a time is not.

    Whatever the database knows of its rows, it must not look for them in the index by time, among those of all others.
    """
    return func.coalesce(TABLES[kind].c.created_at, cutoff) < cutoff


async def latest(lanes: Lanes, database: Database, session_id: str) -> tuple[list[Listed], bool]:
    """Return a session's latest records, the very last one first, and whether these are all."""

    async def look() -> tuple[list[Listed], bool]:
        found = list[Listed]()
        async with database.looking() as connection:
            for kind in KINDS:
                columns = TABLES[kind].c
                size = func.coalesce(func.length(columns[PAYLOADS[kind]]), 0)
                records = select(columns.created_at, columns.step_name, literal(kind), size)
                records = records.where(columns.session_id == session_id)
                order = func.coalesce(columns.created_at, 0).desc(), columns.step_name.desc()
                found += [
                    Listed(*row) for row in await connection.execute(records.order_by(*order).limit(_MOST_LISTED + 1))
                ]
        found.sort(key=lambda record: (record.created_at, record.step_name), reverse=True)
        return found[:_MOST_LISTED], len(found) <= _MOST_LISTED

    return await lanes.attempt(look)


async def woke_up(connection: AsyncConnection, session_id: str, cutoff: float) -> bool:
    """Return whether a record of the session is among the latest of the journal and not old.

    It takes the same however much the session recorded.
    """

    def its_own(kind: Kind) -> Select[int]:
        columns = TABLES[kind].c
        recent = select(columns.session_id).where(columns.created_at >= cutoff)
        page = recent.order_by(columns.created_at.desc(), columns.session_id.desc()).limit(_MOST_RECENT).subquery()
        return select(literal(1)).where(page.c.session_id == session_id)

    return await _any_found(connection, its_own)


async def left_of(connection: AsyncConnection, session_ids: list[str]) -> bool:
    """Return whether any of these sessions has records."""
    return await _any_found(
        connection, lambda kind: select(literal(1)).where(TABLES[kind].c.session_id.in_(session_ids))
    )


async def _any_found(connection: AsyncConnection, query: Callable[[Kind], Select[int]]) -> bool:
    found = select(*(query(kind).limit(1).scalar_subquery() for kind in KINDS))
    return any(value is not None for value in (await connection.execute(found)).one())
