"""What operators ask of a SQL store. How it is done stands in ``operations``, one module for each kind of work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Literal

from jeeves_journal.arguments import SessionsQuery, check_age, check_count, check_prefixes
from jeeves_journal.keys import check_key, check_keys
from jeeves_journal.records import Finding, Kind, Pruned, SessionSummary, StepSummary, StoredRecord, Usage
from jeeves_journal.stores.dialects import Key
from jeeves_journal.stores.lifetime import StoreLifetime
from jeeves_journal.stores.operations import deleting, examining, forking, listing, moving, pruning, restoring, usage
from jeeves_journal.stores.operations.reading import stored_record
from jeeves_journal.tracebacks import without_locals


class OperatedStore(StoreLifetime):
    """The part of a SQL store that operators use; ``OperableJournalStore`` says what each method promises."""

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
        return await self._operate(listing.sessions, query)

    @without_locals
    async def steps(self, session_id: str) -> list[StepSummary]:
        return await self._operate(listing.steps, check_key("session_id", session_id))

    @without_locals
    async def delete_session(self, session_id: str) -> int:
        return await self._operate(deleting.delete_session, check_key("session_id", session_id))

    @without_locals
    async def delete_step(self, session_id: str, step_name: str) -> int:
        return await self._operate(deleting.delete_step, *check_keys(session_id, step_name))

    @without_locals
    async def rewind(self, session_id: str, to: str) -> int:
        return await self._operate(deleting.rewind, check_key("session_id", session_id), check_key("to", to))

    @without_locals
    async def fork_session(self, source: str, target: str, *, before: str | None = None) -> int:
        fork = forking.Fork(
            source=check_key("source", source),
            target=check_key("target", target),
            before=None if before is None else check_key("before", before),
        )
        return await self._operate(forking.fork_session, self._codec, fork)

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
        age, prefixes = check_age("older_than", older_than), check_prefixes("keep", keep)
        work = pruning.Pruning(age, prefixes, check_count("batch", batch), dry_run=dry_run)
        try:
            while await self._operate(work.advance):
                # Out here, so that what it raises reaches the caller as it is.
                if progress is not None:
                    progress(work.pruned)
        finally:
            work.log(self._database.describe())
        return work.pruned

    @without_locals
    async def usage(self) -> Usage:
        return await self._operate(usage.usage)

    async def records(self, session_id: str) -> AsyncIterator[StoredRecord]:
        walk = moving.Walk(check_key("session_id", session_id))
        while page := await self._page(walk):
            for record in page:
                yield record

    @without_locals
    async def restore_session(self, session_id: str, records: Iterable[StoredRecord]) -> bool:
        restored = restoring.Restoring(check_key("session_id", session_id), records)
        # Out here, so that what the caller's records raise reaches the caller as it is.
        shares = await restored.check()
        return await self._operate(restored.restore, shares)

    @without_locals
    async def record(self, kind: Kind, session_id: str, step_name: str) -> StoredRecord | None:
        """Return one record as it is stored, or ``None``; see ``records``.

        Raises:
            DecodeError: What stands there is no record.
        """
        key: Key = (kind, *check_keys(session_id, step_name))
        found = await self._lanes_here(*key[1:]).reads.submit(key)
        return None if found is None else stored_record(key, *found)

    @without_locals
    async def examine(self) -> list[Finding]:
        """Return whether the database is as it should be: its tables, what makes records durable, and its clock.

        Raises:
            StoreError: It cannot be looked at.
        """
        return await self._operate(examining.examine)

    @without_locals
    async def _page(self, walk: moving.Walk) -> list[StoredRecord]:
        return await self._operate(moving.page, walk)
