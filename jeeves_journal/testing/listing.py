"""Which sessions a store lists, and in what order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest

from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.records import SessionSummary
from jeeves_journal.testing import values
from jeeves_journal.testing.managed import ManagedJournalStoreContract
from jeeves_journal.testing.planting import ago, different_keys, ids_of, plant, stored

Order = Literal["id", "recent"]


class ListingContract(ManagedJournalStoreContract):
    """Sessions are summed up, and listed by id or by their last record. A subclass overrides ``store``."""

    async def test_no_session_begins_with_an_unknown_prefix(self, store: OperableJournalStore, session_id: str) -> None:
        assert await store.sessions(session_id) == []

    async def test_a_session_is_summed_up(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", {"rows": 3})
        await store.put_stream(session_id, "answer", ["Hel", "lo"])
        await store.put_step(session_id, "charge", None)
        records = await stored(store, session_id)
        size = sum(len(each.data) for each in records)
        summary = SessionSummary(session_id, 2, 1, records[0].created_at, records[2].created_at, size)
        assert await store.sessions(session_id) == [summary]

    async def test_a_session_of_streams_alone_is_one(self, store: OperableJournalStore, session_id: str) -> None:
        await plant(store, session_id, {}, {"answer": 2.0, "question": 1.0})
        (summary,) = await store.sessions(session_id)
        assert (summary.steps, summary.streams) == (0, 2)
        assert (summary.first_recorded, summary.last_recorded) == (1.0, 2.0)

    @pytest.mark.parametrize(("steps", "streams"), [((1.0, 2.0), (3.0, 4.0)), ((3.0, 4.0), (1.0, 2.0))])
    async def test_first_and_last_are_of_steps_and_streams(
        self, store: OperableJournalStore, session_id: str, steps: tuple[float, ...], streams: tuple[float, ...]
    ) -> None:
        await plant(store, session_id, dict(zip("ab", steps, strict=True)), dict(zip("ab", streams, strict=True)))
        (summary,) = await store.sessions(session_id)
        assert (summary.first_recorded, summary.last_recorded) == (1.0, 4.0)

    async def test_an_overwritten_step_counts_once(self, store: OperableJournalStore, session_id: str) -> None:
        await plant(store, session_id, {"fetch": 1.0})
        await store.put_step(session_id, "fetch", 2)
        (summary,) = await store.sessions(session_id)
        assert summary.steps == 1
        assert summary.first_recorded == summary.last_recorded > 1.0

    async def test_sessions_are_ordered_by_the_bytes_of_their_ids(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        # UTF-16, collations and a comparison without case each order them otherwise.
        ends = [
            "b",
            "",
            "\U00010000",
            "a",
            "Z",
            "\uffff",
            "\N{LATIN SMALL LETTER E WITH ACUTE}",
            " ",
            "10",
            "9",
            "\x7f",
        ]
        for end in ends:
            await store.put_step(session_id + end, "fetch", 1)
        assert await ids_of(store, session_id) == sorted((session_id + end for end in ends), key=str.encode)

    async def test_the_longest_ids_are_listed(self, store: OperableJournalStore, session_id: str) -> None:
        ids = values.longest_keys(session_id)
        for each in ids:
            await store.put_step(each, "fetch", 1)
        assert await ids_of(store, session_id) == sorted(ids)
        assert await ids_of(store, ids[0]) == ids[:1]
        assert await ids_of(store, ids[0] + "k") == []

    async def test_a_prefix_is_compared_byte_by_byte(self, store: OperableJournalStore, session_id: str) -> None:
        for session, one, other in different_keys(session_id):
            ids = [session + each + end for each in (one, other) for end in ("", "a", "\U0010ffff")]
            for each in ids:
                await store.put_step(each, "fetch", 1)
            for prefix in (session + one, session + other):
                assert await ids_of(store, prefix) == sorted(each for each in ids if each.startswith(prefix))

    async def test_a_prefix_may_end_in_any_character(self, store: OperableJournalStore, session_id: str) -> None:
        # Among them those before the surrogates and at the end of Unicode, behind which there is no next character.
        for last in ("\x7f", "\u07ff", "\ud7ff", "\ue000", "\uffff", "\U0001ffff", "\U0010ffff"):
            ids = [session_id + end for end in (last, last + "a", last * 2, last + "\U0010ffff" * 2)]
            for each in [*ids, session_id, session_id + "~", session_id + "\ue001"]:
                await store.put_step(each, "fetch", 1)
            assert await ids_of(store, session_id + last) == sorted(ids)

    async def test_a_prefix_means_itself(self, store: OperableJournalStore, session_id: str) -> None:
        for key in values.plain(values.GOOD_KEYS):
            await store.put_step(f"{session_id}{key}-1", "fetch", 1)
            await store.put_step(f"{session_id}other", "fetch", 1)
            assert await ids_of(store, session_id + key) == [f"{session_id}{key}-1"]

    async def test_every_id_begins_with_an_empty_prefix(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        assert await store.sessions("") == await store.sessions()
        assert await store.sessions("") != []

    async def test_the_session_of_the_most_recent_record_comes_first(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        await plant(store, f"{session_id}-old", {"a": 1.0, "b": 20.0})
        await plant(store, f"{session_id}-new", {"a": 2.0}, {"b": 40.0})
        await plant(store, f"{session_id}-mid", {"a": 30.0}, {"b": 3.0})
        ordered = [f"{session_id}-{name}" for name in ("new", "mid", "old")]
        assert await ids_of(store, session_id, order="recent") == ordered

    async def test_of_the_same_time_the_lower_id_comes_first(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        ordered = [f"{session_id}-{name}" for name in ("B", "a", "b")]
        for each in reversed(ordered):
            await plant(store, each, {"a": 20.0})
        assert await ids_of(store, session_id, order="recent") == ordered
        assert await ids_of(store, session_id, order="recent", after=ordered[0]) == ordered[1:]

    async def test_a_record_makes_its_session_the_most_recent(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        for name in ("a", "b", "a"):
            await store.put_step(f"{session_id}-{name}", "fetch", 1)
        assert await ids_of(store, session_id, order="recent") == [f"{session_id}-a", f"{session_id}-b"]
        assert (await store.sessions(order="recent", limit=1))[0].id == f"{session_id}-a"

    # -- ages

    @pytest.mark.parametrize("order", ["id", "recent"])
    async def test_ages_are_those_of_the_last_record(
        self, store: OperableJournalStore, session_id: str, order: Order
    ) -> None:
        await plant(store, f"{session_id}-1", {"a": ago(days=30), "b": ago(hours=1)})
        await plant(store, f"{session_id}-2", {"a": ago(days=30)}, {"b": ago(days=2)})
        await plant(store, f"{session_id}-3", {}, {"a": ago(days=30)})

        async def listed(**ages: Any) -> set[str]:
            page = await store.sessions(session_id, order=order, **ages)
            return {summary.id.removeprefix(f"{session_id}-") for summary in page}

        assert await listed(newer_than=timedelta(days=3)) == {"1", "2"}
        assert await listed(older_than=timedelta(days=1)) == {"2", "3"}
        assert await listed(newer_than=timedelta(days=3), older_than=timedelta(days=1)) == {"2"}
        assert await listed(newer_than=timedelta(days=1), older_than=timedelta(days=3)) == set()
        assert await listed(newer_than=timedelta.max) == {"1", "2", "3"}
        assert await listed(older_than=timedelta.max) == set()

    async def test_whatever_was_recorded_is_older_than_nothing(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        await store.put_step(session_id, "fetch", 1)
        assert len(await store.sessions(session_id, older_than=timedelta())) == 1
