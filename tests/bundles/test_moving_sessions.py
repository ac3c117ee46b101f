"""Sessions travel from any store to any other, and arrive as they left."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from jeeves_journal import (
    AlreadyRecordedError,
    ConfigurationError,
    DecodeError,
    Exported,
    Imported,
    InMemoryJournalStore,
    IntegrityError,
    InvalidKeyError,
    Keyring,
    NotRecordedError,
    OperableJournalStore,
    SessionSummary,
    StoredRecord,
    StoreError,
    export_bundle,
    import_bundle,
)
from tests.bundles.conftest import KINDS, MakeStore

pytestmark = pytest.mark.anyio


async def fill(store: OperableJournalStore, *sessions: str) -> None:
    for session_id in sessions:
        await store.put_step(session_id, "fetch", {"rows": [1, 2]})
        await store.put_stream(session_id, "answer", ["Hel", "lo"])
        await store.put_step(session_id, "answer", None)


async def records_of(store: OperableJournalStore, session_id: str) -> list[StoredRecord]:
    return [record async for record in store.records(session_id)]


async def everything(store: OperableJournalStore) -> list[StoredRecord]:
    return [record for session in await store.sessions() for record in await records_of(store, session.id)]


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
async def test_a_journal_moves_between_any_two_stores(
    make_store: MakeStore, source: str, target: str, path: Path
) -> None:
    there, here = make_store(source), make_store(target)
    await fill(there, "run-1", "run-2")
    exported = await export_bundle(there, path)
    assert exported == Exported(2, 6, sum(len(record.data) for record in await everything(there)))
    assert await import_bundle(here, path) == Imported(2, 6, 0, ())
    assert await everything(here) == await everything(there)
    assert await here.get_steps("run-1") == await there.get_steps("run-1")
    assert await here.get_stream("run-1", "answer") == ["Hel", "lo"]


async def test_exported_again_it_is_the_same_file(
    store: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    await fill(store, "b", "a", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\U0001f600", "\uffff", 'quote " and \n')
    await export_bundle(store, path)
    await import_bundle(elsewhere, path)
    again = path.with_name("again")
    await export_bundle(elsewhere, again)
    assert again.read_bytes() == path.read_bytes()


async def test_an_empty_journal_makes_an_empty_bundle(
    store: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    assert await export_bundle(store, path) == Exported(0, 0, 0)
    assert await import_bundle(elsewhere, path) == Imported(0, 0, 0, ())


async def test_some_sessions_are_exported(
    store: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    await fill(store, "run-1", "run-2", "run-20", "run-3")
    assert (await export_bundle(store, path, ["run-3", "run-2", "run-3"])).sessions == 2
    await import_bundle(elsewhere, path)
    assert [session.id for session in await elsewhere.sessions()] == ["run-2", "run-3"]


async def test_to_import_again_changes_nothing(
    store: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    await fill(elsewhere, "run-1", "run-2")
    await export_bundle(elsewhere, path)
    await import_bundle(store, path)
    before = await everything(store)
    assert await import_bundle(store, path) == Imported(0, 0, 2, ())
    assert await everything(store) == before


async def test_a_session_with_other_records_is_refused_by_itself(
    store: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    await fill(elsewhere, "a", "b", "c", "d")
    await export_bundle(elsewhere, path)
    await store.restore_session("a", await records_of(elsewhere, "a"))
    await store.put_step("c", "fetch", "of another run")
    before = await records_of(store, "c")
    done = await import_bundle(store, path)
    assert (done.sessions, done.records, done.unchanged) == (2, 6, 1)
    (error,) = done.refused
    assert isinstance(error, AlreadyRecordedError)
    assert error.session_id == "c"
    assert await records_of(store, "c") == before
    assert await records_of(store, "d") == await records_of(elsewhere, "d")


@pytest.mark.parametrize("seal", ["sign", "encrypt"])
@pytest.mark.parametrize("target", KINDS)
async def test_sealed_values_travel_sealed(make_store: MakeStore, target: str, seal: str, path: Path) -> None:
    keys = Keyring.generate()
    there, here, keyless = (
        make_store("sqlite", keys=keys, seal=seal),
        make_store(target, keys=keys, seal=seal),
        make_store("memory", keys=Keyring.generate()),
    )
    await there.put_step("run", "fetch", "hunter2")
    await export_bundle(there, path)
    await import_bundle(here, path)
    await import_bundle(keyless, path)
    assert await records_of(here, "run") == await records_of(keyless, "run") == await records_of(there, "run")
    assert (await here.get_steps("run"))["fetch"].value == "hunter2"
    with pytest.raises(DecodeError):
        await keyless.get_step("run", "fetch")


async def test_a_sealed_record_that_was_moved_to_another_session_does_not_open(
    make_store: MakeStore, path: Path
) -> None:
    keys = Keyring.generate()
    there, here = make_store("memory", keys=keys), make_store("memory", keys=keys)
    await there.put_step("run", "fetch", 1)
    moved = [replace(record, session_id="other") for record in await records_of(there, "run")]
    await there.restore_session("other", moved)
    await export_bundle(there, path, ["other"])
    await import_bundle(here, path)
    with pytest.raises(IntegrityError):
        await here.get_step("other", "fetch")


async def test_an_unknown_session_is_said_before_a_file_is_made(store: OperableJournalStore, path: Path) -> None:
    await fill(store, "run-10")
    with pytest.raises(NotRecordedError, match="'run-1'"):
        await export_bundle(store, path, ["run-10", "run-1"])
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("sessions", ["run-1", b"run-1", 7])
async def test_sessions_are_a_list_of_ids(store: OperableJournalStore, path: Path, sessions: object) -> None:
    with pytest.raises(ConfigurationError, match="sessions"):
        await export_bundle(store, path, sessions)  # type: ignore[arg-type]
    with pytest.raises(InvalidKeyError, match="session_id"):
        await export_bundle(store, path, [""])


@pytest.mark.parametrize("bad", [None, 7, b"bytes", "nul\0", "\ud800", object()])
async def test_a_path_is_a_path(elsewhere: OperableJournalStore, bad: object) -> None:
    for move in (export_bundle, import_bundle):
        with pytest.raises(ConfigurationError, match="path"):
            await move(elsewhere, bad)  # type: ignore[operator]


@pytest.mark.parametrize("not_a_store", [None, "memory://", {}])
async def test_a_store_can_be_operated(not_a_store: object, path: Path) -> None:
    for move in (export_bundle, import_bundle):
        with pytest.raises(ConfigurationError, match="OperableJournalStore"):
            await move(not_a_store, path)  # type: ignore[operator]


async def test_progress_is_told(store: OperableJournalStore, path: Path) -> None:
    for number in range(30):
        await store.put_step(f"run-{number % 3}", f"step-{number}", "x" * 100_000)
    exports: list[Exported] = []
    exported = await export_bundle(store, path, progress=exports.append)
    assert len(exports) > 1
    assert exports[-1] == exported
    imports: list[Imported] = []
    async with InMemoryJournalStore() as here:
        imported = await import_bundle(here, path, progress=imports.append)
    assert [each.sessions for each in imports] == [1, 2, 3]
    assert imports[-1] == imported


async def test_a_record_put_again_meanwhile_is_there_once(
    store: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    await store.put_step("run", "first", "x" * 2_000_000)
    await store.put_step("run", "second", "x" * 4_000_000)

    puts = iter(["first", "second"])

    class Overtaken:
        """Stands in front of the store, and puts again what was just read."""

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def records(self, session_id: str):
            async for record in store.records(session_id):
                yield record
            for name in puts:
                await store.put_step(session_id, name, "again")
            async for record in store.records(session_id):
                yield record

    exported = await export_bundle(Overtaken(), path)  # type: ignore[arg-type]
    assert exported.records == 2
    assert (await import_bundle(elsewhere, path)).records == 2


class OfAThirdParty:
    """A store that knows nothing of us but the protocol."""

    def __init__(self, *records: StoredRecord) -> None:
        self.all = list(records)

    async def unused(self, *_: object) -> None:
        raise NotImplementedError

    get_step = put_step = get_stream = put_stream = get_steps = aclose = __aenter__ = __aexit__ = unused
    steps = delete_session = delete_step = rewind = fork_session = prune = usage = unused

    async def sessions(self, prefix: str | None = None, *, after: SessionSummary | None = None, limit: int = 100):
        ids = dict.fromkeys(record.session_id for record in self.all)
        return [SessionSummary(each, 1, 0, 0.0, 0.0, 1) for each in ids] if after is None else []

    async def records(self, session_id: str):
        for record in self.all:
            if record.session_id == session_id:
                yield record

    async def restore_session(self, session_id: str, records: Iterable[StoredRecord]) -> bool:
        self.all += records
        return True


async def test_a_third_partys_store_can_be_moved_too(path: Path) -> None:
    records = [StoredRecord("step", run, name, b"data", 1.0) for run in "ab" for name in "xy"]
    there, here = OfAThirdParty(*records), OfAThirdParty()
    await export_bundle(there, path)
    assert (await import_bundle(here, path)).records == 4
    assert here.all == records


GOOD = StoredRecord("step", "b", "x", b"data", 1.0)


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, session_id="a"),
        replace(GOOD, step_name="a"),
        replace(GOOD, step_name="z", created_at=0.5),
        replace(GOOD, step_name="z", created_at=float("nan")),
        replace(GOOD, step_name="z", data="text"),
        replace(GOOD, step_name="z", kind="signal"),
        replace(GOOD, step_name=""),
    ],
)
async def test_what_could_not_be_imported_is_not_exported(path: Path, bad: StoredRecord) -> None:
    with pytest.raises(StoreError, match="cannot be exported"):
        await export_bundle(OfAThirdParty(GOOD, bad), path)
    assert list(path.parent.iterdir()) == []


class TestOnTrio:
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "trio"

    async def test_an_export_that_is_interrupted_on_trio_leaves_nothing_half_read(self, path: Path) -> None:
        def interrupt(_: object) -> None:
            raise LookupError("of the caller")

        async with InMemoryJournalStore() as store:
            for number in range(300):
                await store.put_step(f"run-{number}", "fetch", number)
            with pytest.raises(LookupError, match="of the caller"):
                await export_bundle(store, path, progress=interrupt)
            # Where trio warns of generators that nobody has closed.
            gc.collect()
            await trio.lowlevel.checkpoint()

    async def test_the_journal_in_memory_moves_on_trio_too(self, path: Path) -> None:
        async with InMemoryJournalStore() as there, InMemoryJournalStore() as here:
            await fill(there, "run")
            await export_bundle(there, path)
            assert (await import_bundle(here, path)).sessions == 1
            assert await everything(here) == await everything(there)
