"""Sessions to operate on."""

from __future__ import annotations

from typing import Any

from jeeves_journal import SQLAlchemyJournalStore


async def record(store: SQLAlchemyJournalStore, session_id: str, *names: str) -> None:
    """Record a step for each name in this order, or a stream where the name begins with ``~``."""
    for name in names:
        if name.startswith("~"):
            await store.put_stream(session_id, name[1:], [name])
        else:
            await store.put_step(session_id, name, name)


async def steps_of(store: SQLAlchemyJournalStore, session_id: str) -> dict[str, Any]:
    """Return the values of a session's steps, in recorded order."""
    return {name: entry.value for name, entry in (await store.get_steps(session_id)).items()}
