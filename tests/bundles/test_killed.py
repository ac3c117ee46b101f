"""A process that is killed in the middle leaves nothing that is not whole."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jeeves_journal import JournalStore, export_bundle, import_bundle
from tests.bundles.test_moving_sessions import everything
from tests.stores.processes import run_python

pytestmark = pytest.mark.anyio

EXPORT = """
import asyncio, os, signal, sys
from jeeves_journal import JournalStore, export_bundle

async def main():
    async with JournalStore.from_url(sys.argv[1]) as store:
        await export_bundle(store, sys.argv[2], progress=lambda _: os.kill(os.getpid(), signal.SIGKILL))

asyncio.run(main())
"""

# A re-iterable is read twice: to check it, and to record it.
IMPORT = """
import asyncio, os, signal, sys
from jeeves_journal import JournalStore, import_bundle

class Deadly(list):
    reads = 0
    def __iter__(self):
        self.reads += 1
        for number, each in enumerate(super().__iter__()):
            if self.reads == 2 and number == 700:
                os.kill(os.getpid(), signal.SIGKILL)
            yield each

class Killed:
    def __init__(self, store):
        self.store = store
    def __getattr__(self, name):
        return getattr(self.store, name)
    async def restore_session(self, session_id, records):
        return await self.store.restore_session(session_id, Deadly(records) if session_id == "b" else records)

async def main():
    async with JournalStore.from_url(sys.argv[1]) as store:
        await import_bundle(Killed(store), sys.argv[2])

asyncio.run(main())
"""


async def fill(url: str) -> None:
    async with JournalStore.from_url(url) as store:
        for session_id in "abc":
            await asyncio.gather(*(store.put_step(session_id, f"step-{number}", number) for number in range(1_000)))


async def test_a_killed_export_leaves_no_file(tmp_path: Path, path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    await fill(url)
    assert run_python(EXPORT, url, path).returncode == -signal.SIGKILL
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_killed_import_leaves_whole_sessions_and_goes_on(
    urls: Callable[[str], str], kind: str, path: Path
) -> None:
    there, here = urls("sqlite"), urls(kind)
    await fill(there)
    async with JournalStore.from_url(there) as store:
        await export_bundle(store, path)
        expected = await everything(store)
    killed = run_python(IMPORT, here, path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    async with JournalStore.from_url(here) as store:
        assert [(session.id, session.steps) for session in await store.sessions()] == [("a", 1_000)]
        done = await import_bundle(store, path)
        assert (done.sessions, done.unchanged, done.refused) == (2, 1, ())
        assert await everything(store) == expected
