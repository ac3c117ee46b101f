"""Disks without room: what they refuse is said to be unavailable, and what they took is there."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from jeeves_journal import (
    JournalStore,
    ManagedJournalStore,
    SQLAlchemyJournalStore,
    SqliteJournalStore,
    StoreUnavailableError,
)
from tests.faults.figures import Figures
from tests.faults.ledger import Ledger, Record
from tests.faults.small_disks import Ext4Disk, MemoryDisk, SmallDisk, mounted
from tests.servers.postgres import PostgresServer, execute
from tests.stores.processes import printed_by

pytestmark = pytest.mark.anyio

NO_ROOM: Final = (
    "there is no room left|can hold no more files|the disk failed to read or write|out of connections, memory or disk"
)
TASKS: Final = 8


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "small"
    with mounted(MemoryDisk(folder) if request.param == "tmpfs" else Ext4Disk(folder)) as disk:
        yield disk


class Writers:
    """Tasks that put records, each once."""

    def __init__(self, store: ManagedJournalStore, figures: Figures) -> None:
        self.store = store
        self.ledger = Ledger(figures, sizes=(3000,))

    async def put_until_refused(self, refusals: int) -> None:
        """Put until each task was refused so often; any other error is raised."""
        await asyncio.gather(*(self._put_until_refused(refusals) for _ in range(TASKS)))

    async def put(self, count: int) -> None:
        """Put so many, all of which must be acknowledged."""
        await asyncio.gather(*(self._put() for _ in range(count)))

    async def _put_until_refused(self, refusals: int) -> None:
        while refusals:
            refusals -= not await self.ledger.is_answered(self._put())

    async def _put(self) -> None:
        await self.ledger.put(self.store, Record("step", "run", f"step-{self.ledger.puts}"))

    async def look(self, store: ManagedJournalStore) -> None:
        """Count what is missing or wrong."""
        await self.ledger.compare(store)

    def assert_refused_for_want_of_room(self) -> None:
        complaints = self.ledger.complaints
        assert complaints
        assert [each for each in complaints if not re.search(NO_ROOM, each)] == []


async def test_a_sqlite_file_on_a_full_disk_is_read_and_works_again_when_there_is_room(
    disk: SmallDisk, figures: Figures
) -> None:
    path = disk.folder / "journal.db"
    async with SqliteJournalStore(path) as store:
        writers = Writers(store, figures)
        await writers.put_until_refused(20)
        disk.fill()
        await writers.put_until_refused(2)
        await writers.look(store)
    # Also by a process that starts while the disk is full.
    async with SqliteJournalStore(path) as store:
        await writers.look(store)
        writers.store = store
        await writers.put_until_refused(2)
        disk.make_room()
        await writers.put(200)
        await writers.look(store)
    async with SqliteJournalStore(path) as store:
        await writers.look(store)
    writers.assert_refused_for_want_of_room()
    assert figures.acknowledged > 250
    assert (figures.lost, figures.wrong) == (0, 0)


async def test_a_sqlite_file_is_made_on_a_full_disk_as_soon_as_there_is_room(disk: SmallDisk, figures: Figures) -> None:
    disk.fill()
    async with SqliteJournalStore(disk.folder / "journal.db") as store:
        writers = Writers(store, figures)
        await writers.put_until_refused(3)
        disk.make_room()
        await writers.put(100)
        await writers.look(store)
    writers.assert_refused_for_want_of_room()
    assert (figures.acknowledged, figures.lost, figures.wrong) == (100, 0, 0)


@pytest.mark.parametrize("files", [1, 2, 3])
async def test_a_disk_that_holds_no_more_files_is_full_too(tmp_path: Path, files: int, figures: Figures) -> None:
    # Its own folder, the database, and the log; then nothing is left for the -shm.
    with mounted(MemoryDisk(tmp_path / "small", f"nr_inodes={files}")) as disk:
        if files == 1:
            with pytest.raises(StoreUnavailableError, match="there is no room left.*make room, then try again"):
                SqliteJournalStore(disk.folder / "deeper" / "journal.db")
        async with SqliteJournalStore(disk.folder / "journal.db") as store:
            writers = Writers(store, figures)
            await writers.put_until_refused(1)
            subprocess.run(["mount", "-o", "remount,nr_inodes=100", disk.folder], check=True, timeout=60)
            await writers.put(10)
            await writers.look(store)
    writers.assert_refused_for_want_of_room()
    assert (figures.acknowledged, figures.lost, figures.wrong) == (10, 0, 0)


@pytest.mark.parametrize("pages", [20, 200])
async def test_a_database_that_may_not_grow_is_full(tmp_path: Path, pages: int, figures: Figures) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/journal.db")
    most = pages

    @event.listens_for(engine.sync_engine, "checkout")
    def bound(connection, record, proxy) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count = {most}")
        cursor.close()

    async with SQLAlchemyJournalStore(engine) as store:
        writers = Writers(store, figures)
        await writers.put_until_refused(20)
        await writers.look(store)
        most = 1_000_000
        await writers.put(200)
        await writers.look(store)
    await engine.dispose()
    writers.assert_refused_for_want_of_room()
    assert (figures.lost, figures.wrong) == (0, 0)


# Python ignores SIGXFSZ, so that the limit is an error.
LIMITED: Final = """
    import asyncio, json, os, resource, sys
    from jeeves_journal import SqliteJournalStore
    from tests.faults.figures import Figures
    from tests.faults.ledger import Ledger, Record

    FOREVER = resource.RLIM_INFINITY
    path, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ledger, told = Ledger(Figures(), sizes=(seed % 5000,)), []
    ledger.tell = told.append

    async def put_until_refused(store):
        while await ledger.is_answered(ledger.put(store, Record("step", "run", f"{ledger.puts}"))):
            pass

    async def main():
        async with SqliteJournalStore(path) as store:
            await ledger.put(store, Record("step", "run", "first"))
            for number in range(rounds):
                # The log grows beyond the limit, or the database at a checkpoint.
                largest = max(os.stat(path).st_size, os.stat(path + "-wal").st_size)
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 50_000 + seed % 7_777, FOREVER))
                await asyncio.gather(*(put_until_refused(store) for _ in range(4)))
                await ledger.get_steps(store, "run")
                resource.setrlimit(resource.RLIMIT_FSIZE, (FOREVER, FOREVER))
                await ledger.put(store, Record("step", "run", "again"))
        print(json.dumps([told, ledger.figures.refused, sorted(ledger.complaints)]))

    asyncio.run(main())
