"""A bundle's file is there and whole, or not there; it takes no other file's place."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from jeeves_journal import (
    BundleError,
    ConfigurationError,
    Imported,
    InMemoryJournalStore,
    OperableJournalStore,
    StoredRecord,
    export_bundle,
    import_bundle,
)
from tests.bundles import forging
from tests.stores.processes import printed_by

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["unnamed", "hidden"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file has no name until it is whole; where the system has no such files, a hidden one."""
    if request.param == "hidden":
        monkeypatch.delattr(os, "O_TMPFILE")
    return str(request.param)


@pytest.fixture
async def filled(elsewhere: OperableJournalStore) -> OperableJournalStore:
    for number in range(30):
        await elsewhere.put_step("run", f"step-{number}", "x" * 100_000)
    return elsewhere


async def test_only_its_owner_may_read_it(filled: OperableJournalStore, path: Path) -> None:
    await export_bundle(filled, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


async def test_a_path_may_be_relative(
    filled: OperableJournalStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    await export_bundle(filled, path.name)
    assert (await import_bundle(filled, path.name)).unchanged == 1


@pytest.mark.parametrize("what", ["file", "folder", "link", "dangling link"])
async def test_what_is_there_is_left(filled: OperableJournalStore, path: Path, what: str) -> None:
    other = path.with_name("other")
    if what == "folder":
        path.mkdir()
    elif what == "file":
        path.write_text("precious")
    else:
        path.symlink_to(other)
        if what == "link":
            other.write_text("precious")
    before = sorted(path.parent.iterdir())
    with pytest.raises(ConfigurationError, match="is there already"):
        await export_bundle(filled, path)
    assert sorted(path.parent.iterdir()) == before
    assert all(each.read_text() == "precious" for each in (path, other) if each.is_file())


async def test_what_appears_meanwhile_is_left(filled: OperableJournalStore, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is there already"):
        await export_bundle(filled, path, progress=lambda _: path.write_text("precious"))
    assert path.read_text() == "precious"
    assert list(path.parent.iterdir()) == [path]


async def test_an_export_that_fails_leaves_nothing(filled: OperableJournalStore, path: Path) -> None:
    def fail(_: object) -> None:
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        await export_bundle(filled, path, progress=fail)
    assert list(path.parent.iterdir()) == []


async def test_an_export_that_is_cancelled_leaves_nothing(filled: OperableJournalStore, path: Path) -> None:
    began = asyncio.Event()
    export = asyncio.ensure_future(export_bundle(filled, path, progress=lambda _: began.set()))
    await began.wait()
    export.cancel()
    with pytest.raises(asyncio.CancelledError):
        await export
    assert list(path.parent.iterdir()) == []


async def test_whenever_an_export_is_cancelled_its_file_is_whole_or_not_there(
    filled: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    for turns in (*range(20), *range(20, 2_000, 67)):
        export = asyncio.ensure_future(export_bundle(filled, path))
        for _ in range(turns):
            await asyncio.sleep(0)
        export.cancel()
        await asyncio.wait([export])
        found = list(path.parent.iterdir())
        assert found in ([], [path])
        if found:
            assert (await import_bundle(elsewhere, path)).unchanged == 1
            path.unlink()


async def test_whenever_an_import_is_cancelled_its_sessions_are_whole_or_not_there(path: Path) -> None:
    names = [f"step-{number}" for number in range(50)]
    path.write_bytes(forging.of_records(*(forging.record(run, name) for run in "abc" for name in sorted(names))))
    for turns in range(0, 200, 3):
        async with InMemoryJournalStore() as store:
            task = asyncio.ensure_future(import_bundle(store, path))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert {session.steps for session in await store.sessions()} <= {50}


async def test_a_folder_that_is_not_there(filled: OperableJournalStore, path: Path) -> None:
    for move in (export_bundle, import_bundle):
        with pytest.raises(ConfigurationError, match="No such file") as caught:
            await move(filled, path / "bundle")
        assert isinstance(caught.value.__cause__, OSError)


async def test_what_is_no_file_is_not_imported(filled: OperableJournalStore, path: Path) -> None:
    os.mkfifo(path)
    for each in (path, path.parent):
        with pytest.raises(ConfigurationError, match="is no file"):
            await import_bundle(filled, each)


def test_a_full_disk_leaves_nothing(path: Path, way: str) -> None:
    # A limit on the size of files is met as a full disk is: in the middle of a write.
    script = """
    import asyncio, os, resource, sys
    from jeeves_journal import ConfigurationError, JournalStore, export_bundle

    async def main():
        async with JournalStore.from_url("memory://") as store:
            for number in range(30):
                await store.put_step("run", f"step-{number}", os.urandom(100_000))
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
            try:
                await export_bundle(store, sys.argv[1])
            except ConfigurationError as error:
                print(error)

    if sys.argv[2] == "hidden":
        del os.O_TMPFILE
    asyncio.run(main())
    """
    assert "cannot be written: File too large" in printed_by(script, path, way)
    assert list(path.parent.iterdir()) == []


class Tampering(InMemoryJournalStore):
    """Changes a bundle once its first session is recorded."""

    def __init__(self, path: Path, change: bytes) -> None:
        super().__init__()
        self.path, self.change = path, change

    async def restore_session(self, session_id: str, records: list[StoredRecord]) -> bool:
        done = await super().restore_session(session_id, records)
        self.path.write_bytes(self.change)
        os.utime(self.path, ns=(1, 1))
        return done


async def test_a_bundle_that_is_changed_meanwhile_is_noticed(path: Path) -> None:
    sessions = [f"run-{number}" for number in range(3)]
    path.write_bytes(forging.of_records(*(forging.record(each) for each in sessions)))
    async with Tampering(path, forging.of_records(*(forging.record(each, at=2.0) for each in sessions))) as store:
        with pytest.raises(BundleError, match="was changed"):
            await import_bundle(store, path)
        assert [session.id for session in await store.sessions()] == ["run-0"]


async def test_a_bundle_that_is_replaced_meanwhile_is_imported_as_it_was(path: Path) -> None:
    path.write_bytes(forging.of_records(forging.record("a"), forging.record("b")))

    def replace(_: Imported) -> None:
        path.with_name("other").write_bytes(b"no bundle")
        path.with_name("other").replace(path)

    async with InMemoryJournalStore() as store:
        assert (await import_bundle(store, path, progress=replace)).sessions == 2
