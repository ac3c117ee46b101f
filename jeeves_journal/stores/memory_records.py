"""The records of a journal in memory: by key, and by session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from jeeves_journal.codecs import Place
from jeeves_journal.records import Kind, SessionSummary, StoredRecord

_Key: TypeAlias = tuple[Kind, str]


class MemoryRecords:
    """Records by session, and the order in which their keys came."""

    def __init__(self) -> None:
        """Hold none."""
        self._sessions: dict[str, dict[_Key, StoredRecord]] = {}
        # Of all sessions, in the order in which they were first put.
        self._keys: dict[tuple[Kind, str, str], None] = {}

    def get(self, kind: Kind, session_id: str, step_name: str) -> StoredRecord | None:
        """Return a record."""
        session = self._sessions.get(session_id)
        return None if session is None else session.get((kind, step_name))

    def put(self, record: StoredRecord) -> None:
        """Add a record, over an earlier one of its key."""
        self._sessions.setdefault(record.session_id, {})[record.kind, record.step_name] = record
        self._keys[record.kind, record.session_id, record.step_name] = None

    def delete(self, records: Iterable[StoredRecord]) -> None:
        """Delete records, and the session that has none left."""
        for record in records:
            session = self._sessions[record.session_id]
            del session[record.kind, record.step_name]
            del self._keys[record.kind, record.session_id, record.step_name]
            if not session:
                del self._sessions[record.session_id]

    def clear(self) -> None:
        """Delete them all."""
        self._sessions.clear()
        self._keys.clear()

    def keys(self, kind: Kind) -> list[tuple[str, str]]:
        """Return the session and name of each step or stream, in the order in which they were first put."""
        return [(session_id, step_name) for of, session_id, step_name in self._keys if of == kind]

    def session_ids(self) -> Iterable[str]:
        """Return the sessions that have records."""
        return self._sessions.keys()

    def __contains__(self, session_id: str) -> bool:
        """Return whether a session has records."""
        return session_id in self._sessions

    def __iter__(self) -> Iterator[StoredRecord]:
        """Return every record, session by session."""
        return (record for session in self._sessions.values() for record in session.values())

    def named(self, session_id: str, step_name: str) -> list[StoredRecord]:
        """Return the step and the stream of this name, as far as they are recorded."""
        found = (self.get("step", session_id, step_name), self.get("stream", session_id, step_name))
        return [record for record in found if record is not None]

    def of_session(self, session_id: str) -> list[StoredRecord]:
        """Return a session's records in recorded order."""
        return sorted(self._sessions.get(session_id, {}).values(), key=_recorded_order)

    def steps_of(self, session_id: str) -> list[StoredRecord]:
        """Return a session's steps in recorded order."""
        return [record for record in self.of_session(session_id) if record.kind == "step"]

    def summary(self, session_id: str) -> SessionSummary:
        """Return what is known of a session that has records."""
        records = self._sessions[session_id].values()
        times = [record.created_at for record in records]
        steps = sum(record.kind == "step" for record in records)
        size = sum(len(record.data) for record in records)
        return SessionSummary(session_id, steps, len(records) - steps, min(times), max(times), size)


def place_of(record: StoredRecord) -> Place:
    """Return what a record's seal is bound to."""
    return (record.kind, record.session_id, record.step_name, record.created_at)


def _recorded_order(record: StoredRecord) -> tuple[float, str, str]:
    # Python compares texts by code point, which is how their UTF-8 bytes compare.
    return record.created_at, record.step_name, record.kind
