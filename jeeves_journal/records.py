"""What a journal gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jeeves_journal.errors import CodecError


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The recorded result of one step.

    Attributes:
        value: What the step returned. A recorded ``None`` is an entry whose value is ``None``.
        created_at: When it was recorded, in seconds since the epoch, UTC.
    """

    value: Any
    created_at: float


@dataclass(frozen=True, slots=True)
class Resealed:
    """What came of bringing a journal's records to the newest key and codec.

    Attributes:
        records: How many there are.
        resealed: How many of them were written anew.
        refused: How many were left as they are, since they cannot be trusted or read, or not be written by this codec.
        refusals: Why, for the first hundred of them.
    """

    records: int
    resealed: int
    refused: int
    refusals: tuple[CodecError, ...]
