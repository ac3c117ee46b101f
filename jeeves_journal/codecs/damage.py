"""What is said of damaged records, wherever they are met."""

from __future__ import annotations

from typing import Final

from jeeves_journal.errors import DecodeError

REMEDY_DAMAGED: Final = "restore the row from a backup, or delete it so that the step runs again"


def no_bytes(data: object, session_id: str, step_name: str) -> DecodeError:
    """Return the error for what stands where a record's bytes should be."""
    return DecodeError(f"the record holds no bytes but {type(data).__name__}", REMEDY_DAMAGED, session_id, step_name)


def no_time(session_id: str, step_name: str) -> DecodeError:
    """Return the error for a record whose time is none."""
    return DecodeError("the record's time is not a number", REMEDY_DAMAGED, session_id, step_name)
