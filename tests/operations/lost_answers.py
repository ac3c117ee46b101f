"""Commits whose answer is lost, and commits that are lost themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.faults.proxy import Proxy, proxy_before
from tests.stores.servers import hanging_up_once


@asynccontextmanager
async def losing_an_answer(
    url: str, meanwhile: Callable[[], object] = lambda: None, *, since: asyncio.Event | None = None
) -> AsyncIterator[str]:
    """The URL of a way to a server on which the answer to the first commit is lost, and the connection with it.

    ``meanwhile`` is called after the commit, before anybody can do anything about it. The first is that ``since`` an
    event, if there is one.
    """
    async with proxy_before(url) as proxy:
        tasks = asyncio.ensure_future(_swallow(proxy, since)), asyncio.ensure_future(_then(proxy, meanwhile))
        yield proxy.url
        # Another connection that was open may have lost the answer to the end of a read too.
        assert proxy.swallowed >= 1
        await asyncio.gather(*tasks)


async def _swallow(proxy: Proxy, since: asyncio.Event | None) -> None:
    if since is not None:
        await since.wait()
    while not proxy.swallowed:
        await proxy.next_words(of_server=False)
        for line in proxy.lines if not proxy.swallowed else ():
            line.swallow_next_answer("and resets")
    # On others that are kept, a commit is yet to come.
    for line in proxy.lines:
        line.swallow_next_answer(None)


async def _then(proxy: Proxy, meanwhile: Callable[[], object]) -> None:
    while not proxy.swallowed:
        await proxy.next_words(of_server=True)
    meanwhile()


@asynccontextmanager
async def losing_a_commit(url: str) -> AsyncIterator[str]:
    """The URL of a way to a server on which the first commit never arrives."""
    async with hanging_up_once(url, b"COMMIT") as relayed:
        yield relayed


WAYS = [losing_an_answer, losing_a_commit]
