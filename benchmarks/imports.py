"""How long an import takes in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from typing import Final

OURS: Final = "jeeves_journal"
THEIRS: Final = "anyio, pickle, dataclasses, typing"


def import_ratio(rounds: int) -> float:
    """Return how many times as long our import takes as that of what any such library needs."""
    return median(_seconds(OURS) / _seconds(THEIRS) for _ in range(rounds))


def _seconds(modules: str) -> float:
    program = f"from time import perf_counter as now; start = now(); import {modules}; print(now() - start)"
    # Not isolated, since the package may be an editable install; -S would hide it.
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
