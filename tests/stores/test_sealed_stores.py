"""Stores with keys: attacks on their tables, and the way from one key, seal or codec to the next."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from jeeves_journal import (
    ConfigurationError,
    DecodeError,
    InMemoryJournalStore,
    IntegrityError,
    JournaledRuntime,
    JournalStore,
    JSONCodec,
    Keyring,
)
from tests.stores.attacks import Attack
from tests.stores.rows import Rows, put_raw

pytestmark = pytest.mark.anyio

OLD = Keyring.generate()
NEW = Keyring.generate()
BOTH = Keyring.from_text(f"{NEW.to_text()},{OLD.to_text()}")


async def test_what_others_put_into_the_database_is_refused_and_not_run(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        await store.put_step("run", "step", 1)
        put_raw(rows, "run", {"planted": pickle.dumps(Attack())})
        with pytest.raises(IntegrityError, match="not sealed.*run.*planted"):
            await store.get_step("run", "planted")
        with pytest.raises(IntegrityError):
            await store.get_steps("run")
    assert not Attack.ran


async def test_the_runtime_neither_returns_nor_runs_what_was_planted(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        runtime = JournaledRuntime(store)
        async with runtime.session("run"):
            assert await runtime.step("first", returning, 1) == 1
        put_raw(rows, "run", {"planted": pickle.dumps(Attack())})
        async with runtime.session("run"):
            assert await runtime.step("first", returning, 2) == 1
            with pytest.raises(IntegrityError):
                await runtime.step("planted", returning, 3)
    assert not Attack.ran


async def returning(value: int) -> int:
    return value


@pytest.mark.parametrize(
    "move",
    [
        "UPDATE journal_steps SET session_id = 'other' WHERE step_name = ?",
        "UPDATE journal_steps SET step_name = 'pay-twice' WHERE step_name = ?",
        "UPDATE journal_steps SET created_at = created_at + 1 WHERE step_name = ?",
        (
            "INSERT INTO journal_streams (session_id, step_name, chunks, created_at) "
            "SELECT session_id, step_name, value, created_at FROM journal_steps WHERE step_name = ?"
        ),
    ],
)
@pytest.mark.parametrize("seal", ["sign", "encrypt"])
async def test_a_row_that_was_moved_is_refused(rows: Rows, move: str, seal: Any) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD, seal=seal) as store:
        await store.put_step("run", "pay", [100])
        rows.run(move, [("pay",)])
        reads = [store.get_step("other", "pay"), store.get_step("run", "pay-twice"), store.get_stream("run", "pay")]
        if "created_at +" in move:
            reads.append(store.get_step("run", "pay"))
        found = await asyncio.gather(*reads, return_exceptions=True)
        refused = [each for each in found if each is not None]
        assert len(refused) == 1
        assert isinstance(refused[0], IntegrityError)


@pytest.mark.parametrize("seal", ["sign", "encrypt"])
async def test_what_was_recorded_before_is_sealed_by_reseal_and_keeps_its_time(rows: Rows, seal: Any) -> None:
    async with JournalStore.from_url(rows.url) as store:
        for number in range(150):
            await store.put_step(f"run-{number % 7}", f"step-{number}", number)
        await store.put_stream("run-1", "answer", ["Hel", "lo"])
        await store.put_step("run-1", "large", b"x" * 5_000_000)
        before = await store.get_steps("run-1")
    put_raw(rows, "jeeves", {"theirs": pickle.dumps("theirs")})
    looked_at: list[int] = []
    async with JournalStore.from_url(rows.url, keys=OLD, seal=seal, allow_unsealed=True) as store:
        done = await store.reseal(progress=looked_at.append)
        assert (done.records, done.resealed, done.refused, done.refusals) == (153, 153, 0, ())
        assert looked_at == sorted(looked_at)
        assert looked_at[-1] == 153
        assert (await store.reseal()).resealed == 0
    async with JournalStore.from_url(rows.url, keys=OLD, seal=seal) as store:
        assert await store.get_steps("run-1") == before
        assert await store.get_stream("run-1", "answer") == ["Hel", "lo"]
        assert (await store.get_steps("jeeves"))["theirs"].value == "theirs"


async def test_the_old_key_may_go_after_reseal(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        await store.put_step("run", "step", 1)
    async with JournalStore.from_url(rows.url, keys=BOTH, seal="encrypt") as store:
        assert (await store.reseal()).resealed == 1
    async with JournalStore.from_url(rows.url, keys=NEW, seal="encrypt") as store:
        assert (await store.get_steps("run"))["step"].value == 1


async def test_the_codec_may_change_by_reseal_and_what_it_does_not_take_stays(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("run", "list", [1, 2])
        await store.put_step("run", "tuple", (1, 2))
        await store.put_step("run", "set", {1})
    async with JournalStore.from_url(rows.url, codec=JSONCodec([tuple])) as store:
        done = await store.reseal(from_codec="pickle")
        assert (done.records, done.resealed, done.refused) == (3, 2, 1)
        assert [(error.session_id, error.step_name) for error in done.refusals] == [("run", "set")]
        for name, value in {"list": [1, 2], "tuple": (1, 2)}.items():
            entry = await store.get_step("run", name)
            assert entry is not None
            assert entry.value == value
        with pytest.raises(DecodeError, match="written by codec 'pickle'"):
            await store.get_step("run", "set")


async def test_what_cannot_be_opened_stays_as_it_is(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        await store.put_step("run", "step", 1)
        put_raw(rows, "run", {"planted": pickle.dumps(Attack()), "damaged": b"\0" * 100})
    async with JournalStore.from_url(rows.url, keys=BOTH) as store:
        done = await store.reseal()
        assert (done.records, done.resealed, done.refused) == (3, 1, 2)
        assert {error.step_name for error in done.refusals} == {"planted", "damaged"}
    assert rows.value("run", "planted") == pickle.dumps(Attack())
    assert rows.value("run", "damaged") == b"\0" * 100
    assert not Attack.ran


async def test_puts_while_it_is_resealed_are_not_undone(rows: Rows) -> None:
    names = [f"step-{number}" for number in range(300)]
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        await asyncio.gather(*(store.put_step("run", name, "before") for name in names))
    async with (
        JournalStore.from_url(rows.url, keys=BOTH) as store,
        JournalStore.from_url(rows.url, keys=Keyring.from_text(f"{OLD.to_text()},{NEW.to_text()}")) as other,
    ):
        await asyncio.gather(store.reseal(), *(other.put_step("run", name, "after") for name in names[::2]))
        await store.reseal()
        steps = await store.get_steps("run")
        assert {name: entry.value for name, entry in steps.items()} == {
            name: "after" if number % 2 == 0 else "before" for number, name in enumerate(names)
        }
    async with JournalStore.from_url(rows.url, keys=NEW) as store:
        assert len(await store.get_steps("run")) == 300


class StoppedError(Exception):
    """What a caller's own code raises."""


