"""Where we differ from JeevesAgent on purpose: each row of the table in docs/from-jeevesagent.md, on both packages."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jeevesagent.runtime as theirs
import pytest
import trio

import jeeves_journal as ours
from tests.jeevesagent.runtimes import our_store, their_store
from tests.migrations.databases import query

BOTH = [theirs, ours]


class NeedsTwoError(Exception):
    """Can be pickled, and then not be loaded."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


async def one() -> int:
    return 1


def outcome(package: Any, call: Any) -> Any:
    """Return what a coroutine returned or, of our package, the kind of error that it raised."""
    try:
        return asyncio.run(call)
    except ours.JournalError as error:
        assert package is ours
        return type(error)


@pytest.mark.parametrize(("package", "expected"), [(theirs, 1), (ours, ours.EncodeError)])
def test_the_memory_store_refuses_what_cannot_be_pickled(package: Any, expected: Any) -> None:
    async def main() -> int:
        store = package.InMemoryJournalStore()
        await store.put_step("s", "step", threading.Lock())
        return len(store.step_keys())

    assert outcome(package, main()) == expected


@pytest.mark.parametrize(("package", "expected"), [(theirs, [1, 2]), (ours, [1])])
def test_the_memory_store_keeps_a_value_as_it_was(package: Any, expected: Any) -> None:
    async def main() -> Any:
        store, value = package.InMemoryJournalStore(), [1]
        await store.put_step("s", "step", value)
        value.append(2)
        return (await store.get_step("s", "step")).value

    assert outcome(package, main()) == expected


@pytest.mark.parametrize(("package", "expected"), [(theirs, None), (ours, ours.EncodeError)])
def test_what_would_not_load_again_is_refused_at_put(package: Any, expected: Any, tmp_path: Path) -> None:
    store = package.SqliteJournalStore(tmp_path / "journal.db")
    assert outcome(package, store.put_step("s", "step", NeedsTwoError("a", "b"))) == expected
    if package is theirs:
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            asyncio.run(store.get_step("s", "step"))


@pytest.mark.parametrize(("package", "expected"), [(theirs, None), (ours, ours.StoreClosedError)])
@pytest.mark.parametrize("make", ["memory", "file"])
def test_aclose_means_closed(package: Any, expected: Any, make: str, tmp_path: Path) -> None:
    async def main() -> Any:
        memory = make == "memory"
        store = package.InMemoryJournalStore() if memory else package.SqliteJournalStore(tmp_path / "journal.db")
        await store.aclose()
        return await store.get_step("s", "step")

    assert outcome(package, main()) == expected


@pytest.mark.parametrize(("package", "expected"), [(theirs, None), (ours, ours.InvalidKeyError)])
@pytest.mark.parametrize("key", ["", "a\0b", "x" * 1_001, 7])
def test_keys_are_checked(package: Any, expected: Any, key: Any, tmp_path: Path) -> None:
    store = package.SqliteJournalStore(tmp_path / "journal.db")
    assert outcome(package, store.put_step(key, "step", 1)) == expected


@pytest.mark.parametrize(("package", "expected"), [(theirs, None), (ours, ours.ConfigurationError)])
def test_sql_stores_need_asyncio(package: Any, expected: Any, tmp_path: Path) -> None:
    store = package.SqliteJournalStore(tmp_path / "journal.db")
    if package is theirs:
        assert trio.run(store.get_step, "s", "step") is None
    else:
        with pytest.raises(expected, match="asyncio"):
            trio.run(store.get_step, "s", "step")


@pytest.mark.parametrize(("package", "expected"), [(theirs, None), (ours, ours.StoreClosedError)])
def test_a_store_serves_one_live_event_loop_at_a_time(package: Any, expected: Any, tmp_path: Path) -> None:
    store = package.SqliteJournalStore(tmp_path / "journal.db")
    with asyncio.Runner() as runner:
        runner.run(store.put_step("s", "other", 1))
        assert outcome(package, store.get_step("s", "step")) == expected
        runner.run(store.aclose())


