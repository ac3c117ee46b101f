"""The pages in which a store lists its sessions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import nan
from typing import Any, Literal

import pytest

from jeeves_journal.errors import ConfigurationError, InvalidKeyError, NotRecordedError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.records import SessionSummary
from jeeves_journal.testing import values
from jeeves_journal.testing.managed import ManagedJournalStoreContract
from jeeves_journal.testing.planting import ago, ids_of, plant

Order = Literal["id", "recent"]


class PagingContract(ManagedJournalStoreContract):
    """Page after page they make up the whole, whatever is recorded meanwhile. A subclass overrides ``store``."""

    @pytest.mark.parametrize("order", ["id", "recent"])
    @pytest.mark.parametrize("limit", [1, 3, 7])
    @pytest.mark.parametrize("by_id", [True, False])
    async def test_pages_make_up_the_whole(
        self, store: OperableJournalStore, session_id: str, order: Order, *, limit: int, by_id: bool
    ) -> None:
        # Several have their last record at the same time.
        times = {"a": 3.0, "b": 1.0, "c": 3.0, "d": 2.0, "e": 3.0, "f": 1.0, "g": 5.0}
        for name, created_at in times.items():
            await plant(store, f"{session_id}{name}", {"first": 0.5, "last": created_at})
        whole = await store.sessions(session_id, order=order)
        assert {summary.id for summary in whole} == {f"{session_id}{name}" for name in times}
        pages: list[SessionSummary] = []
        page = await store.sessions(session_id, order=order, limit=limit)
        while page:
            assert len(page) <= limit
            pages += page
            assert len(pages) <= len(whole)
            after = page[-1].id if by_id else page[-1]
            page = await store.sessions(session_id, order=order, limit=limit, after=after)
        assert pages == whole

    @pytest.mark.parametrize("order", ["id", "recent"])
    async def test_a_page_holds_a_hundred_unless_told_otherwise(
        self, store: OperableJournalStore, session_id: str, order: Order
    ) -> None:
        for number in range(101):
            await plant(store, f"{session_id}-{number:03}", {"fetch": 1_000.0 - number})
        expected = [f"{session_id}-{number:03}" for number in range(101)]
        assert await ids_of(store, session_id, order=order) == expected[:100]
        assert await ids_of(store, session_id, order=order, limit=10**30) == expected

    @pytest.mark.parametrize("order", ["id", "recent"])
    async def test_ages_hold_on_every_page(self, store: OperableJournalStore, session_id: str, order: Order) -> None:
        for number, days in enumerate([9, 1, 8, 2, 7]):
            await plant(store, f"{session_id}-{number}", {"fetch": ago(days=days)})
        older: dict[str, Any] = {"order": order, "older_than": timedelta(days=5)}
        whole = await store.sessions(session_id, **older)
        assert len(whole) == 3
        pages = [whole[0], *await store.sessions(session_id, **older, after=whole[0], limit=2)]
        assert pages == whole

    async def test_an_id_marks_a_place_also_where_it_is_not_recorded(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        for end in "ac":
            await store.put_step(session_id + end, "fetch", 1)
        assert await ids_of(store, session_id, after=f"{session_id}b") == [f"{session_id}c"]

    @pytest.mark.parametrize("order", ["id", "recent"])
    async def test_a_page_ends_where_its_last_session_was(
        self, store: OperableJournalStore, session_id: str, order: Order
    ) -> None:
        for end, created_at in {"a": 3.0, "b": 2.0, "c": 1.0}.items():
            await plant(store, session_id + end, {"fetch": created_at})
        (last,) = await store.sessions(session_id, order=order, limit=1)
        await store.put_step(last.id, "more", 1)
        assert await ids_of(store, session_id, order=order, after=last) == [f"{session_id}b", f"{session_id}c"]
        await store.delete_session(last.id)
        assert await ids_of(store, session_id, order=order, after=last) == [f"{session_id}b", f"{session_id}c"]

    async def test_an_id_is_looked_up_among_the_most_recent(self, store: OperableJournalStore, session_id: str) -> None:
        for end, created_at in {"a": 3.0, "b": 2.0, "c": 1.0}.items():
            await plant(store, session_id + end, {"fetch": created_at})
        await store.put_step(f"{session_id}b", "more", 1)
        after = await ids_of(store, session_id, order="recent", after=f"{session_id}b")
        assert after == [f"{session_id}a", f"{session_id}c"]

    async def test_an_unknown_id_has_no_place_among_the_most_recent(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        with pytest.raises(NotRecordedError, match=session_id):
            await store.sessions(order="recent", after=session_id)

    async def test_a_page_may_go_on_behind_a_session_without_the_prefix(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        for end, created_at in {"a": 3.0, "b": 2.0, "c": 1.0}.items():
            await plant(store, session_id + end, {"fetch": created_at})
        for order in ("id", "recent"):
            assert await ids_of(store, f"{session_id}c", order=order, after=f"{session_id}a") == [f"{session_id}c"]
        assert await ids_of(store, f"{session_id}a", after=f"{session_id}c") == []

    @pytest.mark.parametrize(
        ("name", "bad"),
        [
            *(("prefix", bad) for bad in (7, b"run", "a\0", "\ud800")),
            *(("order", bad) for bad in ("age", "", None, 7, ["id"])),
            *((name, bad) for name in ("newer_than", "older_than") for bad in (7, "1d", timedelta(microseconds=-1))),
            *(("limit", bad) for bad in (0, -1, True, 1.5, "10", None)),
        ],
    )
    async def test_an_argument_that_cannot_be_used_is_named(
        self, store: OperableJournalStore, name: str, bad: Any
    ) -> None:
        arguments: dict[str, Any] = {name: bad}
        with pytest.raises(ConfigurationError, match=name):
            await store.sessions(**arguments)

    @pytest.mark.parametrize(
        "bad", [*({"id": bad} for bad in (7, None, "\udcff")), *({"last_recorded": bad} for bad in ("now", None, nan))]
    )
    async def test_no_page_goes_on_behind_what_is_no_summary(
        self, store: OperableJournalStore, bad: dict[str, Any]
    ) -> None:
        after = replace(SessionSummary("run", 1, 0, 1.0, 1.0, 1), **bad)
        for order in ("id", "recent"):
            with pytest.raises(ConfigurationError, match="after"):
                await store.sessions(order=order, after=after)

    async def test_no_page_goes_on_behind_a_bad_key(self, store: OperableJournalStore) -> None:
        for key in values.plain(values.BAD_KEYS):
            if key is not None:
                with pytest.raises(InvalidKeyError, match="after"):
                    await store.sessions(after=key)
                with pytest.raises(InvalidKeyError, match="after"):
                    await store.sessions(order="recent", after=key)
