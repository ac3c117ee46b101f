"""A journal may be far larger than what moves it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jeeves_journal import StoredRecord, export_bundle, import_bundle
from tests.bundles.conftest import MakeStore
from tests.stores.processes import run_python

# In MiB.
SESSION = 160
HELD_BY_EXPORT, HELD_BY_IMPORT = 64, 128

SCRIPT = """
import asyncio, re, sys
from jeeves_journal import JournalStore, StoredRecord, export_bundle, import_bundle

there, here, path, mebibytes = sys.argv[1:]

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024

class Records:
    def __iter__(self):
        for number in range(int(mebibytes)):
            yield StoredRecord("step", "run", f"step-{number}", number.to_bytes(4, "big") * 262_144, float(number))

async def main():
    async with JournalStore.from_url(there) as store:
        await store.restore_session("run", Records())
        restored = peak()
        await export_bundle(store, path)
        exported = peak()
    async with JournalStore.from_url(here) as store:
        assert (await import_bundle(store, path)).records == int(mebibytes)
        assert (await import_bundle(store, path)).unchanged == 1
    print(restored, exported, peak())

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_session_that_is_larger_than_what_is_held(urls: Callable[[str], str], kind: str, path: Path) -> None:
    before = _peaks("memory://", "memory://", path.with_name("small"), 1)[-1]
    restored, exported, imported = _peaks(urls(kind), urls(kind), path, SESSION)
    assert exported - before < HELD_BY_EXPORT
    assert restored - before < HELD_BY_EXPORT
    assert imported - before < HELD_BY_IMPORT


def _peaks(*arguments: object) -> list[int]:
    done = run_python(SCRIPT, *arguments, timeout=240)
    assert done.returncode == 0, done.stderr
    return [int(each) for each in done.stdout.split()]


@pytest.mark.anyio
async def test_others_go_on_while_a_bundle_is_made_and_read(make_store: MakeStore, path: Path) -> None:
    there, here = make_store("memory"), make_store("sqlite")
    data = bytes(range(256)) * 4_000
    for session_id in "abcdefgh":
        records = [StoredRecord("step", session_id, str(number), data, float(number)) for number in range(8)]
        await there.restore_session(session_id, records)
    assert await _longest_pause(export_bundle(there, path)) < 0.25
    assert await _longest_pause(import_bundle(here, path)) < 0.25


async def _longest_pause(work: Awaitable[object]) -> float:
    """Return the longest time in which nobody else had a turn, as a share of the whole."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    began = latest = loop.time()
    longest = 0.0
    while not task.done():
        await asyncio.sleep(0.001)
        longest, latest = max(longest, loop.time() - latest), loop.time()
    await task
    return longest / (loop.time() - began)
