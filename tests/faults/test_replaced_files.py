"""A SQLite file, its -wal, its -shm or its folder that is taken away or replaced while a store has it open."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from jeeves_journal import SqliteJournalStore, StoreUnavailableError
from tests.faults.failing_disk import FailingDisk
from tests.faults.figures import Figures
from tests.stores.processes import printed_by

pytestmark = pytest.mark.anyio

SAYS: Final = r"-wal or its -shm was deleted or replaced while open.*put the files back, or open a new store"


class Place(NamedTuple):
    """Where the journal lies, and what may come in its place."""

    path: Path
    folder: Path
    target: Path
    other: Path


Undo = Callable[[], object]


def unlink(suffix: str) -> Callable[[Place], Undo]:
    def fault(place: Place) -> Undo:
        name = Path(f"{place.target}{suffix}")
        kept = place.other / f"kept{suffix}"
        kept.hardlink_to(name)
        name.unlink()
        return lambda: kept.rename(name)

    return fault


def replace(suffix: str) -> Callable[[Place], Undo]:
    def fault(place: Place) -> Undo:
        name = Path(f"{place.target}{suffix}")
        kept = place.other / f"kept{suffix}"
        kept.hardlink_to(name)
        (place.other / f"journal.db{suffix}").rename(name)
        return lambda: kept.rename(name)

    return fault


def remove_all(place: Place) -> Undo:
    """As one does who restores a backup: the three files go, and a copy of an older one comes."""
    undone = [unlink(suffix)(place) for suffix in ("-wal", "-shm", "")]
    shutil.copy(place.other / "journal.db", place.target)
    return lambda: [undo() for undo in undone]


def rename_folder(place: Place) -> Undo:
    aside = place.folder.with_name("aside")
    place.folder.rename(aside)
    return lambda: aside.rename(place.folder)


def exchange_folder(place: Place) -> Undo:
    aside = place.folder.with_name("aside")
    place.folder.rename(aside)
    shutil.copytree(place.other, place.folder)

    def undo() -> None:
        shutil.rmtree(place.folder)
        aside.rename(place.folder)

    return undo


def retarget_link(place: Place) -> Undo:
    def point_to(target: Path) -> None:
        new = place.path.with_name("new link")
        new.symlink_to(target)
        new.replace(place.path)

    point_to(place.other / "journal.db")
    return lambda: point_to(place.target)


FAULTS: Final[dict[str, Callable[[Place], Undo]]] = {
    "unlinked": unlink(""),
    "-wal unlinked": unlink("-wal"),
    "-shm unlinked": unlink("-shm"),
    "replaced": replace(""),
    "-wal replaced": replace("-wal"),
    "-shm replaced": replace("-shm"),
    "restored": remove_all,
    "folder renamed": rename_folder,
    "folder exchanged": exchange_folder,
    "link retargeted": retarget_link,
}


class Load:
    """Tasks that put and get, and what they were told."""

    def __init__(self, store: SqliteJournalStore, figures: Figures) -> None:
        self.store = store
        self.figures = figures
        self.acknowledged: dict[str, float] = {}
        self.late: list[str] = []
        self.complaints: set[str] = set()
        # When the fault was complete, and whether it was mended since.
        self.struck_at = float("inf")
        self.refused_since = asyncio.Event()
        self.is_over = False

    async def work(self, worker: int) -> None:
        number = 0
        while not self.is_over:
            number += 1
            name = f"{worker}-{number}"
            await self.call(f"put {name}", self.put(name))
            await self.call(f"get {name}", self.get(name))
            await self.call(f"get nothing-{name}", self.store.get_step("run", f"nothing-{name}"))

    async def put(self, name: str) -> None:
        await self.store.put_step("run", name, name)
        self.acknowledged[name] = time.monotonic()

    async def get(self, name: str) -> None:
        entry = await self.store.get_step("run", name)
        if name in self.acknowledged:
            self.figures.lost += entry is None
            self.figures.wrong += entry is not None and entry.value != name

    async def call(self, what: str, call: asyncio.Future) -> None:
        began = time.monotonic()
        try:
            with self.figures.timing():
                await call
        except StoreUnavailableError as error:
            self.figures.refused += 1
            self.complaints.add(str(error))
            if began > self.struck_at:
                self.refused_since.set()
            # The loop's other tasks have their turn also where every call fails at once.
            await asyncio.sleep(0)
        else:
            if began > self.struck_at:
                self.late.append(what)


def make_place(tmp_path: Path) -> Place:
    folder, other, links = tmp_path / "folder", tmp_path / "other", tmp_path / "links"
    for each in (folder, other, links):
        each.mkdir()
    path = links / "journal.db"
    path.symlink_to(folder / "journal.db")
    return Place(path, folder, folder / "journal.db", other)


async def make_other(folder: Path) -> None:
    """Make a journal with a log, as if it were open."""
    async with SqliteJournalStore(folder / "source.db") as store:
        await store.put_step("run", "other", "other")
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(folder / f"source.db{suffix}", folder / f"journal.db{suffix}")


def names_in(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {name for (name,) in connection.execute("SELECT step_name FROM journal_steps")}


async def strike(place: Place, fault: Callable[[Place], Undo], load: Load, seconds: float) -> Undo:
    """Let the fault happen in another thread, after a moment."""

    def wait_and_strike() -> Undo:
        time.sleep(seconds)
        undo = fault(place)
        load.struck_at = time.monotonic()
        return undo

    return await asyncio.to_thread(wait_and_strike)


async def endure(
    place: Place, fault: Callable[[Place], Undo], figures: Figures, chance: random.Random, *, lone: bool
) -> None:
    """Let a fault strike a store under load, see what it says, mend the fault, and count what is there."""
    await make_other(place.other)
    # A timeout, since what is refused must not be waited for.
    async with SqliteJournalStore(place.path, timeout=5) as store:
        await store.put_step("run", "first", "first")
        load = Load(store, figures)
        # The second connection, and the third, are opened under load: some of them after the fault.
        tasks = 1 if lone else 8
        async with asyncio.TaskGroup() as group:
            for worker in range(tasks):
                group.create_task(load.work(worker))
            undo = await strike(place, fault, load, 0.1 * chance.random())
            async with asyncio.timeout(30):
                await load.refused_since.wait()
            await refuse_all(store)
            load.is_over = True
        assert load.late == []
        assert load.complaints
        undo()
        # Every connection that the store has or had by then is of the right file.
        names = [f"after-{number}" for number in range(8)]
        await asyncio.gather(*(store.put_step("run", name, name) for name in names))
        for entry in await asyncio.gather(*(store.get_step("run", name) for name in names)):
            assert entry is not None
    found = names_in(place.path)
    figures.acknowledged += len(load.acknowledged) + len(names) + 1
    figures.lost += len({"first", *names, *load.acknowledged} - found)
    assert "other" not in found
    assert found <= {"first", *names} | {f"{worker}-{n}" for worker in range(tasks) for n in range(100_000)}


async def refuse_all(store: SqliteJournalStore) -> None:
    """See that no kind of call is answered, alone or in company."""
    for call in (
        lambda: store.get_step("run", "first"),
        lambda: store.get_step("run", "other"),
        lambda: store.get_stream("run", "nothing"),
        lambda: store.get_steps("run"),
        lambda: store.put_step("run", "first", "first"),
        lambda: store.put_stream("run", "stream", [1]),
    ):
        for answer in await asyncio.gather(*(call() for _ in range(4)), return_exceptions=True):
            with pytest.raises(StoreUnavailableError, match=SAYS):
                if not isinstance(answer, BaseException):
                    pytest.fail(f"answered {answer}")
                raise answer


@pytest.mark.parametrize("lone", [True, False], ids=["lone task", "eight tasks"])
@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_is_acknowledged_or_read_until_the_files_are_back(
    tmp_path: Path, name: str, lone: bool, figures: Figures, long: bool
) -> None:
    seed = random.randrange(2**32)
    figures.others["seed"] = seed
    chance = random.Random(seed)
    rounds = 200 if long else 3
    for number in range(rounds):
        (tmp_path / str(number)).mkdir()
        place = make_place(tmp_path / str(number))
        await endure(place, FAULTS[name], figures, chance, lone=lone)
    figures.others["rounds"] = rounds
    assert (figures.lost, figures.wrong) == (0, 0), f"seed {seed}"


PUT: Final = """
    import asyncio, sys
    from jeeves_journal import SqliteJournalStore, StoreUnavailableError

    async def main():
        async with SqliteJournalStore(sys.argv[1]) as store:
            await store.put_step("run", "first", 1)
            print("ready", flush=True)
            sys.stdin.readline()
            try:
                await store.put_step("run", "second", 2)
                print("acknowledged", flush=True)
            except StoreUnavailableError as error:
                print(error, flush=True)

    asyncio.run(main())
