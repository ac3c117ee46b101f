"""A store that nobody closes: nothing is lost, and the process ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jeeves_journal import JournalStore
from tests.stores.engines import url_of
from tests.stores.processes import complaints, run_python

DEV = ("-X", "dev", "-W", "error")


@pytest.fixture(params=["file", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


@pytest.fixture(params=["file", "postgres"])
def lasting_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of what another process can open too."""
    return url_of(request.param, request, tmp_path)


NEVER_CLOSED = """
    import asyncio, sys
    from jeeves_journal import JournalStore

    async def main(store):
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(20)))
        await store.get_steps("s")

    store = JournalStore.from_url(sys.argv[1])
"""

ENDINGS = {
    "asyncio.run": "asyncio.run(main(store))",
    "asyncio.run twice": "asyncio.run(main(store)); asyncio.run(main(store))",
    "a local store": "asyncio.run(main(JournalStore.from_url(sys.argv[1]))); del store",
    "loop closed": "loop = asyncio.new_event_loop(); loop.run_until_complete(main(store)); loop.close()",
    "loop left open": "loop = asyncio.new_event_loop(); loop.run_until_complete(main(store))",
    "sys.exit": "loop = asyncio.new_event_loop(); loop.run_until_complete(main(store)); loop.close(); sys.exit(0)",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_store_that_is_never_closed_lets_the_process_end_and_loses_nothing(lasting_url: str, ending: str):
    done = run_python(f"{NEVER_CLOSED}\n    {ENDINGS[ending]}", lasting_url, flags=DEV, timeout=30)
    assert done.returncode == 0, done.stderr
    # A loop that is not closed complains about itself, and so do its pipes and sockets.
    assert ending == "loop left open" or done.stderr.count("ResourceWarning") <= 1, done.stderr
    for complaint in ("never retrieved", "was destroyed", "never awaited", "StoreError"):
        assert complaint not in done.stderr

    async def read() -> int:
        async with JournalStore.from_url(lasting_url) as store:
            return len(await store.get_steps("s"))

    assert asyncio.run(read()) == 20


def test_a_store_that_is_closed_leaves_nothing_to_complain_about(url: str):
    script = f"""{NEVER_CLOSED}
    async def use_and_close():
        async with store:
            await main(store)
            await store.put_stream("s", "n", [1])
            await store.get_step("s", "unknown")

    asyncio.run(use_and_close())
    """
    done = run_python(script, url, flags=DEV)
    # In debug mode asyncio names every callback that takes long.
    said = [line for line in complaints(done.stderr) if not line.startswith("Executing <")]
    assert (done.returncode, done.stdout, said) == (0, "", [])


def test_an_in_memory_sqlite_store_that_is_never_closed_lets_the_process_end():
    done = run_python(f"{NEVER_CLOSED}\n    {ENDINGS['asyncio.run']}", "sqlite:///:memory:", flags=DEV, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ResourceWarning") <= 1, done.stderr


def test_a_fatal_error_in_the_body_lets_the_process_end(lasting_url: str):
    script = f"""{NEVER_CLOSED}
    async def fail():
        await main(store)
        raise SystemExit(3)

    asyncio.run(fail())
    """
    assert run_python(script, lasting_url, timeout=30).returncode == 3


INTERRUPTED = """
    import asyncio, gc, sys
    from pathlib import Path
    from threading import enumerate
    from jeeves_journal import JournalStore

    async def main(turns):
        store = JournalStore.from_url(sys.argv[1])
        await asyncio.gather(*(call for _ in range(9) for call in (store.put_step("s", "n", 1), store.get_steps("s"))))
        closing = asyncio.ensure_future(store.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)

    for turns in range(0, 30, 3):
        asyncio.run(main(turns))
        gc.collect()
    for thread in enumerate():
        if thread.daemon:
            thread.join(5)
    print([path.name for path in Path("/proc/self/fd").iterdir() if "journal.db" in str(path.resolve())])
"""


def test_a_closing_that_the_end_of_the_loop_interrupts_leaves_no_file_open(tmp_path: Path):
    done = run_python(INTERRUPTED, f"sqlite:///{tmp_path}/journal.db", flags=DEV)
    said = [line for line in complaints(done.stderr) if not line.startswith("Executing <")]
    assert (done.returncode, done.stdout, said) == (0, "[]\n", [])
