"""From a store to a bundle."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from anyio.to_thread import run_sync

from jeeves_journal.bundles.counts import Exported
from jeeves_journal.bundles.lines import Order, UnreadableError, check_record, end_line, header_line, record_line
from jeeves_journal.bundles.packing import Packer
from jeeves_journal.bundles.paths import NewFile, check_path, explaining
from jeeves_journal.errors import ConfigurationError, DecodeError, InvalidKeyError, NotRecordedError, StoreError
from jeeves_journal.keys import check_key
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.records import SessionSummary, StoredRecord
from jeeves_journal.tracebacks import without_locals

_MOST_LISTED: Final = 1_000
# How many records, or bytes of them, are packed before others have their turn.
_MOST_AT_ONCE: Final = 256
_MOST_BYTES: Final = 1024 * 1024


@without_locals
async def export_bundle(
    store: OperableJournalStore,
    path: str | os.PathLike[str],
    sessions: Iterable[str] | None = None,
    *,
    progress: Callable[[Exported], object] | None = None,
) -> Exported:
    """Write sessions into a new file, which any store can import.

    Sealed values travel sealed. The file appears under its name once it is whole and synced. Sessions are read one
    after the other: what is put meanwhile may be missing, as it may be of a run that was killed.

    Args:
        store: Where the sessions are.
        path: The file to make.
        sessions: The ids of those to export; all of them by default.
        progress: Is called now and then with what was written so far.

    Returns:
        What the bundle holds.

    Raises:
        ConfigurationError: The path is there already or cannot be written, or an argument cannot be used.
        NotRecordedError: One of the sessions is not recorded. No file is made.
        DecodeError: A row is damaged so that no store would take it.
        StoreError: The store cannot be read.
    """
    # By what is used, since isinstance does not see through a wrapper's __getattr__ from Python 3.12 on.
    if not (callable(getattr(store, "sessions", None)) and callable(getattr(store, "records", None))):
        raise ConfigurationError(f"a {type(store).__name__} has no sessions to export", "pass an OperableJournalStore")
    target = check_path(path)
    file = NewFile(target)
    await run_sync(file.check_free)
    ids = _all(store) if sessions is None else _each(await _recorded(store, sessions))
    try:
        bundle = await run_sync(_Bundle, target, await run_sync(file.create))
        async with aclosing(_in_parts(store, ids)) as parts:
            async for part in parts:
                await run_sync(bundle.add, part)
                if progress is not None:
                    progress(bundle.counts())
        await run_sync(bundle.finish)
        # At once: nobody who is interrupted is left in doubt.
        file.publish()
    finally:
        file.discard()
    await run_sync(file.sync_name)
    return bundle.counts()


class _Bundle:
    """A bundle that is written."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._packer = Packer(file)
        self._packer.add(header_line())
        self._order = Order()

    def counts(self) -> Exported:
        return Exported(self._order.sessions, self._order.records, self._order.bytes)

    def add(self, records: list[StoredRecord]) -> None:
        with explaining(self._path, "written"):
            for record in records:
                # Put again since it was read: a store that reads page by page comes upon it twice.
                if self._order.has(record):
                    continue
                sessions = self._order.sessions
                try:
                    check_record(record)
                    self._order.add(record)
                except (UnreadableError, InvalidKeyError) as error:
                    what = f"the store's records cannot be exported: one {getattr(error, 'what', error)}"
                    raise StoreError(what, "see the store's documentation", record.session_id) from error
                self._packer.add(*record_line(record), begins_session=self._order.sessions > sessions)

    def finish(self) -> None:
        with explaining(self._path, "written"):
            self._packer.add(end_line(self._order.sessions, self._order.records))
            self._packer.finish()


async def _recorded(store: OperableJournalStore, sessions: Iterable[str]) -> list[str]:
    """Return the ids of these sessions in their order.

    Raises:
        ConfigurationError: They are no ids.
        NotRecordedError: One is not recorded.
    """
    if isinstance(sessions, str | bytes) or not isinstance(sessions, Iterable):
        raise ConfigurationError(f"sessions cannot be {type(sessions).__name__}", "pass a list of session ids")
    ids = sorted({check_key("session_id", each) for each in sessions})
    for session_id in ids:
        # The first that begins so is the session itself.
        found = await store.sessions(session_id, limit=1)
        if [each.id for each in found] != [session_id]:
            raise NotRecordedError("there is no such session to export", "see sessions()", session_id)
    return ids


async def _each(ids: list[str]) -> AsyncGenerator[str]:
    for each in ids:
        yield each


async def _all(store: OperableJournalStore) -> AsyncGenerator[str]:
    after: SessionSummary | None = None
    while page := await store.sessions(after=after, limit=_MOST_LISTED):
        for each in page:
            try:
                yield check_key("session_id", each.id)
            except InvalidKeyError as error:
                remedy = "delete its rows, or name the sessions to export"
                raise DecodeError(f"a session cannot be exported: its {error.what}", remedy, each.id) from error
        after = page[-1]


async def _in_parts(store: OperableJournalStore, ids: AsyncGenerator[str]) -> AsyncGenerator[list[StoredRecord]]:
    part, size = list[StoredRecord](), 0
    async with aclosing(ids):
        async for session_id in ids:
            async with _closing(store.records(session_id)) as records:
                async for record in records:
                    part.append(record)
                    size += len(record.data)
                    if size >= _MOST_BYTES or len(part) == _MOST_AT_ONCE:
                        yield part
                        part, size = [], 0
    if part:
        yield part


@asynccontextmanager
async def _closing(records: AsyncIterator[StoredRecord]) -> AsyncGenerator[AsyncIterator[StoredRecord]]:
    """Close what may be a generator, which would else wait for the garbage collector."""
    try:
        yield records
    finally:
        close: Any = getattr(records, "aclose", None)
        if close is not None:
            await close()
