"""Records in SQLite, read and written by sqlite3 itself. Each of these functions runs on the driver's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final, TypeAlias

from sqlalchemy import Dialect
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import aiosqlite as aiosqlite_dialect

from jeeves_journal.records import Kind
from jeeves_journal.stores.dialects.rows import Key, Row, SchemaState, SessionRow, Stored
from jeeves_journal.stores.dialects.sqlite.errors import primary_code
from jeeves_journal.stores.models import VERSION_TABLE
from jeeves_journal.stores.statements import (
    KINDS,
    TABLE_NAMES,
    Statements,
    compile_text,
    listed_parameters,
    read_listed,
)

Batches: TypeAlias = list[tuple[str, list[tuple[Any, ...]]]]

_DIALECT: Final[Dialect] = aiosqlite_dialect.dialect()
STATEMENTS: Final = Statements.compiled_for(_DIALECT, sqlite.insert)

MOST_LISTED: Final = 16
"""How many keys one SELECT asks for."""
# Fewer are read as soon one by one.
_FEWEST_LISTED: Final = 8
_READ_LISTED: Final = {
    kind: compile_text(read_listed(kind, MOST_LISTED), _DIALECT, None, *listed_parameters(MOST_LISTED))
    for kind in KINDS
}


def batches_of(rows: Sequence[Row]) -> Batches:
    """Return rows as they are written: by statement."""
    return [
        (STATEMENTS.upsert[kind], of_kind) for kind in KINDS if (of_kind := [row[1:] for row in rows if row[0] == kind])
    ]


def commit(connection: sqlite3.Connection, batches: Batches) -> None:
    """Write batches in one transaction.

    The write lock is taken from the start: to wait for it later could end in a deadlock, which SQLite refuses.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for text, rows in batches:
            connection.executemany(text, rows)
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, a full disk for one, SQLite has rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def read(connection: sqlite3.Connection, keys: Sequence[Key]) -> list[Stored | None]:
    """Return what is recorded under each key."""
    records: list[Stored | None] = [None] * len(keys)
    with plain_rows(connection):
        for place, record in read_each(connection, keys):
            records[place] = record
    return records


def read_one(connection: sqlite3.Connection, key: Key) -> Stored | None:
    """Return what is recorded under a key."""
    # All, since a row too few leaves the statement open, and the log could not start anew.
    found = connection.execute(STATEMENTS.read[key[0]], key[1:]).fetchall()
    return found[0] if found else None


def read_each(connection: sqlite3.Connection, keys: Sequence[Key]) -> Generator[tuple[int, Stored | None]]:
    """Yield what is recorded under each key, with the key's place, in any order.

    Also where it is nothing, so that who has no time to lose may end it behind each.
    """
    for kind in KINDS:
        places = [place for place, key in enumerate(keys) if key[0] == kind]
        if len(places) < _FEWEST_LISTED:
            yield from ((place, read_one(connection, keys[place])) for place in places)
        else:
            for first in range(0, len(places), MOST_LISTED):
                yield from _read_listed(connection, kind, keys, places[first : first + MOST_LISTED])


def read_session(connection: sqlite3.Connection, session_id: str, max_bytes: int | None) -> list[SessionRow]:
    """Return a session's steps; see ``Database.read_session``."""
    try:
        with plain_rows(connection, str):
            return _read_session(connection, session_id, max_bytes)
    except sqlite3.OperationalError as error:
        # Only what Python itself raises has no code of SQLite's: that a text is no UTF-8.
        if primary_code(error):
            raise
    # To be ready for it from the start takes a replay a twentieth longer. Out here, since that error quotes the text.
    with plain_rows(connection):
        return _read_session(connection, session_id, max_bytes)


def schema_state(connection: sqlite3.Connection) -> SchemaState:
    """Look into the catalogue."""
    with plain_rows(connection):
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = None
        if VERSION_TABLE in names:
            found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    return SchemaState(names.issuperset(TABLE_NAMES[kind] for kind in KINDS), found[0] if found else None)


def lenient(text: bytes) -> str:
    """Return a text that may be none, as it is sent again."""
    return text.decode("utf-8", "surrogateescape")


@contextmanager
def plain_rows(connection: sqlite3.Connection, text_factory: Callable[[bytes], str] = lenient) -> Generator[None]:
    """Read rows as tuples, whatever the caller's engine makes of them.

    Damaged text is let through to where the record is decoded, so that it fails its own record only.
    """
    before = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, text_factory
    try:
        yield
    finally:
        connection.row_factory, connection.text_factory = before


def _read_session(connection: sqlite3.Connection, session_id: str, max_bytes: int | None) -> list[SessionRow]:
    if max_bytes is None:
        return connection.execute(STATEMENTS.read_session, (session_id,)).fetchall()
    bounded = (session_id, max_bytes, session_id)
    whole = connection.execute(STATEMENTS.read_session_if_within, bounded).fetchall()
    return whole or connection.execute(STATEMENTS.read_session_within, bounded).fetchall()


def _read_listed(
    connection: sqlite3.Connection, kind: Kind, keys: Sequence[Key], places: list[int]
) -> Generator[tuple[int, Stored | None]]:
    listed: list[str | None] = [text for place in places for text in keys[place][1:]]
    # What is left over is NULL, which equals nothing.
    listed += [None] * (2 * (MOST_LISTED - len(places)))
    with closing(connection.execute(_READ_LISTED[kind], listed)) as rows:
        for position, data, created_at in rows:
            if position < len(places):
                yield places[position], None if data is None and created_at is None else (data, created_at)
