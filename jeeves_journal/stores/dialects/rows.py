"""What goes into a database, and what comes out of it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from jeeves_journal.records import Kind


class Key(NamedTuple):
    """Names a record."""

    kind: Kind
    session_id: str
    step_name: str


class Row(NamedTuple):
    """A record on its way into the database."""

    kind: Kind
    session_id: str
    step_name: str
    data: bytes
    created_at: float


class SessionQuery(NamedTuple):
    """Asks for a session's steps in recorded order, or in any order for as many of the first as fit a byte bound."""

    session_id: str
    max_bytes: int | None


Stored: TypeAlias = tuple[object, float]
"""A record's bytes (whatever stands there), and when it was recorded."""

SessionRow: TypeAlias = tuple[str, object, float]
"""A step's name, its record's bytes, and when it was recorded."""


class SchemaState(NamedTuple):
    """What stands in the catalogue."""

    has_tables: bool
    revision: str | None


class Size(NamedTuple):
    """How much a table holds."""

    rows: int
    bytes: int
    """Of the records in it."""
