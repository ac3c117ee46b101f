"""What the in-memory store does beyond the contract."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta

import pytest

from jeeves_journal import ConfigurationError, DecodeError, EncodeError, InMemoryJournalStore, Keyring, StoreClosedError
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


async def test_what_was_deleted_is_among_the_keys_no_longer() -> None:
    store = await recorded(fetch=1, charge=2, fly=3)
    await store.put_stream("run-1", "charge", ["Hel", "lo"])
    await store.rewind("run-1", to="charge")
    assert store.step_keys() == [("run-1", "fetch")]
    assert store.stream_keys() == []
    await store.put_step("run-1", "fetch", 4)
    assert store.step_keys() == [("run-1", "fetch")]


async def test_all_that_was_recorded_is_pruned_at_no_age() -> None:
    store = await recorded(fetch=1, charge=2)
    assert (await store.prune(timedelta())).records == 2
    assert store.step_keys() == []


async def test_the_log_tells_how_much_was_pruned(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jeeves_journal")
    store = await recorded(fetch=1)
    (session,) = await store.sessions()
    await store.prune(timedelta(), dry_run=True)
    await store.prune(timedelta())
    assert caplog.messages == [f"memory: pruned 1 sessions, 1 records, {session.bytes} bytes"]


async def test_a_fork_is_sealed_for_its_own_session() -> None:
    store = InMemoryJournalStore(keys=Keyring.generate())
    await store.put_step("run-1", "fetch", "sealed")
    await store.fork_session("run-1", "run-2")
    (source,), (fork,) = [[each async for each in store.records(run)] for run in ("run-1", "run-2")]
    assert source.data != fork.data
    entry = await store.get_step("run-2", "fetch")
    assert entry is not None
    assert entry == await store.get_step("run-1", "fetch")


async def test_a_fork_of_what_another_codec_wrote_stays_as_compressed_and_of_that_codec() -> None:
    keys = Keyring.generate()
    async with (
        InMemoryJournalStore(keys=keys, codec="json", compress="zstd") as there,
        InMemoryJournalStore(keys=keys) as here,
        InMemoryJournalStore(keys=keys, codec="json", compress="zstd") as back,
    ):
        await there.put_step("run", "fetch", "x" * 10_000)
        await here.restore_session("run", [record async for record in there.records("run")])
        assert await here.fork_session("run", "copy") == 1
        await back.restore_session("copy", [record async for record in here.records("copy")])
        entry = await back.get_step("copy", "fetch")
    assert entry is not None
    assert entry.value == "x" * 10_000


async def test_a_fork_needs_no_class_of_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    store = InMemoryJournalStore(keys=Keyring.generate())
    await store.put_step("run-1", "fetch", Vanishing())
    with monkeypatch.context() as without:
        without.delattr(sys.modules[__name__], "Vanishing")
        assert await store.fork_session("run-1", "run-2") == 1
    entry = await store.get_step("run-2", "fetch")
    assert entry is not None
    assert isinstance(entry.value, Vanishing)


async def test_a_step_says_which_codec_and_which_key_made_it() -> None:
    keys = Keyring.generate()
    for store, made_by in (
        (InMemoryJournalStore(), ("pickle", None)),
        (InMemoryJournalStore(codec="json"), ("json", None)),
        (InMemoryJournalStore(keys=keys, seal="encrypt"), ("pickle", keys.first.id)),
    ):
        await store.put_step("run-1", "fetch", 1)
        (step,) = await store.steps("run-1")
        assert (step.codec, step.sealed_by) == made_by


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


async def test_reading_ahead_gives_each_step_in_recorded_order() -> None:
    store = await recorded(b=[1], a=[2])
    await store.put_stream("run-1", "answer", ["Hel", "lo"])
    await store.put_step("run-2", "c", [3])
    ahead = await store.read_ahead("run-1", 1_000_000)
    assert [(name, ahead.decode(row)) for name, row in ahead.rows.items()] == [("b", [1]), ("a", [2])]


async def test_what_was_read_ahead_is_decoded_anew_each_time() -> None:
    store = await recorded(fetch=[1])
    ahead = await store.read_ahead("run-1", 1_000_000)
    ahead.decode(ahead.rows["fetch"]).append(2)
    assert ahead.decode(ahead.rows["fetch"]) == [1]


async def test_reading_ahead_stops_at_the_byte_bound() -> None:
    store = await recorded(first=b"x" * 1_000, second=b"x" * 1_000, third=b"x" * 1_000)
    assert list((await store.read_ahead("run-1", 2_500)).rows) == ["first", "second"]
    assert (await store.read_ahead("run-1", 0)).rows == {}


async def test_reading_ahead_fails_only_the_step_that_cannot_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await recorded(good=1, bad=Vanishing())
    monkeypatch.delattr(sys.modules[__name__], "Vanishing")
    ahead = await store.read_ahead("run-1", 1_000_000)
    assert ahead.take("good") == 1
    with pytest.raises(DecodeError, match="bad"):
        ahead.take("bad")


async def test_it_lends_what_a_replay_reads_ahead() -> None:
    assert isinstance(InMemoryJournalStore(), ReadAheadStore)
