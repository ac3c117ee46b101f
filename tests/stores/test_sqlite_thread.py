"""The thread of a SQLite connection: it keeps nothing, and nobody waits for it in vain."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import weakref
from pathlib import Path
from threading import Event

import aiosqlite
import pytest

from jeeves_journal import StoreClosedError
from jeeves_journal.stores.dialects.sqlite.thread import connect_driver, on_thread
from tests.stores.processes import printed_by


class Rows:
    """What a batch carries, or what a read found."""


@pytest.mark.anyio
@pytest.mark.parametrize("fails", [False, True])
async def test_what_was_run_is_kept_by_nobody_while_the_thread_is_idle(fails: bool):
    async with aiosqlite.connect(":memory:") as driver:
        rows, found = Rows(), Rows()
        alive = [weakref.ref(rows), weakref.ref(found)]

        def read(connection: sqlite3.Connection, rows: Rows = rows, found: Rows = found) -> Rows:
            return found

        def fail(connection: sqlite3.Connection, rows: Rows = rows) -> Rows:
            raise LookupError

        try:
            await on_thread(driver, fail if fails else read)
        except LookupError:
            assert fails
        del rows, found, read, fail
        # The thread itself may not have come to the end of its turn.
        await on_thread(driver, lambda connection: None)
        assert [reference() for reference in alive] == [None, None]


@pytest.mark.anyio
async def test_a_closed_connection_says_so():
    async with aiosqlite.connect(":memory:") as driver:
        pass
    with pytest.raises(StoreClosedError):
        await on_thread(driver, lambda connection: None)


async def connected() -> aiosqlite.Connection:
    return await aiosqlite.connect(":memory:")


def test_the_thread_outlives_an_event_loop_that_is_closed_under_its_work():
    begun, closed = Event(), Event()

    def wait(connection: sqlite3.Connection) -> None:
        begun.set()
        closed.wait(10)

    loop = asyncio.new_event_loop()
    driver = loop.run_until_complete(connected())
    waiting = loop.create_task(on_thread(driver, wait))
    loop.run_until_complete(asyncio.sleep(0))
    assert begun.wait(10)
    loop.close()
    closed.set()
    assert asyncio.run(on_thread(driver, lambda connection: connection.execute("SELECT 1").fetchone())) == (1,)
    asyncio.run(driver.close())
    waiting._log_destroy_pending = False


def test_a_child_that_was_forked_in_the_middle_of_a_put_can_leave_its_event_loop(tmp_path: Path):
    script = """
    import asyncio, os, signal, sqlite3, sys
    from jeeves_journal import JournalStore

    async def main():
        store = JournalStore.from_url(f"sqlite:///{sys.argv[1]}")
        await store.put_step("s", "n", 0)
        other = sqlite3.connect(sys.argv[1], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        asyncio.ensure_future(store.put_step("s", "n", 1))
        await asyncio.sleep(0.1)
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            return
        assert os.waitpid(child, 0)[1] == 0
        # Not through the loop, whose selector the child has closed along with its own.
        print("child ended", flush=True)
        os._exit(0)

    asyncio.run(main())
    os._exit(0)
    """
    assert printed_by(script, str(tmp_path / "journal.db")) == "child ended"


@pytest.mark.anyio
async def test_a_connection_that_cannot_be_made_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await connect_driver(tmp_path / "nowhere" / "journal.db")
    assert [each.name for each in threading.enumerate() if "_connection_worker_thread" in each.name] == []