@pytest.mark.parametrize("error", [StoppedError("stop"), OSError("stop"), TimeoutError("stop")])
@pytest.mark.parametrize("in_memory", [False, True])
async def test_what_the_progress_raises_reaches_the_caller_as_it_is(
    rows: Rows, error: Exception, *, in_memory: bool
) -> None:
    def stop(_: int) -> None:
        raise error

    async with JournalStore.from_url("memory://" if in_memory else rows.url) as store:
        await store.put_step("run", "step", 1)
        with pytest.raises(type(error)) as raised:
            await store.reseal(progress=stop)
        assert raised.value is error
        assert (await store.reseal()).records == 1


async def test_the_store_in_memory_is_resealed_too() -> None:
    store = InMemoryJournalStore(codec=JSONCodec([tuple]))
    await store.put_step("run", "step", (1, 2))
    await store.put_stream("run", "step", [(1, 2)])
    done = await store.reseal()
    assert (done.records, done.resealed, done.refused) == (2, 0, 0)
    entry = await store.get_step("run", "step")
    assert entry is not None
    assert entry.value == (1, 2)


@pytest.mark.parametrize("options", [{"seal": "sign"}, {"seal": "encrypt"}, {"allow_unsealed": True}])
def test_a_seal_without_keys_is_refused(options: Any) -> None:
    for url in ("memory://", "sqlite:///:memory:"):
        with pytest.raises(ConfigurationError, match="nothing to seal with.*Keyring"):
            JournalStore.from_url(url, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"codec": "yaml"},
        {"codec": object()},
        {"compress": "gzip"},
        {"compress_over": -1},
        {"keys": "id:text"},
        {"keys": b"key"},
        {"keys": OLD, "seal": "hide"},
        {"keys": OLD, "allow_unsealed": "perhaps"},
    ],
)
def test_an_option_of_the_codec_that_cannot_be_used_is_refused(options: Any) -> None:
    for url in ("memory://", "sqlite:///:memory:"):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            JournalStore.from_url(url, **options)


def test_a_codec_whose_name_does_not_fit_the_footer_is_refused() -> None:
    class LongName(JSONCodec):
        id = "much-too-long"

    with pytest.raises(ConfigurationError, match="one to eight printable ASCII characters"):
        JournalStore.from_url("memory://", codec=LongName())
