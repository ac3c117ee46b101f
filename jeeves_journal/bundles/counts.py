"""What came of moving sessions."""

from __future__ import annotations

from dataclasses import dataclass

from jeeves_journal.errors import AlreadyRecordedError


@dataclass(frozen=True, slots=True)
class Exported:
    """What a bundle holds.

    Attributes:
        sessions: How many sessions.
        records: How many steps and streams.
        bytes: How many bytes their records take in a store.
    """

    sessions: int
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of importing a bundle.

    Attributes:
        sessions: How many sessions were recorded.
        records: How many steps and streams they have.
        unchanged: How many sessions were there already, as the bundle has them.
        refused: One error for each session that is there with other records, and was left as it is.
    """

    sessions: int
    records: int
    unchanged: int
    refused: tuple[AlreadyRecordedError, ...]
