"""Writes and syncs that fail: what is acknowledged later is on the disk all the same."""

from __future__ import annotations

import asyncio
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.faults.failing_disk import FailingDisk, Failure
from tests.faults.figures import Figures
from tests.faults.ledger import Ledger

# In bytes; of several pages, so that a batch may be cut anywhere.
SIZES: Final = (0, 100, 5000, 20_000)

# Tells a ledger, line by line.
PUT: Final = """
    import asyncio, sys
    from jeeves_journal import SqliteJournalStore
    from tests.faults.figures import Figures
    from tests.faults.ledger import Ledger, Record
    from tests.faults.test_failed_syncs import SIZES

    path, name, tasks, puts = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    ledger = Ledger(Figures(), sizes=SIZES)
    ledger.tell = lambda line: print(line, flush=True)

    async def put_all(store, task):
        for number in range(puts):
            # Every third goes over the one before.
            record = Record("step", name, f"{task}-{number - (number % 3 == 2)}")
            if not await ledger.is_answered(ledger.put(store, record)):
                print("refused", ledger.figures.longest_stall, flush=True)
                # A fault does not end sooner because it is asked after more often.
                await asyncio.sleep(0.001)

    async def main():
        async with SqliteJournalStore(path) as store:
            await asyncio.gather(*(put_all(store, task) for task in range(tasks)))
            print("done", flush=True)
            sys.stdin.readline()

    asyncio.run(main())
"""

_ANY: Final = 2**62


class Process:
    """One that puts, and tells a ledger of it."""

    def __init__(self, process: subprocess.Popen[str], ledger: Ledger) -> None:
        self._process = process
        self._ledger = ledger

    def go_on(self, *, acknowledged: int = _ANY, refused: int = _ANY) -> None:
        """Note what it tells until it was told so much, or is done."""
        assert self._process.stdout is not None
        since = 0
        while acknowledged > 0 and refused > 0:
            line = self._process.stdout.readline()
            if line == "done\n":
                return
            assert line, self._process.communicate()
            was_refused, was_acknowledged = self._note(line)
            refused -= was_refused
            acknowledged -= was_acknowledged
            since += was_acknowledged
            # What was on its way is told first.
            assert refused == _ANY or since < 10_000, "nothing is refused"

    def kill(self) -> None:
        """Kill it, and note what it had told."""
        assert self._process.stdout is not None
        self._process.kill()
        for line in self._process.stdout:
            self._note(line)

    def _note(self, line: str) -> tuple[bool, bool]:
        """Return whether a call was refused, and whether a put was acknowledged."""
        figures, (word, said) = self._ledger.figures, line.rstrip("\n").split(" ", maxsplit=1)
        if word == "refused":
            figures.refused += 1
            figures.longest_stall = max(figures.longest_stall, float(said))
        else:
            self._ledger.hear(line.rstrip("\n"))
        return word == "refused", word == "acknowledged"


@contextmanager
def putting(disk: FailingDisk, ledger: Ledger, name: str, *, tasks: int, puts: int) -> Iterator[Process]:
    """A process that puts, and is killed with the block."""
    with disk.process(PUT, name, tasks, puts) as started:
        process = Process(started, ledger)
        yield process
        process.kill()


def look(path: Path, ledger: Ledger) -> None:
    """Count what is missing in a journal, or not what was put."""
    asyncio.run(ledger.verify(f"sqlite:///{path}"))


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
        disk, ledger, stop = FailingDisk(folder), Ledger(figures, sizes=SIZES), threading.Event()
        failing = threading.Thread(target=fail_now_and_then, args=(disk, chance, stop))
        # Killed twice while the disk fails now and then, so that the log is recovered between failures too.
        for name in ("first", "second", "last"):
            with putting(disk, ledger, name, tasks=8, puts=puts) as process:
                # The first open must succeed, and is not what is tested.
                process.go_on(acknowledged=1)
                if name == "first":
                    failing.start()
                if name == "last":
                    process.go_on()
                    stop.set()
                else:
                    process.go_on(acknowledged=chance.randrange(100, 500))
        failing.join()
        look(disk.lose_power(folder / "after"), ledger)
    assert (figures.lost, figures.wrong) == (0, 0), f"seed {seed}"


def test_nothing_depends_on_what_a_failed_sync_has_left_in_the_cache(tmp_path: Path, figures: Figures) -> None:
    disk, ledger = FailingDisk(tmp_path), Ledger(figures, sizes=SIZES)
    with putting(disk, ledger, "before", tasks=1, puts=10) as process:
        process.go_on()
        # Killed with its last records in the log.
    with putting(disk, ledger, "refused", tasks=1, puts=2000) as process:
        process.go_on(acknowledged=3)
        with disk.failing("fail-sync"):
            process.go_on(refused=3)
            process.kill()
    # The log's end is in the kernel's cache, and counts as written, but is not on the disk.
    with putting(disk, ledger, "after", tasks=1, puts=10) as process:
        process.go_on()
    look(disk.lose_power(tmp_path / "power"), ledger)
    assert (figures.lost, figures.wrong) == (0, 0)


def test_a_store_works_again_as_soon_as_the_disk_does(tmp_path: Path, figures: Figures) -> None:
    disk, ledger = FailingDisk(tmp_path), Ledger(figures, sizes=SIZES)
    with putting(disk, ledger, "steps", tasks=8, puts=100_000) as process:
        failures: list[Failure] = ["fail-sync", "fail-write", "full"]
        for failure in failures:
            process.go_on(acknowledged=20)
            with disk.failing(failure):
                process.go_on(refused=20)
            mended = time.monotonic()
            process.go_on(acknowledged=1)
            figures.others[f"seconds after {failure}"] = time.monotonic() - mended
            assert time.monotonic() - mended < 2
    look(disk.lose_power(tmp_path / "power"), ledger)
    assert (figures.lost, figures.wrong) == (0, 0)