"""


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_put_whose_file_goes_while_it_is_committed_is_not_acknowledged(
    tmp_path: Path, suffix: str, figures: Figures
) -> None:
    disk = FailingDisk(tmp_path)
    with disk.process(PUT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
        with disk.holding_a_sync(partial(print, "go", file=process.stdin, flush=True)):
            Path(f"{disk.path}{suffix}").unlink()
        assert re.search(SAYS, process.stdout.readline())
        figures.refused += 1


COME_AND_GO: Final = """
    import asyncio, sys
    from jeeves_journal import SqliteJournalStore

    async def main():
        for number in range(int(sys.argv[2])):
            async with SqliteJournalStore(sys.argv[1]) as store:
                await store.put_step("others", f"{number}", bytes(100_000))
                assert (await store.get_step("others", f"{number}")).value == bytes(100_000)

    asyncio.run(main())
"""


async def test_a_store_is_not_refused_because_others_come_and_go(tmp_path: Path, figures: Figures, long: bool) -> None:
    path = tmp_path / "journal.db"
    times = 1000 if long else 30
    async with SqliteJournalStore(path) as store:
        await store.put_step("run", "first", 0)
        # While it is idle, and then while it is not.
        await asyncio.to_thread(printed_by, COME_AND_GO, path, times)
        assert len(await store.get_steps("others")) == times
        others = asyncio.create_task(asyncio.to_thread(printed_by, COME_AND_GO, path, times))
        while not others.done():
            with figures.timing():
                await store.put_step("run", f"{figures.acknowledged}", figures.acknowledged)
                entry = await store.get_step("run", f"{figures.acknowledged}")
            assert entry is not None
            figures.wrong += entry.value != figures.acknowledged
            figures.acknowledged += 1
        await others
    figures.lost = len({"first", *map(str, range(figures.acknowledged))} - names_in(path))
    assert (figures.lost, figures.wrong) == (0, 0)


async def test_a_program_that_copies_its_own_open_file_gets_no_acknowledgement_for_what_is_lost(
    tmp_path: Path, figures: Figures
) -> None:
    # https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_: to close
    # the file gives its locks up, and the next one to come and go takes itself for the last, and deletes the log.
    path = tmp_path / "journal.db"
    async with SqliteJournalStore(path) as store:
        for number in range(20):
            await store.put_step("run", f"{number}", number)
            figures.acknowledged += 1
        shutil.copy(path, tmp_path / "copy.db")
        await asyncio.to_thread(printed_by, COME_AND_GO, path, 1)
        assert not Path(f"{path}-wal").exists()
        await refuse_all(store)
        figures.refused += 24
    async with SqliteJournalStore(path) as store:
        await store.put_step("run", "again", "again")
        figures.lost = len({str(number) for number in range(20)} - set(await store.get_steps("run")))
    assert figures.lost == 0
