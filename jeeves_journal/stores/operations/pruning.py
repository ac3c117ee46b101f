"""Deleting whole sessions that nobody has added to for long."""

from __future__ import annotations

from collections.abc import Callable

from jeeves_journal.records import Pruned
from jeeves_journal.stores.dialects import Database
from jeeves_journal.stores.lanes import Lanes


async def prune(
    lanes: Lanes,
    database: Database,
    age: float,
    keep: tuple[str, ...],
    batch: int,
    progress: Callable[[Pruned], object],
    *,
    dry_run: bool,
) -> Pruned:
    raise NotImplementedError
