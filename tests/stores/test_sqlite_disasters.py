"""A full disk, a killed process: what a SQLite file acknowledged is there afterwards."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from jeeves_journal import SqliteJournalStore
from tests.stores.processes import environment, printed_by

FILL = """
    import asyncio, resource, sys
    from jeeves_journal import JournalError, SqliteJournalStore, StoreUnavailableError

    async def main():
        async with SqliteJournalStore(sys.argv[1]) as store:
            await store.put_step("s", "first", b"")
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            acknowledged = 1
            try:
                while True:
                    await store.put_step("s", f"{acknowledged}", b"x" * 1000)
                    acknowledged += 1
            except StoreUnavailableError as error:
                print(acknowledged)
                print(error)
            assert len(await store.get_steps("s")) == acknowledged
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await store.put_step("s", "room again", b"")

    asyncio.run(main())
"""

PUT_FOREVER = """
    import asyncio, sys
    from jeeves_journal import SqliteJournalStore

    async def work(store, worker):
        number = 0
        while True:
            name = f"{worker}-{number}"
            await store.put_step("s", name, name)
            print(name, flush=True)
            number += 1

    async def main():
        async with SqliteJournalStore(sys.argv[1]) as store:
            await asyncio.gather(*(work(store, worker) for worker in range(16)))

    asyncio.run(main())
"""


async def names_in(path: Path) -> set[str]:
    async with SqliteJournalStore(path) as store:
        return set(await store.get_steps("s"))


def test_a_disk_that_is_full_is_a_store_that_is_unavailable_until_there_is_room(tmp_path: Path):
    path = tmp_path / "journal.db"
    acknowledged, message = printed_by(FILL, path).splitlines()
    assert "room" in message or "disk" in message
    names = asyncio.run(names_in(path))
    assert names == {"first", "room again", *(f"{number}" for number in range(1, int(acknowledged)))}


@pytest.mark.parametrize("acks", [1, 50, 300])
def test_a_process_that_is_killed_in_the_middle_loses_nothing_that_was_acknowledged(tmp_path: Path, acks: int):
    path = tmp_path / "journal.db"
    command = [sys.executable, "-c", dedent(PUT_FOREVER), path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(acks)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
    # The last line may be cut.
    whole = {line.strip() for line in acknowledged if line.endswith("\n")}
    assert len(whole) >= acks
    assert whole <= asyncio.run(names_in(path))
