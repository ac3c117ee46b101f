"""Records on their way from one store to another."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from jeeves_journal.errors import AlreadyRecordedError, ConfigurationError, InvalidKeyError, JournalError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.records import StoredRecord
from jeeves_journal.stores.memory import InMemoryJournalStore
from jeeves_journal.testing import values
from jeeves_journal.testing.calls import at_once, recorded
from jeeves_journal.testing.managed import ManagedJournalStoreContract
from jeeves_journal.testing.planting import names, plant, record, stored


class _OtherBytes(bytes):
    pass


class MovingContract(ManagedJournalStoreContract):
    """Records leave a store as they are, and enter it likewise. A subclass overrides ``store``."""

    # -- records

    async def test_an_unknown_session_has_no_records(self, store: OperableJournalStore, session_id: str) -> None:
        assert await stored(store, session_id) == []

    async def test_records_come_in_recorded_order(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "b", 1)
        await store.put_stream(session_id, "c", [2])
        await store.put_step(session_id, "a", 3)
        await store.put_step(session_id, "b", 4)
        records = await stored(store, session_id)
        assert [(each.kind, each.step_name) for each in records] == [("stream", "c"), ("step", "a"), ("step", "b")]
        assert {each.session_id for each in records} == {session_id}
        steps = await store.steps(session_id)
        assert [each.created_at for each in records] == [step.recorded_at for step in steps]

    async def test_every_record_of_a_large_session_comes_once(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        # Also where a page ends among records of one time, or between a step and a stream of one name.
        steps = {f"step-{number}": float(number // 1_000) for number in range(2_500)}
        planted = await plant(store, session_id, steps, steps)
        records = await stored(store, session_id)
        assert len(records) == len(set(records)) == 5_000
        assert set(records) == set(planted)
        order = [(each.created_at, each.step_name) for each in records]
        assert order == sorted(order)
        assert await store.delete_session(session_id) == 5_000

    async def test_whoever_stops_reading_records_leaves_a_store_that_works(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        await plant(store, session_id, {f"step-{number}": float(number) for number in range(2_500)})
        async for each in store.records(session_id):
            assert each.step_name == "step-0"
            break
        await store.put_step(session_id, "more", 1)
        assert await store.delete_session(session_id) == 2_501

    async def test_a_bad_key_has_no_records(self, store: OperableJournalStore) -> None:
        for key in values.plain(values.BAD_KEYS):
            with pytest.raises(InvalidKeyError, match="session_id"):
                await stored(store, key)
            with pytest.raises(InvalidKeyError, match="session_id"):
                await store.restore_session(key, [])

    # -- restore_session

    async def test_a_deleted_session_comes_back_as_it_was(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", values.Point(1, 2.0))
        await store.put_stream(session_id, "answer", ["Hel", "lo"])
        steps, records = await store.get_steps(session_id), await stored(store, session_id)
        await store.delete_session(session_id)
        assert await store.restore_session(session_id, records)
        assert await store.get_steps(session_id) == steps
        assert await store.get_stream(session_id, "answer") == ["Hel", "lo"]
        assert await stored(store, session_id) == records

    async def test_records_go_to_another_store_and_come_back(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        await store.put_step(session_id, "fetch", 1)
        await store.put_stream(session_id, "answer", [2])
        records = await stored(store, session_id)
        async with InMemoryJournalStore() as elsewhere:
            assert await elsewhere.restore_session(session_id, records)
            await store.delete_session(session_id)
            assert await store.restore_session(session_id, await stored(elsewhere, session_id))
        assert await recorded(store, session_id, "fetch") == 1
        assert await stored(store, session_id) == records

    @pytest.mark.parametrize(
        "created_at", [1.1, 1e-7, 0.0, -1.5, 1_700_000_000.123456, math.nextafter(1.7e9, math.inf), 4e9, 5]
    )
    async def test_times_are_kept_to_the_last_digit(
        self, store: OperableJournalStore, session_id: str, created_at: float
    ) -> None:
        await plant(store, session_id, {"fetch": created_at}, {"answer": created_at})
        assert [each.created_at for each in await stored(store, session_id)] == [created_at, created_at]
        assert {step.recorded_at for step in await store.steps(session_id)} == {created_at}
        await store.delete_session(session_id)

    @pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)), b"?" * 5_000_000], ids=len)
    async def test_bytes_are_not_looked_at(self, store: OperableJournalStore, session_id: str, data: bytes) -> None:
        records = [
            record(session_id, "answer", 1.0, kind="stream", data=data),
            record(session_id, "fetch", 2.0, data=data),
        ]
        assert await store.restore_session(session_id, iter(records))
        assert await stored(store, session_id) == records

    async def test_what_behaves_as_bytes_is_kept_as_bytes(self, store: OperableJournalStore, session_id: str) -> None:
        assert await store.restore_session(session_id, [record(session_id, "fetch", 1.0, data=_OtherBytes(b"data"))])
        (kept,) = await stored(store, session_id)
        assert (type(kept.data), kept.data) == (bytes, b"data")

    async def test_every_name_is_restored(self, store: OperableJournalStore, session_id: str) -> None:
        steps = {str(key.values[0]): 1.0 for key in values.GOOD_KEYS} | dict.fromkeys(values.longest_keys("a"), 1.0)
        planted = await plant(store, session_id, steps, steps)
        assert set(await stored(store, session_id)) == set(planted)

    async def test_to_restore_again_changes_nothing(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        await store.put_stream(session_id, "answer", [2])
        records = await stored(store, session_id)
        for again in (records, records[::-1]):
            assert await store.restore_session(session_id, again) is False
        assert await stored(store, session_id) == records

    async def test_nothing_is_restored_of_no_records(self, store: OperableJournalStore, session_id: str) -> None:
        assert await store.restore_session(session_id, []) is False
        assert await store.sessions(session_id) == []

    async def test_a_session_with_other_records_is_left_as_it_is(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        first, second = there = await plant(store, session_id, {"fetch": 1.0, "charge": 2.0})
        for others in (
            [],
            [first],
            [*there, record(session_id, "more", 3.0)],
            [*there, replace(first, kind="stream")],
            [first, replace(second, kind="stream")],
            [first, replace(second, step_name="other")],
            [first, replace(second, data=b"other")],
            [first, replace(second, created_at=math.nextafter(2.0, 3.0))],
        ):
            with pytest.raises(AlreadyRecordedError, match=session_id):
                await store.restore_session(session_id, others)
        assert await stored(store, session_id) == there

    async def test_a_session_with_a_stream_alone_is_there(self, store: OperableJournalStore, session_id: str) -> None:
        there = await plant(store, session_id, {}, {"answer": 1.0})
        with pytest.raises(AlreadyRecordedError, match=session_id):
            await store.restore_session(session_id, [record(session_id, "fetch", 1.0)])
        assert await stored(store, session_id) == there

    async def test_a_restored_run_goes_on(self, store: OperableJournalStore, session_id: str) -> None:
        await plant(store, session_id, {"a": 1.0, "b": 2.0})
        await store.put_step(session_id, "c", 3)
        await store.put_step(session_id, "a", 4)
        assert await names(store, session_id) == ["b", "c", "a"]

    async def test_many_that_restore_one_session_at_once_restore_it_once(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        records = [record(session_id, name, 1.0) for name in "abc"]
        outcomes: list[bool | type[JournalError]] = []

        async def restore(number: int) -> None:
            others = [replace(each, data=b"other") for each in records]
            try:
                outcomes.append(await store.restore_session(session_id, others if number == 4 else records))
            except JournalError as error:
                outcomes.append(type(error))

        await at_once(restore, range(5))
        assert sorted(outcomes, key=str) in (
            [AlreadyRecordedError, False, False, False, True],
            [*[AlreadyRecordedError] * 4, True],
        )

    async def test_what_does_not_make_up_a_session_is_refused(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        good = record(session_id, "fetch", 1.0)
        bad: list[Any] = [
            None,
            7,
            [good, None],
            [good, record(f"{session_id}-other", "charge", 1.0)],
            [good, good],
            [good, replace(good, data=b"other")],
            *([good, _with(good, **fields)] for fields in _BAD_FIELDS),
        ]
        for records in bad:
            with pytest.raises(ConfigurationError, match=session_id):
                await store.restore_session(session_id, records)
        assert await store.sessions(session_id) == []

    async def test_no_record_with_a_bad_name_is_restored(self, store: OperableJournalStore, session_id: str) -> None:
        for key in values.plain(values.BAD_KEYS):
            records = [record(session_id, "fetch", 1.0), replace(record(session_id, "charge", 1.0), step_name=key)]
            with pytest.raises(InvalidKeyError, match="step_name"):
                await store.restore_session(session_id, records)
            assert await store.sessions(session_id) == []


_BAD_FIELDS: list[dict[str, Any]] = [
    {"kind": "signal"},
    {"kind": None},
    {"data": None},
    {"data": "text"},
    *({"created_at": bad} for bad in (None, "1.0", math.nan, math.inf, -math.inf, 10**400)),
]


def _with(good: StoredRecord, **fields: Any) -> StoredRecord:
    return replace(good, step_name="charge", **fields)
