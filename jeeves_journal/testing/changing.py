"""What is deleted, and how a run is taken back."""

from __future__ import annotations

import pytest

from jeeves_journal.errors import InvalidKeyError, NotRecordedError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.testing import values
from jeeves_journal.testing.calls import recorded
from jeeves_journal.testing.managed import ManagedJournalStoreContract
from jeeves_journal.testing.planting import different_keys, ids_of, names, plant, stored


class ChangingContract(ManagedJournalStoreContract):
    """Sessions and steps are deleted, and nothing else is. A subclass overrides ``store``."""

    # -- delete_session

    async def test_a_deleted_session_leaves_nothing(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        await store.put_step(session_id, "charge", 2)
        await store.put_stream(session_id, "answer", [3])
        assert await store.delete_session(session_id) == 3
        assert await store.get_step(session_id, "fetch") is None
        assert await store.get_stream(session_id, "answer") is None
        assert await store.get_steps(session_id) == {}
        assert await store.steps(session_id) == []
        assert await stored(store, session_id) == []
        assert await store.sessions(session_id) == []

    async def test_to_delete_an_unknown_session_deletes_nothing(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        assert await store.delete_session(session_id) == 0
        await store.put_stream(session_id, "answer", [1])
        assert [await store.delete_session(session_id) for _ in range(2)] == [1, 0]

    async def test_other_sessions_are_not_deleted(self, store: OperableJournalStore, session_id: str) -> None:
        for session, one, other in different_keys(session_id):
            for end in (one, other):
                await store.put_step(session + end, "fetch", end)
                await store.put_stream(session + end, "answer", [end])
            assert await store.delete_session(session + one) == 2
            assert await recorded(store, session + other, "fetch") == other
            assert await store.get_stream(session + other, "answer") == [other]

    async def test_a_deleted_session_may_begin_again(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", "first run")
        await store.delete_session(session_id)
        await store.put_step(session_id, "fetch", "second run")
        assert await recorded(store, session_id, "fetch") == "second run"
        assert await names(store, session_id) == ["fetch"]

    async def test_a_large_session_is_deleted_whole(self, store: OperableJournalStore, session_id: str) -> None:
        steps = {f"step-{number}": float(number) for number in range(2_500)}
        await plant(store, session_id, steps, steps)
        assert await store.delete_session(session_id) == 5_000
        assert await store.sessions(session_id) == []

    # -- delete_step

    async def test_a_deleted_step_is_unknown(self, store: OperableJournalStore, session_id: str) -> None:
        for name in ("a", "b", "c"):
            await store.put_step(session_id, name, name)
        assert await store.delete_step(session_id, "b") == 1
        assert await store.get_step(session_id, "b") is None
        assert list(await store.get_steps(session_id)) == ["a", "c"]
        assert await names(store, session_id) == ["a", "c"]

    async def test_a_stream_of_the_same_name_goes_with_it(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "answer", 1)
        await store.put_stream(session_id, "answer", [2])
        await store.put_stream(session_id, "other", [3])
        assert await store.delete_step(session_id, "answer") == 2
        assert await store.get_stream(session_id, "answer") is None
        assert await store.delete_step(session_id, "other") == 1
        assert await store.steps(session_id) == []

    async def test_to_delete_an_unknown_step_deletes_nothing(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        assert await store.delete_step(session_id, "fetch") == 0
        await store.put_step(session_id, "charge", 1)
        assert await store.delete_step(session_id, "fetch") == 0
        assert await names(store, session_id) == ["charge"]

    async def test_other_steps_are_not_deleted(self, store: OperableJournalStore, session_id: str) -> None:
        for session, one, other in different_keys(session_id):
            keys = [(session + end, name) for end in (one, other) for name in (one, other)]
            for key in keys:
                await store.put_step(*key, key)
                await store.put_stream(*key, [key])
            assert await store.delete_step(*keys[0]) == 2
            for key in keys[1:]:
                assert await recorded(store, *key) == key
                assert await store.get_stream(*key) == [key]

    async def test_a_session_ends_with_its_last_step(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        await store.delete_step(session_id, "fetch")
        assert await ids_of(store, session_id) == []

    # -- rewind

    async def test_a_run_is_taken_back_to_a_step(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "a", 1)
        await store.put_stream(session_id, "b", [2])
        await store.put_step(session_id, "c", 3)
        await store.put_stream(session_id, "d", [4])
        await store.put_step(session_id, "e", 5)
        assert await store.rewind(session_id, "c") == 3
        assert await names(store, session_id) == ["a", "b"]
        assert list(await store.get_steps(session_id)) == ["a"]
        assert await store.get_stream(session_id, "d") is None
        assert await store.get_stream(session_id, "b") == [2]

    async def test_a_run_is_taken_back_to_a_stream(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "a", 1)
        await store.put_stream(session_id, "b", [2])
        await store.put_step(session_id, "c", 3)
        assert await store.rewind(session_id, to="b") == 2
        assert await names(store, session_id) == ["a"]

    @pytest.mark.parametrize(
        ("step", "stream", "left"), [(2.0, 4.0, ["first"]), (4.0, 2.0, ["first"]), (2.0, 2.0, ["first"])]
    )
    async def test_of_a_step_and_a_stream_of_one_name_the_earlier_counts(
        self, store: OperableJournalStore, session_id: str, step: float, stream: float, left: list[str]
    ) -> None:
        await plant(store, session_id, {"first": 1.0, "same": step, "between": 3.0}, {"same": stream})
        assert await store.rewind(session_id, "same") == 3
        assert await names(store, session_id) == left

    async def test_what_was_recorded_with_the_step_is_taken_back_too(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        await plant(store, session_id, {"first": 1.0, "b": 2.0, "c": 2.0, "d": 3.0}, {"a": 2.0})
        assert await store.rewind(session_id, "b") == 4
        assert await names(store, session_id) == ["first"]

    async def test_a_step_put_again_is_where_it_was_put_last(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        for name in ("a", "b", "c", "a"):
            await store.put_step(session_id, name, name)
        assert await store.rewind(session_id, "a") == 1
        assert await names(store, session_id) == ["b", "c"]

    async def test_a_run_goes_on_from_where_it_was_taken_back_to(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        for name in ("a", "b", "c"):
            await store.put_step(session_id, name, "first run")
        await store.rewind(session_id, "b")
        for name in ("c", "b"):
            await store.put_step(session_id, name, "second run")
        values_of = {name: entry.value for name, entry in (await store.get_steps(session_id)).items()}
        assert list(values_of.items()) == [("a", "first run"), ("c", "second run"), ("b", "second run")]

    async def test_a_run_that_is_taken_back_to_its_first_step_is_gone(
        self, store: OperableJournalStore, session_id: str
    ) -> None:
        for name in ("a", "b"):
            await store.put_step(session_id, name, 1)
        assert await store.rewind(session_id, "a") == 2
        assert await store.sessions(session_id) == []

    async def test_no_run_is_taken_back_to_an_unknown_step(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "a", 1)
        for session, step in ((session_id, "b"), (session_id, "A"), (f"{session_id}-other", "a")):
            with pytest.raises(NotRecordedError) as refusal:
                await store.rewind(session, step)
            assert session in str(refusal.value)
            assert step in str(refusal.value)
        assert await names(store, session_id) == ["a"]

    async def test_other_runs_are_not_taken_back(self, store: OperableJournalStore, session_id: str) -> None:
        for session, one, other in different_keys(session_id):
            for end in (one, other):
                for name in (one, other):
                    await store.put_step(session + end, name, 1)
            assert await store.rewind(session + one, one) == 2
            assert await names(store, session + other) == [one, other]

    # -- keys

    async def test_nothing_with_a_bad_key_is_deleted(self, store: OperableJournalStore, session_id: str) -> None:
        for key in values.plain(values.BAD_KEYS):
            for call, label in (
                (store.delete_session(key), "session_id"),
                (store.delete_step(key, "fetch"), "session_id"),
                (store.delete_step(session_id, key), "step_name"),
                (store.rewind(key, "fetch"), "session_id"),
                (store.rewind(session_id, key), "to"),
            ):
                with pytest.raises(InvalidKeyError, match=label):
                    await call
