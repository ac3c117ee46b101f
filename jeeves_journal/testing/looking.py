"""What a store shows of a session's steps, and of all that it holds."""

from __future__ import annotations

import pytest

from jeeves_journal.codecs import Keyring
from jeeves_journal.errors import InvalidKeyError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.testing import values
from jeeves_journal.testing.managed import ManagedJournalStoreContract
from jeeves_journal.testing.planting import different_keys, plant, record, sealed, stored


class LookingContract(ManagedJournalStoreContract):
    """Steps are listed without their values, and all records counted. A subclass overrides ``store``."""

    # -- steps

    async def test_an_unknown_session_recorded_nothing(self, store: OperableJournalStore, session_id: str) -> None:
        assert await store.steps(session_id) == []

    async def test_steps_and_streams_are_listed_in_recorded_order(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        await store.put_step(session_id, "b", 1)
        await store.put_stream(session_id, "c", [1])
        await store.put_step(session_id, "a", 1)
        await store.put_stream(session_id, "b", [1])
        listed = [(step.name, step.kind) for step in await store.steps(session_id)]
        assert listed == [("b", "step"), ("c", "stream"), ("a", "step"), ("b", "stream")]

    async def test_what_was_recorded_at_one_time_is_ordered_by_name(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        names = ["b", "\U00010000", "a", "Z", "\uffff", "\N{LATIN SMALL LETTER E WITH ACUTE}", "10", "9"]
        await plant(store, session_id, dict.fromkeys(names[:5], 7.0) | {"first": 6.0}, dict.fromkeys(names[5:], 7.0))
        listed = [step.name for step in await store.steps(session_id)]
        assert listed == ["first", *sorted(names, key=str.encode)]

    async def test_a_step_put_again_is_listed_at_its_new_time(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        for name in ("first", "second", "first"):
            await store.put_step(session_id, name, name)
        assert [step.name for step in await store.steps(session_id)] == ["second", "first"]

    async def test_a_step_is_summed_up(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", bytes(1_000))
        entry = await store.get_step(session_id, "fetch")
        (step,), (as_stored,) = await store.steps(session_id), await stored(store, session_id)
        assert entry is not None
        assert step.recorded_at == entry.created_at
        assert step.bytes == len(as_stored.data)

    async def test_a_record_says_which_codec_and_which_key_made_it(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        keys = Keyring.generate()
        await store.restore_session(
            session_id,
            [
                record(session_id, "fetch", 1.0, data=sealed(("step", session_id, "fetch", 1.0), keys, "theirs")),
                record(session_id, "charge", 2.0),
            ],
        )
        steps = await store.steps(session_id)
        assert [(step.codec, step.sealed_by) for step in steps] == [("theirs", keys.first.id), ("pickle", None)]

    async def test_a_record_of_jeevesagent_is_a_pickle(self, store: OperableJournalStore, session_id: str) -> None:
        await store.restore_session(session_id, [record(session_id, "fetch", 1.0, data=b"\x80\x05N.")])
        (step,) = await store.steps(session_id)
        assert (step.codec, step.sealed_by, step.bytes) == ("pickle", None, 4)

    @pytest.mark.parametrize("data", [b"", b"\0", b"?" * 67, b"?" * 64 + b"JvJ\xd1", b"\xff" * 64 + b"JvJ\xd1"])
    async def test_what_is_no_record_is_listed_all_the_same(
        self, store: OperableJournalStore, session_id: str, data: bytes
    ) -> None:
        await store.restore_session(session_id, [record(session_id, "fetch", 1.0, data=data)])
        (step,), (summary,) = await store.steps(session_id), await store.sessions(session_id)
        assert step.bytes == summary.bytes == len(data)

    async def test_the_steps_listed_are_those_of_one_session(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        for session, one, other in different_keys(session_id):
            await store.put_step(session + one, "one", 1)
            await store.put_stream(session + other, "other", [2])
            assert [step.name for step in await store.steps(session + one)] == ["one"]
            assert [step.name for step in await store.steps(session + other)] == ["other"]

    async def test_no_session_with_a_bad_key_is_looked_into(self, store: OperableJournalStore) -> None:
        for key in values.plain(values.BAD_KEYS):
            with pytest.raises(InvalidKeyError, match="session_id"):
                await store.steps(key)

    # -- usage

    async def test_what_a_journal_holds_is_counted_by_kind(self, store: OperableJournalStore, session_id: str) -> None:
        before = await store.usage()
        await store.put_step(session_id, "fetch", bytes(1_000))
        await store.put_step(session_id, "charge", bytes(100))
        await store.put_stream(session_id, "answer", ["Hel", "lo"])
        sizes = {(each.kind, each.step_name): len(each.data) for each in await stored(store, session_id)}
        after = await store.usage()
        # The journal of a test is a small one.
        assert before.is_exact
        assert after.is_exact
        assert after.steps.rows - before.steps.rows == 2
        assert after.streams.rows - before.streams.rows == 1
        assert after.steps.bytes - before.steps.bytes == sizes["step", "fetch"] + sizes["step", "charge"]
        assert after.streams.bytes - before.streams.bytes == sizes["stream", "answer"]

    async def test_the_oldest_record_of_each_kind_is_known(self, store: OperableJournalStore, session_id: str) -> None:
        # Older than what other tests leave.
        await plant(store, f"{session_id}-1", {"fetch": -3e9, "charge": -5e9}, {"answer": -4e9})
        await plant(store, f"{session_id}-2", {"fetch": -2e9}, {"answer": -6e9, "question": 1.0})
        usage = await store.usage()
        assert (usage.steps.oldest, usage.streams.oldest) == (-5e9, -6e9)
        for number in (1, 2):
            await store.delete_session(f"{session_id}-{number}")

    async def test_what_was_deleted_is_held_no_longer(self, store: OperableJournalStore, session_id: str) -> None:
        before = await store.usage()
        await plant(store, session_id, {"fetch": 1.0}, {"answer": 1.0})
        assert await store.usage() != before
        await store.delete_session(session_id)
        assert await store.usage() == before
