"""From a bundle to a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from anyio.to_thread import run_sync

from jeeves_journal.arguments import check_count
from jeeves_journal.bundles.counts import Imported
from jeeves_journal.bundles.paths import check_path
from jeeves_journal.bundles.reading import BundleFile, Found
from jeeves_journal.errors import AlreadyRecordedError, ConfigurationError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.options import Settings
from jeeves_journal.records import StoredRecord
from jeeves_journal.tracebacks import without_locals

# A session that has more is read from the file whenever a store asks for its records.
_MOST_HELD_BYTES: Final = 64 * 1024 * 1024
_MOST_HELD: Final = 100_000
# How many records, or bytes of them, are checked before one who is cancelled can leave.
_MOST_AT_ONCE: Final = 1_000
_MOST_BYTES: Final = 4 * 1024 * 1024


@without_locals
async def import_bundle(
    store: OperableJournalStore,
    path: str | os.PathLike[str],
    *,
    max_value_bytes: int = Settings.max_value_bytes,
    progress: Callable[[Imported], object] | None = None,
) -> Imported:
    """Record the sessions of a bundle, each at once, with the times that they have.

    The whole file is read and checked before anything is recorded. Importing again changes nothing, and goes on where
    an import was interrupted.

    Args:
        store: Where they are to be.
        path: What ``export_bundle`` made.
        max_value_bytes: Encoded size in bytes over which a value is refused, and the bundle with it: what it may hold
            is read before it is known to be right. As large as that of the store that it comes from.
        progress: Is called after each session with what was done so far.

    Returns:
        What was recorded, what was there already, and which sessions were refused since they are there with other
        records. The latter are left as they are.

    Raises:
        BundleError: The file is no bundle, is cut or was altered, or is of a newer format. Nothing is recorded.
        ConfigurationError: The file cannot be opened, or an argument cannot be used.
        StoreError: The store cannot be written. Sessions that are recorded by then stay.
    """
    # By what is used, since isinstance does not see through a wrapper's __getattr__ from Python 3.12 on.
    if not callable(getattr(store, "restore_session", None)):
        raise ConfigurationError(f"a {type(store).__name__} takes no sessions", "pass an OperableJournalStore")
    bundle = BundleFile(check_path(path), check_count("max_value_bytes", max_value_bytes))
    try:
        await run_sync(bundle.open)
        checking = bundle.found()
        while await run_sync(_check_some, checking):
            pass
        sessions = _Sessions(bundle)
        done = Imported(0, 0, 0, ())
        while (session := await run_sync(sessions.take)) is not None:
            done = await _imported(store, session, done)
            if progress is not None:
                progress(done)
        return done
    finally:
        bundle.close()


class _Session(NamedTuple):
    id: str
    records: Iterable[StoredRecord]
    size: int
    """How many records."""


async def _imported(store: OperableJournalStore, session: _Session, done: Imported) -> Imported:
    try:
        is_new = await store.restore_session(session.id, session.records)
    except AlreadyRecordedError as error:
        # Another object, without the frames that hold the records.
        return Imported(done.sessions, done.records, done.unchanged, (*done.refused, error.about(session.id)))
    if is_new:
        return Imported(done.sessions + 1, done.records + session.size, done.unchanged, done.refused)
    return Imported(done.sessions, done.records, done.unchanged + 1, done.refused)


def _check_some(checking: Iterator[Found]) -> bool:
    """Check some records; return whether there may be more."""
    size = 0
    for count, (record, _) in enumerate(checking, start=1):
        size += len(record.data)
        if count == _MOST_AT_ONCE or size >= _MOST_BYTES:
            return True
    return False


class _Sessions:
    """The sessions of a bundle that was found whole, one after the other."""

    def __init__(self, bundle: BundleFile) -> None:
        self._bundle = bundle
        self._all = bundle.found()
        self._next: Found | None = None

    def take(self) -> _Session | None:
        """Return the next session, nothing at the end.

        Raises:
            BundleError: The file has changed since.
        """
        self._next = self._next or next(self._all, None)
        first = self._next
        if first is None:
            return None
        session_id = first.record.session_id
        held: list[StoredRecord] | None = []
        count, size = 0, 0
        while self._next is not None and self._next.record.session_id == session_id:
            count, size = count + 1, size + len(self._next.record.data)
            if held is not None:
                held.append(self._next.record)
                if size > _MOST_HELD_BYTES or count > _MOST_HELD:
                    held = None
            self._next = next(self._all, None)
        self._bundle.check_unchanged()
        return _Session(session_id, held if held is not None else _Again(self._bundle, first), count)


class _Again(Iterable[StoredRecord]):
    """The records of a session that is too large to be held: each time they are read from the file."""

    def __init__(self, bundle: BundleFile, first: Found) -> None:
        self._bundle = bundle
        # Not its first record, which may be large.
        self._session_id, self._spot = first.record.session_id, first.spot

    def __iter__(self) -> Iterator[StoredRecord]:
        return self._bundle.records(self._session_id, self._spot)
