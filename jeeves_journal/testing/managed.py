"""What every ``ManagedJournalStore`` keeps beyond the five methods."""

from __future__ import annotations

import anyio
import pytest

from jeeves_journal.errors import InvalidKeyError, StoreClosedError
from jeeves_journal.protocol import ManagedJournalStore
from jeeves_journal.testing import values
from jeeves_journal.testing.store import JournalStoreContract


class ManagedJournalStoreContract(JournalStoreContract):
    """``JournalStoreContract``, ``async with`` and ``get_steps``. A subclass overrides ``store``."""

    @pytest.fixture
    def store(self) -> ManagedJournalStore:
        """Return an open store. Override it; close the store at the end, though the test may have done so."""
        raise NotImplementedError(f"{type(self).__qualname__} has to override the fixture `store`")

    async def test_it_is_a_managed_journal_store(self, store: ManagedJournalStore) -> None:
        assert isinstance(store, ManagedJournalStore)

    # -- async with

    async def test_async_with_gives_the_store_and_closes_it(self, store: ManagedJournalStore, session_id: str) -> None:
        async with store as entered:
            assert entered is store
            await entered.put_step(session_id, "fetch", 1)
        with pytest.raises(StoreClosedError):
            await store.get_step(session_id, "fetch")

    async def test_async_with_closes_and_lets_an_error_through(
        self, store: ManagedJournalStore, session_id: str
    ) -> None:
        with pytest.raises(LookupError, match="of the body"):
            async with store:
                await store.put_step(session_id, "fetch", 1)
                raise LookupError("of the body")
        with pytest.raises(StoreClosedError):
            await store.get_step(session_id, "fetch")

    async def test_the_body_of_async_with_may_close_the_store(self, store: ManagedJournalStore) -> None:
        async with store:
            await store.aclose()

    # -- get_steps

    async def test_an_unknown_session_has_no_steps(self, store: ManagedJournalStore, session_id: str) -> None:
        assert await store.get_steps(session_id) == {}

    async def test_steps_come_in_recorded_order(self, store: ManagedJournalStore, session_id: str) -> None:
        names = ["b", "a", "C", "\N{LATIN SMALL LETTER E WITH ACUTE}", " ", "z", "10", "9"]
        for name in names:
            await store.put_step(session_id, name, name)
        steps = await store.get_steps(session_id)
        assert list(steps) == names
        assert [entry.value for entry in steps.values()] == names

    async def test_an_overwritten_step_moves_to_its_new_time(self, store: ManagedJournalStore, session_id: str) -> None:
        for name in ("first", "second", "third", "first"):
            await store.put_step(session_id, name, name)
        assert list(await store.get_steps(session_id)) == ["second", "third", "first"]

    async def test_steps_are_the_entries_of_get_step(self, store: ManagedJournalStore, session_id: str) -> None:
        for name, value in {"none": None, "own": values.Point(1, 2.0), "list": [1]}.items():
            await store.put_step(session_id, name, value)
        steps = await store.get_steps(session_id)
        assert steps == {name: await store.get_step(session_id, name) for name in ("none", "own", "list")}

    async def test_steps_are_read_afresh(self, store: ManagedJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", [1])
        steps = await store.get_steps(session_id)
        steps.pop("fetch").value.append(2)
        assert [entry.value for entry in (await store.get_steps(session_id)).values()] == [[1]]
        await store.put_step(session_id, "fetch", [3])
        assert [entry.value for entry in (await store.get_steps(session_id)).values()] == [[3]]

    async def test_streams_are_not_among_the_steps(self, store: ManagedJournalStore, session_id: str) -> None:
        await store.put_stream(session_id, "answer", ["Hel", "lo"])
        assert await store.get_steps(session_id) == {}

    @pytest.mark.parametrize(("one", "other"), values.DIFFERENT_KEYS)
    async def test_steps_are_those_of_one_session(
        self, store: ManagedJournalStore, session_id: str, one: str, other: str
    ) -> None:
        await store.put_step(session_id + one, "one", 1)
        await store.put_step(session_id + other, "other", 2)
        assert list(await store.get_steps(session_id + one)) == ["one"]
        assert list(await store.get_steps(session_id + other)) == ["other"]

    async def test_many_steps_put_at_once_have_one_order(self, store: ManagedJournalStore, session_id: str) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(500):
                tasks.start_soon(store.put_step, session_id, f"step-{number}", number)
        steps = await store.get_steps(session_id)
        assert sorted(entry.value for entry in steps.values()) == list(range(500))
        times = [entry.created_at for entry in steps.values()]
        assert times == sorted(set(times))

    @pytest.mark.parametrize("key", values.BAD_KEYS)
    async def test_the_steps_of_a_bad_key_are_refused(self, store: ManagedJournalStore, key: str) -> None:
        with pytest.raises(InvalidKeyError, match="session_id"):
            await store.get_steps(key)

    async def test_a_closed_store_has_no_steps_to_give(self, store: ManagedJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        await store.aclose()
        with pytest.raises(StoreClosedError):
            await store.get_steps(session_id)
