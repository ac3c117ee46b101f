"""What goes into a database, and what comes out of it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from jeeves_journal.records import Kind

# Plain tuples: each call makes some of these, and to make a named one takes several times as long.

Key: TypeAlias = tuple[Kind, str, str]
"""Names a record: its kind, session id and step name."""

Row: TypeAlias = tuple[Kind, str, str, bytes, float]
"""A record on its way into the database: its key, its bytes, and when it was recorded."""


class SessionQuery(NamedTuple):
    """Asks for a session's steps in recorded order, or in any order for as many of the first as fit a byte bound."""

    session_id: str
    max_bytes: int | None


Stored: TypeAlias = tuple[object, float]
"""A record's bytes (whatever stands there), and when it was recorded."""

SessionRow: TypeAlias = tuple[str, object, float]
"""A step's name, its record's bytes, and when it was recorded."""


Transaction: TypeAlias = tuple[int, object]
"""A transaction's number, and whose numbers it is one of, as far as that is known."""


class SchemaState(NamedTuple):
    """What stands in the catalogue."""

    has_tables: bool
    revision: str | None


class Size(NamedTuple):
    """How much a table holds."""

    rows: int
    bytes: int
    """Of the records in it."""
