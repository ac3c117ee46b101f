"""Records in Postgres, read and written by asyncpg itself.

What costs is the round trip, and then the statement: waiting puts are one INSERT, waiting reads one SELECT. And of an
INSERT that may have to become an UPDATE, a third of what it costs the server is that it may.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect

from jeeves_journal.records import Kind
from jeeves_journal.stores.dialects.postgres.protocols import Driver
from jeeves_journal.stores.dialects.rows import Key, Row, SessionRow, Stored
from jeeves_journal.stores.statements import (
    KINDS,
    MANY_KEYS,
    MANY_NEW_ROWS,
    MANY_ROWS,
    TABLE_NAMES,
    Statements,
    compile_text,
    insert_many,
    read_many,
    upsert_many,
)

DIALECT: Final[Dialect] = cast("Any", asyncpg_dialect).dialect()


# Characters that every encoding has.
_MARK: Final = "\x01"
_END: Final = "\x02"


class Write(NamedTuple):
    """How rows of one kind are recorded."""

    kind: Kind
    upsert: str
    arguments: Sequence[object]
    insert: str | None = None
    """Does it where all keys are new; None where that would save nothing."""
    insert_arguments: Sequence[object] = ()


class Records(NamedTuple):
    """The statements for the tables of one schema."""

    one: Statements
    many_read: Mapping[Kind, str]
    many_upserted: Mapping[Kind, str]
    many_inserted: Mapping[Kind, str]
    table_names: Mapping[Kind, str]

    def writes(self, rows: Sequence[Row]) -> Iterator[Write]:
        """Return the statements that record rows."""
        if len(rows) == 1:
            kind, *arguments = rows[0]
            yield Write(kind, self.one.upsert[kind], arguments)
            return
        for kind in KINDS:
            # The last one of a key counts, and no statement may touch a row twice.
            latest = {row[1:3]: row for row in rows if row[0] == kind}
            if latest:
                # Sorted, since two processes that record the same keys in different orders deadlock.
                _, session_ids, step_names, *others = zip(*[latest[key] for key in sorted(latest)], strict=True)
                given = (*_joined(session_ids, step_names), *others)
                yield Write(
                    kind, self.many_upserted[kind], given, self.many_inserted[kind], (*given, self.table_names[kind])
                )

    async def read(self, driver: Driver, keys: Sequence[Key]) -> list[Stored | None]:
        """Return what is recorded under each key."""
        if len(keys) == 1:
            return [await self._read_one(driver, keys[0])]
        records: list[Stored | None] = [None] * len(keys)
        for kind in KINDS:
            places = [place for place, key in enumerate(keys) if key[0] == kind]
            if len(places) == 1:
                records[places[0]] = await self._read_one(driver, keys[places[0]])
            elif places:
                _, session_ids, step_names = zip(*[keys[place] for place in places], strict=True)
                rows = await driver.fetch(self.many_read[kind], *_joined(session_ids, step_names))
                for position, data, created_at in rows:
                    records[places[position - 1]] = data, created_at
        return records

    async def _read_one(self, driver: Driver, key: Key) -> Stored | None:
        kind, *names = key
        found = await driver.fetchrow(self.one.read[kind], *names)
        return None if found is None else tuple(found)

    async def read_session(self, driver: Driver, session_id: str, max_bytes: int | None) -> list[SessionRow]:
        """Return a session's steps; see ``Database.read_session``."""
        if max_bytes is None:
            found = await driver.fetch(self.one.read_session, session_id)
        else:
            bounded = session_id, max_bytes, session_id
            found = await driver.fetch(self.one.read_session_if_within, *bounded)
            found = found or await driver.fetch(self.one.read_session_within, *bounded)
        return found


def _joined(session_ids: Sequence[str], step_names: Sequence[str]) -> tuple[str, str, str]:
    """Return keys as the statements for many take them: ``session_ids``, ``separator``, ``step_names``.

    There have to be two keys at least: Postgres splits an empty text into nothing.
    """
    all_keys = _END.join((*session_ids, *step_names))
    separator = _MARK
    if _MARK in all_keys:
        # A longer run than any key has, and an end to it: found there only where it was put, whatever the keys begin
        # and end with.
        while separator in all_keys:
            separator *= 2
        separator += _END
    return separator.join(session_ids), separator, separator.join(step_names)


@cache
def records_in(schema: str | None) -> Records:
    """Return the statements for tables in this schema, or wherever the connection's search path leads."""
    return Records(
        Statements.compiled_for(DIALECT, postgresql.insert, schema),
        {kind: compile_text(read_many(kind), DIALECT, schema, *MANY_KEYS) for kind in KINDS},
        {kind: compile_text(upsert_many(kind, postgresql.insert), DIALECT, schema, *MANY_ROWS) for kind in KINDS},
        {kind: compile_text(insert_many(kind, postgresql.insert), DIALECT, schema, *MANY_NEW_ROWS) for kind in KINDS},
        {kind: qualified(TABLE_NAMES[kind], schema) for kind in KINDS},
    )


def qualified(table: str, schema: str | None) -> str:
    """Return a table's name as SQL has it."""
    quote = DIALECT.identifier_preparer.quote_identifier
    return quote(table) if schema is None else f"{quote(schema)}.{quote(table)}"
