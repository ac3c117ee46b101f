"""What the in-memory store does beyond the contract."""

from __future__ import annotations

import asyncio
import sys

import pytest

from jeeves_journal import ConfigurationError, DecodeError, EncodeError, InMemoryJournalStore, StoreClosedError
from jeeves_journal.protocol import ReadAheadStore

pytestmark = pytest.mark.anyio


class Vanishing:
    pass


async def recorded(**steps: object) -> InMemoryJournalStore:
    store = InMemoryJournalStore()
    for name, value in steps.items():
        await store.put_step("run-1", name, value)
    return store


async def test_the_options_of_every_store_are_taken() -> None:
    store = InMemoryJournalStore(timeout=1, max_value_bytes=100, create_tables=True)
    await store.put_step("run-1", "fetch", 1)
    assert await store.get_steps("run-1") != {}


async def test_the_options_of_postgres_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="pool_size"):
        InMemoryJournalStore(pool_size=5)


async def test_a_value_over_max_value_bytes_is_refused() -> None:
    store = InMemoryJournalStore(max_value_bytes=100)
    with pytest.raises(EncodeError, match="max_value_bytes"):
        await store.put_step("run-1", "fetch", b"x" * 101)
    with pytest.raises(EncodeError, match="max_value_bytes"):
        await store.put_stream("run-1", "answer", [b"x" * 101])


def test_it_is_bound_to_no_event_loop() -> None:
    store = InMemoryJournalStore()
    asyncio.run(store.put_step("run-1", "fetch", 1))
    entry = asyncio.run(store.get_step("run-1", "fetch"))
    assert entry is not None
    assert entry.value == 1


async def test_two_stores_share_nothing() -> None:
    store = await recorded(fetch=1)
    assert await InMemoryJournalStore().get_step("run-1", "fetch") is None
    assert await store.get_step("run-1", "fetch") is not None


async def test_it_lists_the_keys_of_steps_and_of_streams() -> None:
    store = await recorded(fetch=1, charge=2)
    await store.put_stream("run-2", "answer", ["Hel", "lo"])
    assert store.step_keys() == [("run-1", "fetch"), ("run-1", "charge")]
    assert store.stream_keys() == [("run-2", "answer")]


async def test_its_schema_may_be_asked_for() -> None:
    store = await recorded(fetch=1)
    await store.init_schema()
    assert await store.get_step("run-1", "fetch") is not None


async def test_once_closed_it_can_neither_be_entered_nor_migrated() -> None:
    store = await recorded(fetch=1)
    await store.aclose()
    with pytest.raises(StoreClosedError):
        await store.init_schema()
    with pytest.raises(StoreClosedError):
        async with store:
            pass
    with pytest.raises(StoreClosedError):
        await store.read_ahead("run-1", 1_000)


async def test_reading_ahead_gives_a_decoder_for_each_step_in_recorded_order() -> None:
    store = await recorded(b=[1], a=[2])
    await store.put_stream("run-1", "answer", ["Hel", "lo"])
    await store.put_step("run-2", "c", [3])
    ahead = await store.read_ahead("run-1", 1_000_000)
    assert [(name, decode()) for name, decode in ahead.items()] == [("b", [1]), ("a", [2])]


async def test_a_decoder_gives_a_new_object_each_time() -> None:
    store = await recorded(fetch=[1])
    decode = (await store.read_ahead("run-1", 1_000_000))["fetch"]
    decode().append(2)
    assert decode() == [1]


async def test_reading_ahead_stops_at_the_byte_bound() -> None:
    store = await recorded(first=b"x" * 1_000, second=b"x" * 1_000, third=b"x" * 1_000)
    assert list(await store.read_ahead("run-1", 2_500)) == ["first", "second"]
    assert await store.read_ahead("run-1", 0) == {}


async def test_reading_ahead_fails_only_the_step_that_cannot_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await recorded(good=1, bad=Vanishing())
    monkeypatch.delattr(sys.modules[__name__], "Vanishing")
    ahead = await store.read_ahead("run-1", 1_000_000)
    assert ahead["good"]() == 1
    with pytest.raises(DecodeError, match="bad"):
        ahead["bad"]()


async def test_it_lends_what_a_replay_reads_ahead() -> None:
    assert isinstance(InMemoryJournalStore(), ReadAheadStore)
