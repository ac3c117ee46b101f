"""The contract of what operators ask: see what a run did, take it back, fork it, keep the journal small, move it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Literal, Protocol, runtime_checkable

from jeeves_journal.protocol import ManagedJournalStore
from jeeves_journal.records import Pruned, SessionSummary, StepSummary, StoredRecord, Usage


@runtime_checkable
class OperableJournalStore(ManagedJournalStore, Protocol):
    """A store whose sessions can be listed, taken back, copied, pruned and moved.

    None of it decodes a value: what is recorded may be operated where its classes are not. Each method also raises what
    ``JournalStore`` says that every method does.
    """

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
        """Return one page of the sessions.

        Args:
            prefix: What their ids begin with.
            order: By ``id``, byte by byte, or the most ``recent`` record first, and at the same time by id.
            newer_than: Only those whose last record is at most so old.
            older_than: Only those whose last record is at least so old.
            after: Go on behind this session, as a page before ended with it. A summary marks the place also where the
                session has new records by now; an id is looked up.
            limit: How many at most, 1 or more.

        Raises:
            ConfigurationError: An argument cannot be used.
            NotRecordedError: ``order`` is ``recent``, and ``after`` the id of a session that is not recorded.
        """
        ...

    async def steps(self, session_id: str) -> list[StepSummary]:
        """Return what a session recorded, steps and streams, in recorded order; nothing of an unknown session."""
        ...

    async def delete_session(self, session_id: str) -> int:
        """Delete all that a session recorded, at once; return how many records that were."""
        ...

    async def delete_step(self, session_id: str, step_name: str) -> int:
        """Delete a step, and a stream of the same name; return how many records that were."""
        ...

    async def rewind(self, session_id: str, to: str) -> int:
        """Forget a step and all that was recorded with it or after it, so that the run goes on from there.

        Args:
            session_id: The run's session.
            to: The name of the step, or of a stream. Where both have it, the earlier one counts.

        Returns:
            How many records were deleted, at once.

        Raises:
            NotRecordedError: The session has no such step.
            DecodeError: The step's record is damaged, and nobody knows what came after it.
        """
        ...

    async def fork_session(self, source: str, target: str, *, before: str | None = None) -> int:
        """Copy a session's records into a new one, at once; they keep their times.

        Args:
            source: The session to copy.
            target: The new session.
            before: Copy only what was recorded before this step or stream: as if the copy was rewound to it.

        Returns:
            How many records were copied.

        Raises:
            NotRecordedError: The source has no records, or no such step.
            AlreadyRecordedError: The target has records.
            DecodeError: A record is sealed, and cannot be opened here to seal it anew for its new session; or that
                step's is damaged, and nobody knows what came before it.
        """
        ...

    async def prune(
        self,
        older_than: timedelta,
        *,
        keep: Sequence[str] = (),
        dry_run: bool = False,
        batch: int = 1_000,
        progress: Callable[[Pruned], object] | None = None,
    ) -> Pruned:
        """Delete whole sessions whose last record is older.

        It goes in short transactions, so that nobody waits long for it; each takes a session's latest records first, so
        that what is left of it when the pruning is interrupted is a run that can go on. Pruning again goes on with it.

        Args:
            older_than: How old the last record has to be.
            keep: Prefixes of session ids that are not pruned.
            dry_run: Only count.
            batch: How many records one transaction deletes at most.
            progress: Is called now and then with what was pruned so far.

        Returns:
            What was pruned, or would be.

        Raises:
            ConfigurationError: An argument cannot be used: an age below zero, for one.
        """
        ...

    async def usage(self) -> Usage:
        """Return how much the journal holds; of a large one what the database knows of itself without counting."""
        ...

    def records(self, session_id: str) -> AsyncIterator[StoredRecord]:
        """Return a session's records as they are stored, in recorded order; sealed ones sealed.

        They are read page by page; what is put meanwhile may be missing.
        """
        ...

    async def restore_session(self, session_id: str, records: Iterable[StoredRecord]) -> bool:
        """Record a session as another store has it, at once, with the same times; for ``import_bundle``.

        Args:
            session_id: The session, to which all of the records have to belong.
            records: What ``records`` of another store returned. Their bytes are not looked at.

        Returns:
            Whether anything was recorded. A session that is there already, with these records and no others, is left.

        Raises:
            AlreadyRecordedError: The session is there with other records.
        """
        ...
