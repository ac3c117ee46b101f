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
from typing import Final

import pytest

from jeeves_journal import SqliteJournalStore, StoreUnavailableError
from tests.faults.failing_disk import FailingDisk
from tests.faults.figures import Figures
from tests.faults.ledger import Ledger, Record
from tests.faults.load import under_load
from tests.faults.replacing import FAULTS, Place, Undo, make_other, make_place
from tests.stores.processes import printed_by

pytestmark = pytest.mark.anyio

SAYS: Final = r"-wal or its -shm was deleted or replaced while open.*put the files back, or open a new store"

# What only ``refuse_all`` puts, in vain.
REFUSED: Final = frozenset({Record("step", "refused", "step")})


def steps_in(path: Path) -> set[Record]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT session_id, step_name FROM journal_steps")
        return {Record("step", session, name) for session, name in rows}


async def strike(place: Place, fault: Callable[[Place], Undo], seconds: float) -> tuple[float, Undo]:
    """Let the fault happen in another thread, after a moment; return when it was complete, and how to mend it."""

    def wait_and_strike() -> tuple[float, Undo]:
        time.sleep(seconds)
        undo = fault(place)
        return time.monotonic(), undo

    return await asyncio.to_thread(wait_and_strike)


async def endure(
    place: Place, fault: Callable[[Place], Undo], figures: Figures, chance: random.Random, *, lone: bool
) -> None:
    """Let a fault strike a store under load, see what it says, mend the fault, and count what is there."""
    await make_other(place.other)
    ledger, tasks = Ledger(figures), 1 if lone else 8
    # A timeout, since what is refused must not be waited for.
    async with SqliteJournalStore(place.path, timeout=5) as store:
        await ledger.put(store, Record("step", "run", "first"))
        # The second connection, and the third, are opened under load: some of them after the fault.
        async with under_load(store, ledger, seed=chance.random(), writers=tasks, readers=0) as load:
            struck_at, undo = await strike(place, fault, 0.1 * chance.random())
            # More than were under way when it struck.
            await load.refusals(tasks + 1)
            await refuse_all(store)
        assert load.latest_answered < struck_at
        undo()
        # Every connection that the store has or had by then is of the right file.
        after = [Record("step", "run", f"after-{number}") for number in range(8)]
        await asyncio.gather(*(ledger.put(store, record) for record in after))
        await asyncio.gather(*(ledger.get(store, record) for record in after))
    found, issued = steps_in(place.path), {record for record in ledger.issued if record.kind == "step"}
    assert issued & ledger.acknowledged.keys() <= found <= issued | REFUSED
    await ledger.verify(f"sqlite:///{place.path}")


async def refuse_all(store: SqliteJournalStore) -> None:
    """See that no kind of call is answered, alone or in company."""
    for call in (
        lambda: store.get_step("run", "first"),
        lambda: store.get_step("run", "other"),
        lambda: store.get_stream("run", "nothing"),
        lambda: store.get_steps("run"),
        lambda: store.put_step("refused", "step", 1),
        lambda: store.put_stream("refused", "stream", [1]),
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
    path, ledger = tmp_path / "journal.db", Ledger(figures)
    times = 1000 if long else 30
    async with SqliteJournalStore(path) as store:
        await ledger.put(store, Record("step", "run", "first"))
        # While it is idle, and then while it is not.
        await asyncio.to_thread(printed_by, COME_AND_GO, path, times)
        assert len(await store.get_steps("others")) == times
        others = asyncio.create_task(asyncio.to_thread(printed_by, COME_AND_GO, path, times))
        while not others.done():
            record = Record("step", "run", f"{figures.acknowledged}")
            await ledger.put(store, record)
            await ledger.get(store, record)
        await others
    assert steps_in(path) >= set(ledger.acknowledged)
    await ledger.verify(f"sqlite:///{path}")
    assert (figures.lost, figures.wrong) == (0, 0)


async def test_a_program_that_copies_its_own_open_file_gets_no_acknowledgement_for_what_is_lost(
    tmp_path: Path, figures: Figures
) -> None:
    # https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_: to close
    # the file gives its locks up, and the next one to come and go takes itself for the last, and deletes the log.
    path, ledger = tmp_path / "journal.db", Ledger(figures)
    async with SqliteJournalStore(path) as store:
        for number in range(20):
            await ledger.put(store, Record("step", "run", f"{number}"))
        shutil.copy(path, tmp_path / "copy.db")
        await asyncio.to_thread(printed_by, COME_AND_GO, path, 1)
        assert not Path(f"{path}-wal").exists()
        await refuse_all(store)
        figures.refused += 24
    async with SqliteJournalStore(path) as store:
        await ledger.put(store, Record("step", "run", "again"))
        await ledger.compare(store)
    assert (figures.lost, figures.wrong) == (0, 0)
