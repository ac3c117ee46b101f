"""What operators ask of the journal in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from math import inf
from typing import Final, Literal

from jeeves_journal.arguments import (
    SessionsQuery,
    check_age,
    check_count,
    check_prefixes,
    check_records,
    recent_first,
)
from jeeves_journal.codecs import RecordCodec
from jeeves_journal.codecs.describing import described
from jeeves_journal.errors import StoreClosedError
from jeeves_journal.keys import check_key, check_keys
from jeeves_journal.records import Finding, Kind, KindUsage, Pruned, SessionSummary, StepSummary, StoredRecord, Usage
from jeeves_journal.stores.clock import timestamp
from jeeves_journal.stores.memory_records import MemoryRecords, place_of
from jeeves_journal.stores.refusals import (
    has_other_records,
    no_session,
    no_session_to_go_on_behind,
    no_step,
    target_has_records,
)
from jeeves_journal.tracebacks import without_locals

_LOGGER: Final = logging.getLogger("jeeves_journal")


class OperatedMemoryStore:
    """The part of the in-memory store that operators use; ``OperableJournalStore`` says what each method promises.

    No method gives way to another task between its first look at the records and its last change of them.
    """

    _codec: RecordCodec
    _records: MemoryRecords
    _closed: bool

    @without_locals
    async def sessions(
        self,
        prefix: str | None = None,
        *,
        order: Literal["id", "recent"] = "id",
        newer_than: timedelta | None = None,
        older_than: timedelta | None = None,
        after: str | SessionSummary | None = None,
        limit: int = 100,
    ) -> list[SessionSummary]:
        query = SessionsQuery.of(
            prefix, order=order, newer_than=newer_than, older_than=older_than, after=after, limit=limit
        )
        self._check_open()
        now = timestamp()
        earliest = -inf if query.newer_than is None else now - query.newer_than
        latest = inf if query.older_than is None else now - query.older_than
        ids = [each for each in self._records.session_ids() if each.startswith(query.prefix)]
        listed = (self._most_recent_first if query.is_recent_first else self._by_id)(ids, query.after)
        return list(islice((each for each in listed if earliest <= each.last_recorded <= latest), query.limit))

    @without_locals
    async def steps(self, session_id: str) -> list[StepSummary]:
        return [_step_summary(record) for record in self._records.of_session(self._admit(session_id))]

    @without_locals
    async def record(self, kind: Kind, session_id: str, step_name: str) -> StoredRecord | None:
        """Return one record as it is stored, or ``None``; see ``records``."""
        return self._records.get(kind, *self._admit_keys(session_id, step_name))

    async def examine(self) -> list[Finding]:
        """Say that a dict is well, and that it is gone with the store."""
        self._check_open()
        return [Finding("connection", "ok", "in memory: nothing outlives the process")]

    @without_locals
    async def delete_session(self, session_id: str) -> int:
        return self._delete(self._records.of_session(self._admit(session_id)))

    @without_locals
    async def delete_step(self, session_id: str, step_name: str) -> int:
        return self._delete(self._records.named(*self._admit_keys(session_id, step_name)))

    @without_locals
    async def rewind(self, session_id: str, to: str) -> int:
        session_id, to = check_key("session_id", session_id), check_key("to", to)
        self._check_open(session_id, to)
        since = self._time_of(session_id, to)
        return self._delete(record for record in self._records.of_session(session_id) if record.created_at >= since)

    @without_locals
    async def fork_session(self, source: str, target: str, *, before: str | None = None) -> int:
        source, target = check_key("source", source), check_key("target", target)
        before = None if before is None else check_key("before", before)
        self._check_open(source, before)
        records = self._records.of_session(source)
        if not records:
            raise no_session(source)
        if before is not None:
            until = self._time_of(source, before)
            records = [record for record in records if record.created_at < until]
        if self._records.of_session(target):
            raise target_has_records(target)
        # All of them before the first is put: one that cannot be sealed anew leaves nothing behind.
        for record in [self._copied(record, target) for record in records]:
            self._records.put(record)
        return len(records)

    @without_locals
    async def prune(
        self,
        older_than: timedelta,
        *,
        keep: Sequence[str] = (),
        dry_run: bool = False,
        batch: int = 1_000,
        progress: Callable[[Pruned], object] | None = None,
    ) -> Pruned:
        age, kept = check_age("older_than", older_than), check_prefixes("keep", keep)
        check_count("batch", batch)
        self._check_open()
        latest = timestamp() - age
        summaries = map(self._records.summary, self._records.session_ids())
        old = [each for each in summaries if each.last_recorded < latest and not each.id.startswith(kept)]
        records = sum(summary.steps + summary.streams for summary in old)
        pruned = Pruned(len(old), records, sum(summary.bytes for summary in old))
        if not dry_run:
            for summary in old:
                self._records.delete(self._records.of_session(summary.id))
            counts = pruned.sessions, pruned.records, pruned.bytes
            _LOGGER.info("memory: pruned %d sessions, %d records, %d bytes", *counts)
        if progress is not None:
            progress(pruned)
        return pruned

    @without_locals
    async def usage(self) -> Usage:
        self._check_open()
        return Usage(steps=self._usage_of("step"), streams=self._usage_of("stream"), is_exact=True)

    def records(self, session_id: str) -> AsyncIterator[StoredRecord]:
        return _Reading(lambda: self._records.of_session(self._admit(session_id)))

    @without_locals
    async def restore_session(self, session_id: str, records: Iterable[StoredRecord]) -> bool:
        session_id = check_key("session_id", session_id)
        wanted = check_records(session_id, records)
        self._check_open(session_id)
        recorded = self._records.of_session(session_id)
        if recorded and set(recorded) != set(wanted):
            raise has_other_records(session_id)
        if recorded:
            return False
        for record in wanted:
            self._records.put(record)
        return bool(wanted)

    def _by_id(self, ids: list[str], after: str | SessionSummary | None) -> Iterator[SessionSummary]:
        place = after.id if isinstance(after, SessionSummary) else after or ""
        return map(self._records.summary, sorted(each for each in ids if each > place))

    def _most_recent_first(self, ids: list[str], after: str | SessionSummary | None) -> Iterable[SessionSummary]:
        if isinstance(after, str):
            if after not in self._records:
                raise no_session_to_go_on_behind(after)
            after = self._records.summary(after)
        listed = sorted(map(self._records.summary, ids), key=recent_first)
        return listed if after is None else [each for each in listed if recent_first(each) > recent_first(after)]

    def _time_of(self, session_id: str, step_name: str) -> float:
        named = self._records.named(session_id, step_name)
        if not named:
            raise no_step(session_id, step_name)
        return min(record.created_at for record in named)

    def _copied(self, record: StoredRecord, session_id: str) -> StoredRecord:
        """Return a record for another session; what has no seal is copied as it is, as are JeevesAgent's."""
        data, created_at = record.data, record.created_at
        if described(data).sealed_by is not None:
            data = self._codec.moved(place_of(record), data, (record.kind, session_id, record.step_name, created_at))
        return StoredRecord(record.kind, session_id, record.step_name, data, created_at)

    def _delete(self, records: Iterable[StoredRecord]) -> int:
        deleted = tuple(records)
        self._records.delete(deleted)
        return len(deleted)

    def _usage_of(self, kind: Kind) -> KindUsage:
        records = [record for record in self._records if record.kind == kind]
        oldest = min((record.created_at for record in records), default=None)
        return KindUsage(len(records), sum(len(record.data) for record in records), oldest)

    def _admit(self, session_id: str) -> str:
        session_id = check_key("session_id", session_id)
        self._check_open(session_id)
        return session_id

    def _admit_keys(self, session_id: str, step_name: str) -> tuple[str, str]:
        keys = check_keys(session_id, step_name)
        self._check_open(*keys)
        return keys

    def _check_open(self, session_id: str | None = None, step_name: str | None = None) -> None:
        if self._closed:
            raise StoreClosedError("the store is closed", "open a new one", session_id, step_name)


class _Reading(AsyncIterator[StoredRecord]):
    """Records one after the other. No async generator, of which trio warns where somebody stops reading."""

    def __init__(self, start: Callable[[], Iterable[StoredRecord]]) -> None:
        self._start = start
        self._left: Iterator[StoredRecord] | None = None

    @without_locals
    async def __anext__(self) -> StoredRecord:
        if self._left is None:
            self._left = iter(self._start())
        for record in self._left:
            return record
        raise StopAsyncIteration


def _step_summary(record: StoredRecord) -> StepSummary:
    codec, sealed_by = described(record.data)
    return StepSummary(record.step_name, record.kind, record.created_at, len(record.data), codec, sealed_by)
