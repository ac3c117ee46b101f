"""Random calls of operators among those of a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from jeeves_journal import AlreadyRecordedError, NotRecordedError, SessionSummary, StoredRecord
from tests.contract.running_machine import NAMES, SESSIONS, RecordKey, StoreAndDict

ORDERS = st.sampled_from(["id", "recent"])


class OperatedStoreAndDict(StoreAndDict):
    """One example: also with sessions that are listed, deleted, taken back, forked, pruned and moved."""

    def of_session(self, session_id: str) -> list[RecordKey]:
        return [key for key in self.records if key[1] == session_id]

    def named(self, session_id: str, name: str) -> list[RecordKey]:
        return [key for key in self.of_session(session_id) if key[2] == name]

    def before(self, session_id: str, name: str) -> list[RecordKey]:
        """Return what was recorded before the earlier of a step and a stream."""
        keys = self.of_session(session_id)
        return keys[: keys.index(self.named(session_id, name)[0])]

    def forget(self, keys: list[RecordKey]) -> int:
        for key in keys:
            del self.records[key]
        return len(keys)

    def read(self, session_id: str) -> list[StoredRecord]:
        async def records() -> list[StoredRecord]:
            return [record async for record in self.store.records(session_id)]

        return self.run(records())

    @rule(session=SESSIONS)
    def steps(self, session: str) -> None:
        session_id = f"{self.prefix}{session}"
        steps = self.run(self.store.steps(session_id))
        assert [(step.kind, session_id, step.name) for step in steps] == self.of_session(session_id)
        for step, record in zip(steps, self.read(session_id), strict=True):
            assert (step.kind, step.name, step.recorded_at) == (record.kind, record.step_name, record.created_at)
            assert step.bytes == len(record.data)

    @rule(prefix=SESSIONS, order=ORDERS, limit=st.integers(1, 4), by_id=st.booleans())
    def sessions(self, prefix: str, order: str, limit: int, by_id: bool) -> None:
        prefix = f"{self.prefix}{prefix}"
        ids = {session_id for _, session_id, _ in self.records if session_id.startswith(prefix)}
        pages: list[SessionSummary] = []
        while page := self.run(
            self.store.sessions(
                prefix, order=order, limit=limit, after=(pages[-1].id if by_id else pages[-1]) if pages else None
            )
        ):
            pages += page
            assert len(pages) <= len(ids)
        assert {summary.id for summary in pages} == ids
        assert len(pages) == len(ids)
        for summary in pages:
            kinds = [kind for kind, *_ in self.of_session(summary.id)]
            assert (summary.steps, summary.streams) == (kinds.count("step"), kinds.count("stream"))
        if order == "id":
            assert [summary.id for summary in pages] == sorted(ids, key=str.encode)
        else:
            times = [summary.last_recorded for summary in pages]
            assert times == sorted(times, reverse=True)

    @rule(session=SESSIONS)
    def delete_session(self, session: str) -> None:
        session_id = f"{self.prefix}{session}"
        deleted = self.run(self.store.delete_session(session_id))
        assert deleted == self.forget(self.of_session(session_id))

    @rule(session=SESSIONS, name=NAMES)
    def delete_step(self, session: str, name: str) -> None:
        key = self.key(session, name)
        deleted = self.run(self.store.delete_step(*key))
        assert deleted == self.forget(self.named(*key))

    @rule(session=SESSIONS, name=NAMES)
    def rewind(self, session: str, name: str) -> None:
        key = self.key(session, name)
        if not self.named(*key):
            with pytest.raises(NotRecordedError):
                self.run(self.store.rewind(*key))
            return
        kept = self.before(*key)
        deleted = self.run(self.store.rewind(*key))
        assert deleted == self.forget([each for each in self.of_session(key[0]) if each not in kept])

    # A rule's own "target" is a bundle of values.
    @rule(session=SESSIONS, into=SESSIONS, before=st.none() | NAMES)
    def fork(self, session: str, into: str, before: str | None) -> None:
        source, target = f"{self.prefix}{session}", f"{self.prefix}{into}"
        refusals: list[type[Exception]] = []
        if not self.of_session(source) or (before is not None and not self.named(source, before)):
            refusals.append(NotRecordedError)
        if self.of_session(target):
            refusals.append(AlreadyRecordedError)
        call = self.store.fork_session(source, target, before=before)
        if refusals:
            with pytest.raises(tuple(refusals)):
                self.run(call)
            return
        copied = self.of_session(source) if before is None else self.before(source, before)
        assert self.run(call) == len(copied)
        for key in copied:
            self.record(key[0], (target, key[2]), self.records[key])
        times = {(record.kind, record.step_name): record.created_at for record in self.read(source)}
        assert all(times[record.kind, record.step_name] == record.created_at for record in self.read(target))

    @rule(keep=st.lists(SESSIONS, min_size=1, max_size=3), batch=st.integers(1, 5))
    def prune(self, keep: list[str], batch: int) -> None:
        kept = tuple(f"{self.prefix}{session}" for session in keep if session)
        arguments: dict[str, Any] = {"keep": kept, "batch": batch}
        counted = self.run(self.store.prune(timedelta(), **arguments, dry_run=True))
        # Also what examples before this one left, once.
        assert self.run(self.store.prune(timedelta(), **arguments)) == counted
        forgotten = self.forget([key for key in self.records if not key[1].startswith(kept)])
        assert counted.records >= forgotten

    @rule(session=SESSIONS)
    def move_away_and_back(self, session: str) -> None:
        session_id = f"{self.prefix}{session}"
        records = self.read(session_id)
        assert self.run(self.store.restore_session(session_id, records)) is False
        assert self.run(self.store.delete_session(session_id)) == len(records)
        assert self.run(self.store.restore_session(session_id, records)) == bool(records)
        assert self.read(session_id) == records
