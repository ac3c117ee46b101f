"""What a fault did to a journal, in figures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Figures:
    """What one test counted; printed at the end of the run.

    Attributes:
        acknowledged: Puts that returned.
        lost: Of them, those that are not there afterwards. Zero, or the journal is of no use.
        wrong: Records that hold something else than was put.
        unknown: Puts that were under way when they were interrupted, or raised: there afterwards or not.
        refused: Calls that raised an error.
        longest_stall: Seconds that the slowest call took.
        others: What else is worth a figure, by name.
    """

    acknowledged: int = 0
    lost: int = 0
    wrong: int = 0
    unknown: int = 0
    refused: int = 0
    longest_stall: float = 0.0
    others: dict[str, float | str] = field(default_factory=dict[str, float | str])

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Time a call, whatever comes of it, for the longest stall."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.longest_stall = max(self.longest_stall, time.monotonic() - started)

    def __str__(self) -> str:
        parts = [
            f"acknowledged {self.acknowledged:,}",
            f"lost {self.lost:,}",
            f"wrong {self.wrong:,}",
            f"unknown {self.unknown:,}",
            f"refused {self.refused:,}",
            f"longest stall {self.longest_stall:.2f} s",
        ]
        return ", ".join(parts + [f"{name} {_shown(value)}" for name, value in self.others.items()])


def _shown(value: float | str) -> str:
    return f"{value:,.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
