"""Writes and syncs that fail: what is acknowledged later is on the disk all the same."""

from __future__ import annotations

import asyncio
import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

from jeeves_journal import SqliteJournalStore
from tests.faults.failing_disk import FailingDisk, Failure
from tests.faults.figures import Figures

# Tells on each line what came of a put. Values are of several pages, so that a batch may be cut anywhere.
PUT: Final = """
    import asyncio, random, sys, time
    from jeeves_journal import JournalError, SqliteJournalStore

    path, name, tasks, puts = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(name)

    async def put_all(store, task):
        for number in range(puts):
            step = f"{name}-{task}-{number}"
            started = time.monotonic()
            try:
                await store.put_step("run", step, (step, bytes(chance.choice((0, 100, 5000, 20_000)))))
            except JournalError as error:
                print("refused", step, time.monotonic() - started, type(error).__name__, error, flush=True)
                # A fault does not end sooner because it is asked after more often.
                await asyncio.sleep(0.001)
            else:
                print("acknowledged", step, time.monotonic() - started, flush=True)

    async def main():
        async with SqliteJournalStore(path) as store:
            await asyncio.gather(*(put_all(store, task) for task in range(tasks)))
            print("done", flush=True)
            sys.stdin.readline()

    asyncio.run(main())
"""

_ANY: Final = 2**62


class Ledger:
    """What processes were told, kept outside."""

    def __init__(self, figures: Figures) -> None:
        self.acknowledged: set[str] = set()
        self.unknown: set[str] = set()
        self.errors: set[str] = set()
        self._figures = figures

    def read_until(self, process: subprocess.Popen[str], *, acknowledged: int = _ANY, refused: int = _ANY) -> bool:
        """Read what a process tells until it was told so much; return whether it goes on."""
        assert process.stdout is not None
        since = 0
        while acknowledged > 0 and refused > 0:
            line = process.stdout.readline()
            if line == "done\n":
                return False
            assert line, process.communicate()
            kind, step, seconds, *error = line.split(maxsplit=4)
            self._figures.longest_stall = max(self._figures.longest_stall, float(seconds))
            if kind == "acknowledged":
                self.acknowledged.add(step)
                acknowledged -= 1
                since += 1
                # What was on its way is told first.
                assert refused == _ANY or since < 10_000, "nothing is refused"
            else:
                self.unknown.add(step)
                self.errors.add(error[0])
                refused -= 1
        return True

    def compare(self, path: Path) -> None:
        """Count what is missing in a journal, or not what was put."""

        async def steps() -> dict[str, object]:
            async with SqliteJournalStore(path) as store:
                return {name: entry.value for name, entry in (await store.get_steps("run")).items()}

        found = asyncio.run(steps())
        self._figures.acknowledged += len(self.acknowledged)
        self._figures.refused += len(self.unknown)
        self._figures.unknown += len(self.unknown)
        self._figures.lost += len(self.acknowledged - set(found))
        self._figures.wrong += sum(value[0] != name for name, value in found.items())


def fail_now_and_then(disk: FailingDisk, chance: random.Random, stop: threading.Event) -> None:
    failures: list[Failure] = ["fail-sync", "fail-sync", "fail-write", "full"]
    while not stop.wait(0.03 * chance.random()):
        with disk.failing(chance.choice(failures)):
            stop.wait(0.03 * chance.random())


def test_what_is_acknowledged_between_failures_survives_a_loss_of_power(
    tmp_path: Path, figures: Figures, long: bool
) -> None:
    seed = random.randrange(2**32)
    chance, rounds, puts = random.Random(seed), 200 if long else 2, 300
    figures.others |= {"seed": seed, "losses of power": rounds}
    for number in range(rounds):
        folder = tmp_path / str(number)
        folder.mkdir()
        disk, ledger, stop = FailingDisk(folder), Ledger(figures), threading.Event()
        failing = threading.Thread(target=fail_now_and_then, args=(disk, chance, stop))
        # Killed twice while the disk fails now and then, so that the log is recovered between failures too.
        for name in ("first", "second", "last"):
            with disk.process(PUT, name, 8, puts) as process:
                # The first open must succeed, and is not what is tested.
                ledger.read_until(process, acknowledged=1)
                if name == "first":
                    failing.start()
                if name == "last":
                    ledger.read_until(process)
                    stop.set()
                else:
                    ledger.read_until(process, acknowledged=chance.randrange(100, 500))
        failing.join()
        ledger.compare(disk.lose_power(folder / "after"))
    assert (figures.lost, figures.wrong) == (0, 0), f"seed {seed}"


def test_nothing_depends_on_what_a_failed_sync_has_left_in_the_cache(tmp_path: Path, figures: Figures) -> None:
    disk, ledger = FailingDisk(tmp_path), Ledger(figures)
    with disk.process(PUT, "before", 1, 10) as process:
        ledger.read_until(process)
        # Killed with its last records in the log.
    with disk.process(PUT, "refused", 1, 2000) as process:
        ledger.read_until(process, acknowledged=3)
        with disk.failing("fail-sync"):
            ledger.read_until(process, refused=3)
            process.kill()
            process.wait()
    # The log's end is in the kernel's cache, and counts as written, but is not on the disk.
    with disk.process(PUT, "after", 1, 10) as process:
        ledger.read_until(process)
    ledger.compare(disk.lose_power(tmp_path / "power"))
    assert ledger.errors == {"StoreUnavailableError"}
    assert (figures.lost, figures.wrong) == (0, 0)


def test_a_store_works_again_as_soon_as_the_disk_does(tmp_path: Path, figures: Figures) -> None:
    disk, ledger = FailingDisk(tmp_path), Ledger(figures)
    with disk.process(PUT, "steps", 8, 100_000) as process:
        failures: list[Failure] = ["fail-sync", "fail-write", "full"]
        for failure in failures:
            ledger.read_until(process, acknowledged=20)
            with disk.failing(failure):
                ledger.read_until(process, refused=20)
            mended = time.monotonic()
            ledger.read_until(process, acknowledged=1)
            figures.others[f"seconds after {failure}"] = time.monotonic() - mended
            assert time.monotonic() - mended < 2
    ledger.compare(disk.lose_power(tmp_path / "power"))
    assert ledger.errors == {"StoreUnavailableError"}
    assert (figures.lost, figures.wrong) == (0, 0)
