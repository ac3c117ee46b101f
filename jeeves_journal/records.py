"""What a journal gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The recorded result of one step.

    Attributes:
        value: What the step returned. A recorded ``None`` is an entry whose value is ``None``.
        created_at: When it was recorded, in seconds since the epoch, UTC.
    """

    value: Any
    created_at: float
