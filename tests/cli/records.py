"""Journals with known records at known times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jeeves_journal import JournalStore, StoredRecord
from jeeves_journal.codecs import record_codec
from jeeves_journal.options import Settings

AT: Final = 1_750_000_000.0
"""2025-06-15T15:06:40Z."""

RECORDS: Final = {
    "run-1": [
        ("step", "fetch", {"rows": 3}, AT),
        ("stream", "answer", ["Hel", "lo"], AT + 2),
        ("step", "parse", "text", AT + 10),
        ("step", "store", None, AT + 10.5),
    ],
    "run-2": [("step", "fetch", {"rows": 4}, AT + 100)],
    "other": [("step", "fetch", {"rows": 5}, AT + 200)],
}


def restore(url: str, records: Mapping[str, Iterable[tuple[Any, str, Any, float]]], **options: Any) -> None:
    """Record sessions with their times; ``options`` are those of the codec."""
    codec = record_codec(Settings(**options))

    async def main() -> None:
        async with JournalStore.from_url(url) as store:
            for session_id, rows in records.items():
                made = [
                    StoredRecord(kind, session_id, name, codec.encode((kind, session_id, name, at), value), at)
                    for kind, name, value, at in rows
                ]
                assert await store.restore_session(session_id, made)

    asyncio.run(main())


def session_ids(url: str) -> list[str]:
    """Return the sessions of a journal."""

    async def main() -> list[str]:
        async with JournalStore.from_url(url) as store:
            return [each.id for each in await store.sessions()]

    return asyncio.run(main())


def step_names(url: str, session_id: str) -> list[str]:
    """Return what a session recorded."""

    async def main() -> list[str]:
        async with JournalStore.from_url(url) as store:
            return [each.name for each in await store.steps(session_id)]

    return asyncio.run(main())