@pytest.mark.parametrize(("package", "expected"), [(theirs, 2), (ours, 1)])
def test_concurrent_calls_of_one_step_run_it_once(package: Any, expected: int) -> None:
    async def main() -> int:
        runs = 0

        async def count() -> int:
            nonlocal runs
            runs += 1
            await asyncio.sleep(0.01)
            return runs

        runtime = package.JournaledRuntime()
        async with runtime.session("s"):
            await asyncio.gather(runtime.step("step", count), runtime.step("step", count))
        return runs

    assert asyncio.run(main()) == expected


@pytest.mark.parametrize(("package", "same"), [(theirs, True), (ours, False)])
def test_a_sessions_handle_is_dropped_when_the_session_ends(package: Any, same: bool) -> None:
    async def main() -> bool:
        runtime = package.JournaledRuntime()
        async with runtime.session("s") as first:
            pass
        async with runtime.session("s") as second:
            return first is second

    assert asyncio.run(main()) is same


def test_a_signal_can_be_waited_for_here() -> None:
    async def main() -> Any:
        runtime = ours.JournaledRuntime()
        async with runtime.session("s") as session:
            await runtime.signal("s", "approved", 1)
            await runtime.signal("s", "approved", 2)
            return [await session.wait("approved"), await session.wait("approved")]

    assert asyncio.run(main()) == [1, 2]
    assert not hasattr(theirs.JournaledSession, "wait")


@pytest.mark.parametrize(("package", "expected"), [(theirs, [("s", "step")]), (ours, [])])
def test_a_step_belongs_to_a_session_of_its_own_runtime(package: Any, expected: Any) -> None:
    async def main() -> Any:
        outer, inner = package.JournaledRuntime(), package.JournaledRuntime()
        async with outer.session("s"):
            assert await inner.step("step", one) == 1
        return inner.store.step_keys()

    assert asyncio.run(main()) == expected


@pytest.mark.parametrize(("package", "expected"), [(theirs, [("late", "stream")]), (ours, [("early", "stream")])])
def test_a_streams_session_is_the_one_at_the_call(package: Any, expected: Any) -> None:
    async def chunks() -> Any:
        yield 1

    async def main() -> Any:
        runtime = package.JournaledRuntime()
        async with runtime.session("early"):
            stream = runtime.stream_step("stream", chunks)
        async with runtime.session("late"):
            assert [chunk async for chunk in stream] == [1]
        return runtime.store.stream_keys()

    assert asyncio.run(main()) == expected


@pytest.mark.parametrize(("package", "mode", "bits"), [(theirs, "delete", 0o644), (ours, "wal", 0o600)])
def test_a_new_file_is_in_wal_mode_and_private(package: Any, mode: str, bits: int, tmp_path: Path) -> None:
    path, before = tmp_path / "journal.db", os.umask(0o022)
    try:
        store = package.SqliteJournalStore(path)
        assert path.exists() is (package is theirs)
        asyncio.run(store.put_step("s", "step", 1))
    finally:
        os.umask(before)
    assert query(f"sqlite:///{path}", "PRAGMA journal_mode") == [(mode,)]
    assert stat.S_IMODE(path.stat().st_mode) == bits
    asyncio.run(store.aclose())


def test_a_file_of_jeevesagents_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    theirs.SqliteJournalStore(path)
    path.chmod(0o664)
    store = ours.SqliteJournalStore(path)
    asyncio.run(store.put_step("s", "step", 1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    asyncio.run(store.aclose())


@pytest.mark.parametrize(("opened", "error"), [(their_store, sqlite3.DatabaseError), (our_store, ours.StoreError)])
def test_errors_are_ours_on_sqlite(opened: Callable[[str], Any], error: type[Exception], tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(f"sqlite:///{tmp_path}/no-database.txt"):
            pass

    (tmp_path / "no-database.txt").write_text("not a database, only a text that is long enough to be taken for one")
    with pytest.raises(error):
        asyncio.run(main())


@pytest.mark.parametrize(("package", "works"), [(theirs, False), (ours, True)])
def test_sqlite_in_memory_works_here(package: Any, works: bool) -> None:
    async def main() -> Any:
        store = package.SqliteJournalStore(":memory:")
        await store.put_step("s", "step", 1)
        entry = await store.get_step("s", "step")
        await store.aclose()
        return entry.value

    if works:
        assert asyncio.run(main()) == 1
    else:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            asyncio.run(main())
