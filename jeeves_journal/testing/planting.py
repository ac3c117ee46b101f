"""Records with times that a test chooses, so that nobody has to wait for them to grow old."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from jeeves_journal.codecs import Keyring, Place, RecordCodec
from jeeves_journal.codecs.envelope import Envelope
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.records import Kind, StoredRecord
from jeeves_journal.testing import values

BEFORE_ANY_JOURNAL: Final = timedelta(days=40 * 365)
"""An age that no record has but those that a test plants: one may be pruned where others have records too."""

_CODEC: Final = RecordCodec(max_value_bytes=1_000_000)


def ago(**age: float) -> float:
    """Return the time so long ago, in seconds since the epoch; the arguments are those of ``timedelta``."""
    return time.time() - timedelta(**age).total_seconds()


def record(
    session_id: str,
    step_name: str,
    created_at: float,
    *,
    kind: Kind = "step",
    data: bytes | None = None,
) -> StoredRecord:
    """Return a record as a store without keys has it. Its value is its name in a list, unless its bytes are given."""
    if data is None:
        data = _CODEC.encode((kind, session_id, step_name, created_at), [step_name])
    return StoredRecord(kind, session_id, step_name, data, created_at)


def different_keys(session_id: str) -> Iterator[tuple[str, str, str]]:
    """Return pairs of keys that a careless comparison takes for equal, each with a session id to begin others with."""
    for number, (one, other) in enumerate(values.plain(values.DIFFERENT_KEYS)):
        yield f"{session_id}-{number}-", one, other


async def plant(
    store: OperableJournalStore,
    session_id: str,
    steps: Mapping[str, float],
    streams: Mapping[str, float] | None = None,
) -> list[StoredRecord]:
    """Record a session's steps and streams, each with its time; return them in recorded order."""
    records = [record(session_id, name, created_at) for name, created_at in steps.items()]
    records += [record(session_id, name, at, kind="stream") for name, at in (streams or {}).items()]
    assert await store.restore_session(session_id, records)
    return sorted(records, key=lambda each: (each.created_at, each.step_name))


def sealed(place: Place, keys: Keyring, codec_id: str = "pickle") -> bytes:
    """Return the bytes of a record that these keys signed."""
    return Envelope(codec_id, keys=keys).wrap(place, b"\x80\x05N.")


async def stored(store: OperableJournalStore, session_id: str) -> list[StoredRecord]:
    """Return all records of a session."""
    return [each async for each in store.records(session_id)]


async def names(store: OperableJournalStore, session_id: str) -> list[str]:
    """Return the names of what a session recorded, in recorded order."""
    return [step.name for step in await store.steps(session_id)]


async def ids_of(store: OperableJournalStore, prefix: str, **arguments: Any) -> list[str]:
    """Return the ids of the sessions on a page."""
    return [summary.id for summary in await store.sessions(prefix, **arguments)]
