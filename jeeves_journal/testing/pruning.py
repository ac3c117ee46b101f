"""How a journal is kept small."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.records import Pruned
from jeeves_journal.testing.managed import ManagedJournalStoreContract
from jeeves_journal.testing.planting import BEFORE_ANY_JOURNAL, ago, different_keys, ids_of, names, plant, stored

NOTHING = Pruned(0, 0, 0)


class PruningContract(ManagedJournalStoreContract):
    """Whole sessions are pruned by the age of their last record. A subclass overrides ``store``.

    What these tests prune is older than any journal, so that nobody else's records are touched.
    """

    @pytest.fixture
    async def pruned(self, store: OperableJournalStore) -> OperableJournalStore:
        """Return the store, without what another test may have left to prune."""
        await store.prune(BEFORE_ANY_JOURNAL)
        return store

    async def test_whole_sessions_are_pruned(self, pruned: OperableJournalStore, session_id: str) -> None:
        records = await plant(pruned, f"{session_id}-1", {"a": 1.0, "b": 2.0}, {"c": 3.0})
        records += await plant(pruned, f"{session_id}-2", {"a": 1.0})
        size = sum(len(each.data) for each in records)
        assert await pruned.prune(BEFORE_ANY_JOURNAL) == Pruned(2, 4, size)
        assert await pruned.sessions(session_id) == []
        assert await pruned.get_steps(f"{session_id}-1") == {}
        assert await pruned.get_stream(f"{session_id}-1", "c") is None

    async def test_what_was_pruned_is_not_pruned_again(self, pruned: OperableJournalStore, session_id: str) -> None:
        await plant(pruned, session_id, {"a": 1.0})
        await pruned.prune(BEFORE_ANY_JOURNAL)
        assert await pruned.prune(BEFORE_ANY_JOURNAL) == NOTHING

    @pytest.mark.parametrize(
        ("steps", "streams"),
        [({"a": 1.0, "new": ago(hours=1)}, {"b": 2.0}), ({"a": 1.0}, {"b": 2.0, "new": ago(hours=1)})],
    )
    async def test_a_session_with_one_recent_record_stays_whole(
        self, pruned: OperableJournalStore, session_id: str, steps: dict[str, float], streams: dict[str, float]
    ) -> None:
        records = await plant(pruned, session_id, steps, streams)
        assert await pruned.prune(BEFORE_ANY_JOURNAL, batch=1) == NOTHING
        assert await stored(pruned, session_id) == records

    async def test_a_session_of_streams_alone_is_pruned(self, pruned: OperableJournalStore, session_id: str) -> None:
        (record,) = await plant(pruned, session_id, {}, {"answer": 1.0})
        assert await pruned.prune(BEFORE_ANY_JOURNAL) == Pruned(1, 1, len(record.data))
        assert await pruned.get_stream(session_id, "answer") is None

    async def test_nothing_is_older_than_all_times(self, pruned: OperableJournalStore, session_id: str) -> None:
        await plant(pruned, session_id, {"a": 1.0})
        assert await pruned.prune(timedelta.max) == NOTHING
        assert await ids_of(pruned, session_id) == [session_id]

    # -- keep

    async def test_what_begins_with_a_prefix_is_kept(self, pruned: OperableJournalStore, session_id: str) -> None:
        for session, one, other in different_keys(session_id):
            ids = {session + each + end for each in (one, other) for end in ("", "a")}
            for each in ids:
                await plant(pruned, each, {"a": 1.0})
            await pruned.prune(BEFORE_ANY_JOURNAL, keep=[session + one])
            assert await ids_of(pruned, session) == sorted(each for each in ids if each.startswith(session + one))

    async def test_several_prefixes_are_kept(self, pruned: OperableJournalStore, session_id: str) -> None:
        for end in ("a1", "a2", "b1", "c1", "c2"):
            await plant(pruned, session_id + end, {"a": 1.0})
        pruning = await pruned.prune(BEFORE_ANY_JOURNAL, keep=(f"{session_id}a", f"{session_id}c2", "unknown"))
        assert pruning.sessions == 2
        assert await ids_of(pruned, session_id) == [session_id + end for end in ("a1", "a2", "c2")]

    async def test_an_empty_prefix_keeps_all(self, pruned: OperableJournalStore, session_id: str) -> None:
        await plant(pruned, session_id, {"a": 1.0})
        assert await pruned.prune(BEFORE_ANY_JOURNAL, keep=[""]) == NOTHING
        assert await ids_of(pruned, session_id) == [session_id]

    # -- dry_run

    @pytest.mark.parametrize("batch", [1, 3, 1_000])
    async def test_a_dry_run_counts_what_would_be_pruned(
        self, pruned: OperableJournalStore, session_id: str, batch: int
    ) -> None:
        await plant(pruned, f"{session_id}-1", {"a": 1.0, "b": 2.0}, {"c": 3.0})
        await plant(pruned, f"{session_id}-2", {"a": 1.0, "new": ago(hours=1)})
        await plant(pruned, f"{session_id}-3", {"a": 1.0})
        await plant(pruned, f"{session_id}-4", {"a": 1.0})
        arguments: dict[str, Any] = {"keep": [f"{session_id}-4"], "batch": batch}
        before = await pruned.sessions(session_id)
        counted = await pruned.prune(BEFORE_ANY_JOURNAL, **arguments, dry_run=True)
        assert (counted.sessions, counted.records) == (2, 4)
        assert await pruned.sessions(session_id) == before
        assert await pruned.prune(BEFORE_ANY_JOURNAL, **arguments) == counted

    # -- batch by batch

    @pytest.mark.parametrize("batch", [1, 2, 3, 10, 10**30])
    async def test_a_small_batch_prunes_as_much(
        self, pruned: OperableJournalStore, session_id: str, batch: int
    ) -> None:
        size = 0
        for number in range(5):
            records = await plant(pruned, f"{session_id}-{number}", {"a": 1.0, "b": 2.0, "c": 2.0}, {"a": 2.0})
            size += sum(len(each.data) for each in records)
        await plant(pruned, f"{session_id}-new", {"a": 1.0, "b": ago(hours=1)})
        assert await pruned.prune(BEFORE_ANY_JOURNAL, batch=batch) == Pruned(5, 20, size)
        assert await ids_of(pruned, session_id) == [f"{session_id}-new"]
        assert await names(pruned, f"{session_id}-new") == ["a", "b"]

    @pytest.mark.parametrize("batch", [1, 4, 1_000])
    async def test_progress_says_what_was_pruned_so_far(
        self, pruned: OperableJournalStore, session_id: str, batch: int
    ) -> None:
        for number in range(5):
            await plant(pruned, f"{session_id}-{number}", {"a": 1.0, "b": 2.0}, {"c": 3.0})
        reports: list[Pruned] = []
        pruning = await pruned.prune(BEFORE_ANY_JOURNAL, batch=batch, progress=reports.append)
        counts = [(each.records, each.bytes, each.sessions) for each in reports]
        assert counts == sorted(counts)
        assert reports[-1] == pruning

    async def test_what_an_interrupted_pruning_leaves_is_a_run_that_can_go_on(
        self, pruned: OperableJournalStore, session_id: str
    ) -> None:
        def interrupt(_: Pruned) -> None:
            raise LookupError("of the caller")

        for number in range(3):
            await plant(pruned, f"{session_id}-{number}", {"a": 1.0, "b": 2.0, "d": 4.0}, {"c": 3.0})
        with pytest.raises(LookupError, match="of the caller"):
            await pruned.prune(BEFORE_ANY_JOURNAL, batch=2, progress=interrupt)
        for number in range(3):
            left = await names(pruned, f"{session_id}-{number}")
            assert left == ["a", "b", "c", "d"][: len(left)]
        await pruned.prune(BEFORE_ANY_JOURNAL)
        assert await pruned.sessions(session_id) == []

    # -- arguments

    @pytest.mark.parametrize(
        ("name", "bad"),
        [
            *(("older_than", bad) for bad in (timedelta(microseconds=-1), 7, "30d", None)),
            *(("keep", bad) for bad in ("prefix", b"prefix", 7, None, [7], ["a\0"], ["\ud800"])),
            *(("batch", bad) for bad in (0, -1, True, 1.5, "10", None)),
        ],
    )
    async def test_an_argument_of_pruning_that_cannot_be_used_is_named(
        self, store: OperableJournalStore, session_id: str, name: str, bad: Any
    ) -> None:
        await plant(store, session_id, {"a": 1.0})
        arguments: dict[str, Any] = {"older_than": BEFORE_ANY_JOURNAL, name: bad}
        with pytest.raises(ConfigurationError, match=name):
            await store.prune(**arguments)
        assert await ids_of(store, session_id) == [session_id]
