"""What operators are refused, said alike by every store."""

from __future__ import annotations

from jeeves_journal.errors import AlreadyRecordedError, NotRecordedError


def no_session(session_id: str) -> NotRecordedError:
    """Return the error for a session that has no records."""
    return NotRecordedError("there is no such session", "see which there are by sessions()", session_id)


def no_session_to_go_on_behind(session_id: str) -> NotRecordedError:
    """Return the error for a page that should begin behind a session without records."""
    return NotRecordedError("there is no such session to go on behind", "pass its summary", session_id)


def no_step(session_id: str, step_name: str) -> NotRecordedError:
    """Return the error for a step that a session has not recorded."""
    remedy = "see what the session recorded by steps()"
    return NotRecordedError("the session has no such step", remedy, session_id, step_name)


def target_has_records(session_id: str) -> AlreadyRecordedError:
    """Return the error for a session that cannot be forked onto."""
    remedy = "fork into another session, or delete this one first"
    return AlreadyRecordedError("the session to fork into has records", remedy, session_id)


def has_other_records(session_id: str) -> AlreadyRecordedError:
    """Return the error for a session that was to be restored."""
    remedy = "delete it first, or leave it as it is"
    return AlreadyRecordedError("the session is there already, with other records", remedy, session_id)
