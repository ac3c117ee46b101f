"""A store in a child that was forked: refused at once, and the parent goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores.engines import url_of
from tests.stores.processes import printed_by


@pytest.fixture(params=["file", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


@pytest.fixture(params=["file", "postgres"])
def lasting_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of what another process can open too."""
    return url_of(request.param, request, tmp_path)


FORK = """
    import asyncio, os, sys, time
    from jeeves_journal import JournalStore, StoreClosedError

    CALLS = {
        "get": lambda store: store.get_step("s", "n"),
        "put": lambda store: store.put_step("s", "n", "child"),
        "get_steps": lambda store: store.get_steps("s"),
        "init_schema": lambda store: store.init_schema(),
    }

    async def in_child(store):
        for name, call in CALLS.items():
            started = time.monotonic()
            try:
                await call(store)
            except StoreClosedError as error:
                assert "fork" in str(error), error
                assert time.monotonic() - started < 1
                print(name, "refused")
        await store.aclose()
        print("closed", flush=True)

    async def in_parent(store):
        await store.put_step("s", "n", "parent again")
        print((await store.get_step("s", "n")).value)
        await store.aclose()

    def fork():
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
        return child == 0
"""

REFUSED = "get refused\nput refused\nget_steps refused\ninit_schema refused\nclosed\nparent again"


def test_a_child_that_was_forked_between_two_loops_is_refused_at_once_and_the_parent_goes_on(url: str):
    script = f"""{FORK}
    store = JournalStore.from_url(sys.argv[1])
    with asyncio.Runner() as runner:
        runner.run(store.put_step("s", "n", "parent"))
        if fork():
            asyncio.run(in_child(store))
            os._exit(0)
        runner.run(in_parent(store))
    """
    assert printed_by(script, url) == REFUSED


def test_a_child_that_was_forked_after_the_loop_was_closed_is_refused_at_once_and_the_parent_goes_on(url: str):
    script = f"""{FORK}
    store = JournalStore.from_url(sys.argv[1])
    asyncio.run(store.put_step("s", "n", "parent"))
    if fork():
        asyncio.run(in_child(store))
        os._exit(0)
    asyncio.run(in_parent(store))
    """
    assert printed_by(script, url) == REFUSED


def test_a_child_may_use_a_store_that_was_only_made_before_the_fork(lasting_url: str):
    script = f"""{FORK}
    store = JournalStore.from_url(sys.argv[1])
    if fork():
        asyncio.run(in_parent(store))
        os._exit(0)
    asyncio.run(in_parent(store))
    """
    assert printed_by(script, lasting_url) == "parent again\nparent again"


def test_a_child_that_ends_its_copy_of_the_loop_closes_nothing_and_comes_to_an_end(url: str):
    script = f"""{FORK}
    async def use(store):
        await store.put_step("s", "n", "parent")
        if fork():
            sys.exit(0)
        # Not through the loop, whose selector the child has closed along with its own.
        print("child ended", flush=True)
        os._exit(0)

    asyncio.run(use(JournalStore.from_url(sys.argv[1])))
    """
    assert printed_by(script, url) == "child ended"
