"""What every ``JournalStore`` keeps for a single caller: keys, values and times."""

from __future__ import annotations

import time
import uuid
from typing import Any, Final

import pytest

from jeeves_journal.errors import EncodeError, InvalidKeyError
from jeeves_journal.protocol import JournalStore
from jeeves_journal.testing import values
from jeeves_journal.testing.calls import every_call, recorded
from jeeves_journal.testing.values import SECRET, Factory, Unencodable

CLOCK_TOLERANCE: Final = 1.0
"""Seconds by which a store's clock, which may be its server's, may differ from ours."""


class RecordsContract:
    """What is recorded comes back, under its own key, and nothing else is recorded. A subclass overrides ``store``."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Return the event loop to run on; a subclass may return ``"trio"``."""
        return "asyncio"

    @pytest.fixture
    def store(self) -> JournalStore:
        """Return an open store. Override it; close the store at the end, though the test may have done so."""
        raise NotImplementedError(f"{type(self).__qualname__} has to override the fixture `store`")

    @pytest.fixture
    def session_id(self) -> str:
        """Return a session that no other test uses."""
        return f"session-{uuid.uuid4().hex}"

    async def test_it_is_a_journal_store(self, store: JournalStore) -> None:
        assert isinstance(store, JournalStore)

    # -- steps

    async def test_an_unknown_step_is_none(self, store: JournalStore, session_id: str) -> None:
        assert await store.get_step(session_id, "fetch") is None

    @pytest.mark.parametrize("value", values.VALUES)
    async def test_a_step_comes_back_as_it_was(self, store: JournalStore, session_id: str, value: object) -> None:
        await store.put_step(session_id, "fetch", value)
        entry = await store.get_step(session_id, "fetch")
        assert entry is not None
        assert entry.value == value
        assert type(entry.value) is type(value)

    async def test_the_last_write_of_a_step_wins(self, store: JournalStore, session_id: str) -> None:
        for value in ("first", "second", None, "last"):
            await store.put_step(session_id, "fetch", value)
        assert await recorded(store, session_id, "fetch") == "last"

    async def test_changing_a_value_after_its_put_changes_no_record(self, store: JournalStore, session_id: str) -> None:
        value = {"rows": [1]}
        await store.put_step(session_id, "fetch", value)
        value["rows"].append(2)
        assert await recorded(store, session_id, "fetch") == {"rows": [1]}

    async def test_changing_a_value_that_was_got_changes_no_record(self, store: JournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", {"rows": [1]})
        (await recorded(store, session_id, "fetch"))["rows"].append(2)
        assert await recorded(store, session_id, "fetch") == {"rows": [1]}

    async def test_a_step_of_5_megabytes_comes_back(self, store: JournalStore, session_id: str) -> None:
        value = bytes(range(256)) * 20_000
        await store.put_step(session_id, "fetch", value)
        assert await recorded(store, session_id, "fetch") == value

    async def test_created_at_is_the_time_of_the_put(self, store: JournalStore, session_id: str) -> None:
        before = time.time()
        await store.put_step(session_id, "fetch", 1)
        after = time.time()
        entry = await store.get_step(session_id, "fetch")
        assert entry is not None
        assert before - CLOCK_TOLERANCE <= entry.created_at <= after + CLOCK_TOLERANCE

    async def test_created_at_only_grows_also_when_a_step_is_overwritten(
        self, store: JournalStore, session_id: str
    ) -> None:
        times: list[float] = []
        for number in range(50):
            name = f"step-{number % 10}"
            await store.put_step(session_id, name, number)
            entry = await store.get_step(session_id, name)
            assert entry is not None
            times.append(entry.created_at)
        assert times == sorted(set(times))

    # -- streams

    async def test_an_unknown_stream_is_none(self, store: JournalStore, session_id: str) -> None:
        assert await store.get_stream(session_id, "answer") is None

    async def test_chunks_come_back_in_order(self, store: JournalStore, session_id: str) -> None:
        chunks = [*range(1_000), None, "", "lo", "Hel", values.Point(1, 2.0)]
        await store.put_stream(session_id, "answer", chunks)
        assert await store.get_stream(session_id, "answer") == chunks

    async def test_a_stream_without_chunks_is_recorded(self, store: JournalStore, session_id: str) -> None:
        await store.put_stream(session_id, "answer", [])
        assert await store.get_stream(session_id, "answer") == []

    async def test_the_last_write_of_a_stream_wins(self, store: JournalStore, session_id: str) -> None:
        await store.put_stream(session_id, "answer", ["first", "long"])
        await store.put_stream(session_id, "answer", ["last"])
        assert await store.get_stream(session_id, "answer") == ["last"]

    async def test_changing_chunks_changes_no_record(self, store: JournalStore, session_id: str) -> None:
        chunks = [["Hel"], ["lo"]]
        await store.put_stream(session_id, "answer", chunks)
        chunks[0].append("!")
        chunks.pop()
        got = await store.get_stream(session_id, "answer")
        assert got is not None
        assert got == [["Hel"], ["lo"]]
        got.clear()
        assert await store.get_stream(session_id, "answer") == [["Hel"], ["lo"]]

    async def test_a_stream_of_5_megabytes_comes_back(self, store: JournalStore, session_id: str) -> None:
        chunks = [bytes([number]) * 100_000 for number in range(50)]
        await store.put_stream(session_id, "answer", chunks)
        assert await store.get_stream(session_id, "answer") == chunks

    async def test_steps_and_streams_are_apart(self, store: JournalStore, session_id: str) -> None:
        await store.put_step(session_id, "same", "step")
        assert await store.get_stream(session_id, "same") is None
        await store.put_stream(session_id, "same", ["stream"])
        assert await recorded(store, session_id, "same") == "step"
        assert await store.get_stream(session_id, "same") == ["stream"]

    # -- keys

    @pytest.mark.parametrize(("one", "other"), values.DIFFERENT_KEYS)
    async def test_keys_are_compared_byte_by_byte(
        self, store: JournalStore, session_id: str, one: str, other: str
    ) -> None:
        sessions = [f"{session_id}{one}", f"{session_id}{other}"]
        keys = [(session, name) for session in sessions for name in (one, other)]
        await store.put_step(*keys[0], keys[0])
        await store.put_stream(*keys[0], [keys[0]])
        for key in keys[1:]:
            assert await store.get_step(*key) is None
            assert await store.get_stream(*key) is None
        for key in keys[1:]:
            await store.put_step(*key, key)
            await store.put_stream(*key, [key])
        for key in keys:
            assert await recorded(store, *key) == key
            assert await store.get_stream(*key) == [key]

    async def test_the_two_keys_do_not_run_into_each_other(self, store: JournalStore, session_id: str) -> None:
        await store.put_step(f"{session_id}a", "b", 1)
        assert await store.get_step(session_id, "ab") is None
        assert await store.get_step("b", f"{session_id}a") is None

    @pytest.mark.parametrize("key", values.GOOD_KEYS)
    async def test_any_other_text_is_a_key(self, store: JournalStore, session_id: str, key: str) -> None:
        await store.put_step(session_id + key, key, "step")
        await store.put_stream(session_id + key, key, ["stream"])
        assert await recorded(store, session_id + key, key) == "step"
        assert await store.get_stream(session_id + key, key) == ["stream"]

    async def test_a_key_may_have_1000_bytes(self, store: JournalStore, session_id: str) -> None:
        keys = values.longest_keys(session_id)
        assert {len(key.encode()) for key in keys} == {1_000}
        for key in keys:
            await store.put_step(key, key, key)
            await store.put_stream(key, key, [key])
        for key in keys:
            assert await recorded(store, key, key) == key
            assert await store.get_stream(key, key) == [key]

    @pytest.mark.parametrize("key", values.BAD_KEYS)
    async def test_a_bad_key_is_refused_by_every_method(self, store: JournalStore, session_id: str, key: Any) -> None:
        for call in every_call(store, key, "step"):
            with pytest.raises(InvalidKeyError, match="session_id"):
                await call()
        for call in every_call(store, session_id, key):
            with pytest.raises(InvalidKeyError, match="step_name"):
                await call()

    # -- values that cannot be recorded

    @pytest.mark.parametrize("make", values.UNRECORDABLE)
    async def test_what_would_not_come_back_is_refused(
        self, store: JournalStore, session_id: str, make: Factory
    ) -> None:
        for put in (store.put_step(session_id, "fetch", make()), store.put_stream(session_id, "fetch", [make()])):
            with pytest.raises(EncodeError) as refusal:
                await put
            message = str(refusal.value)
            assert session_id in message
            assert "fetch" in message
            assert SECRET not in message + repr(refusal.value)
        assert await store.get_step(session_id, "fetch") is None
        assert await store.get_stream(session_id, "fetch") is None

    async def test_a_refused_put_leaves_the_earlier_record(self, store: JournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", "earlier")
        await store.put_stream(session_id, "fetch", ["earlier"])
        with pytest.raises(EncodeError):
            await store.put_step(session_id, "fetch", Unencodable())
        with pytest.raises(EncodeError):
            await store.put_stream(session_id, "fetch", ["later", Unencodable()])
        assert await recorded(store, session_id, "fetch") == "earlier"
        assert await store.get_stream(session_id, "fetch") == ["earlier"]