"""


async def test_a_process_whose_files_may_not_grow_is_refused(tmp_path: Path, figures: Figures, long: bool) -> None:
    path, seed = tmp_path / "journal.db", int.from_bytes(os.urandom(4))
    figures.others |= {"seed": seed, "rounds": (rounds := 1000 if long else 10)}
    told, figures.refused, errors = json.loads(await asyncio.to_thread(printed_by, LIMITED, path, seed, rounds))
    ledger = Ledger(figures, sizes=(seed % 5000,))
    for line in told:
        ledger.hear(line)
    await ledger.verify(f"sqlite:///{path}")
    assert (figures.lost, figures.wrong) == (0, 0)
    assert figures.refused == 4 * rounds
    reasons = {error.partition(": ")[2].partition(" (")[0] for error in errors}
    assert reasons <= {"there is no room left", "the disk failed to read or write"}


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[tuple[PostgresServer, MemoryDisk]]:
    """A server beside whose data is a small disk of its own."""
    server = PostgresServer()
    owner = [] if os.geteuid() else [f"uid={pwd.getpwnam('nobody').pw_uid}", "mode=0700"]
    try:
        with mounted(MemoryDisk(server.folder / "small", *owner, kilobytes=40 * 1024)) as disk, server:
            yield server, disk
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)


async def test_a_postgres_whose_tables_have_no_room_is_unavailable_until_there_is(
    small_server: tuple[PostgresServer, MemoryDisk], figures: Figures
) -> None:
    server, disk = small_server
    execute(server.url(), f"CREATE TABLESPACE small LOCATION '{disk.folder}'")
    execute(server.url(), "CREATE DATABASE journal TABLESPACE small")
    async with JournalStore.from_url(server.url("journal")) as store:
        await store.init_schema()
        writers = Writers(store, figures)
        await writers.put(50)
        disk.fill()
        await writers.put_until_refused(10)
        await writers.look(store)
        disk.make_room(400_000)
        await writers.put(200)
        await writers.look(store)
    writers.assert_refused_for_want_of_room()
    assert {"53100"} == {complaint.partition("SQLSTATE ")[2][:5] for complaint in writers.ledger.complaints}
    assert figures.acknowledged >= 250
    assert (figures.lost, figures.wrong) == (0, 0)


async def test_a_postgres_whose_log_has_no_room_loses_nothing(
    small_server: tuple[PostgresServer, MemoryDisk], figures: Figures
) -> None:
    server, disk = small_server
    server.stop()
    log = server.folder / "data" / "pg_wal"
    subprocess.run(["cp", "-a", log, disk.folder / "pg_wal"], check=True, timeout=60)
    shutil.rmtree(log)
    log.symlink_to(disk.folder / "pg_wal")
    server.start()
    async with JournalStore.from_url(server.url(), timeout=2) as store:
        await store.init_schema()
        writers = Writers(store, figures)
        await writers.put(50)
        disk.fill()
        # Postgres stops itself when it cannot write its log.
        await writers.put_until_refused(2)
        disk.make_room(400_000)
        server.restart("immediate")
        await writers.put(200)
        await writers.look(store)
    assert figures.acknowledged >= 250
    assert (figures.lost, figures.wrong) == (0, 0)
    assert "No space left on device" in server.log()
