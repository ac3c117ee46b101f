"""A network that goes silent while a store connects or upgrades: no call and no close outlives the timeout by much."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import chain
from urllib.parse import urlsplit

import anyio
import pytest

from jeeves_journal import JournalStore, StoreUnavailableError
from tests.servers.postgres import ExternalPostgres, PostgresServer
from tests.stores.servers import backends, faster_than, silent_server

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def silent_after(url: str, messages: int) -> AsyncIterator[str]:
    """The URL of a way to the server on which only so many pieces of data arrive, and nothing after them."""
    parts = urlsplit(url)
    passed = 0
    visits: set[asyncio.Task[None] | None] = set()
    writers: list[asyncio.StreamWriter] = []

    async def relay(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        nonlocal passed
        while data := await source.read(65536):
            passed += 1
            if passed <= messages:
                target.write(data)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.add(asyncio.current_task())
        from_server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
        writers.extend((writer, to_server))
        answers = asyncio.ensure_future(relay(from_server, writer))
        with suppress(ConnectionError):
            await relay(reader, to_server)
        to_server.close()
        with suppress(ConnectionError):
            await answers
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    credentials = parts.netloc.rpartition("@")[0]
    try:
        yield parts._replace(netloc=f"{credentials}@127.0.0.1:{server.sockets[0].getsockname()[1]}").geturl()
    finally:
        server.close()
        # What the driver itself leaves behind: it asks over another connection to cancel a statement.
        for writer in writers:
            writer.close()
        await asyncio.wait_for(asyncio.gather(*filter(None, visits)), 5)
        await server.wait_closed()


@pytest.mark.parametrize("messages", range(3, 45, 6))
async def test_connecting_and_closing_end_though_the_server_falls_silent_on_the_way(
    migrated_postgres_url: str, messages: int
):
    async with silent_after(migrated_postgres_url, messages) as url:
        store = JournalStore.from_url(url, timeout=0.5)
        with faster_than(0.5 + 2), pytest.raises(StoreUnavailableError):
            while True:
                await store.put_step("s", "n", messages)
        with faster_than(2 * 0.5 + 2):
            await store.aclose()


@pytest.mark.parametrize("messages", range(9, 90, 12))
async def test_an_upgrade_can_be_ended_though_the_server_falls_silent_on_the_way(postgres_url: str, messages: int):
    async with silent_after(postgres_url, messages) as url:
        store = JournalStore.from_url(url, timeout=0.5)
        with faster_than(3 + 4):
            try:
                # The DDL itself has no bound: it may have much to do.
                async with asyncio.timeout(3):
                    await store.init_schema()
            except (StoreUnavailableError, TimeoutError):
                pass
            await store.aclose()


async def test_a_scope_that_cancels_again_and_again_ends_connecting_as_soon_as_one_cancellation_does():
    async with silent_server() as port:
        store = JournalStore.from_url(f"postgresql://u:p@127.0.0.1:{port}/db", timeout=20)
        with faster_than(3):
            with anyio.move_on_after(0.1) as scope:
                await store.init_schema()
            assert scope.cancelled_caught
        await store.aclose()


@pytest.mark.parametrize("where", ["location", "query"])
async def test_a_silent_host_before_a_live_one_is_passed_over_in_time(migrated_postgres_url: str, where: str):
    parts = urlsplit(migrated_postgres_url)
    async with silent_server() as port:
        credentials = parts.netloc.rpartition("@")[0]
        if where == "location":
            both = parts._replace(netloc=f"{credentials}@127.0.0.1:{port},127.0.0.1:{parts.port}")
        else:
            hosts = f"host=127.0.0.1,127.0.0.1&port={port},{parts.port}"
            both = parts._replace(netloc=f"{credentials}@", query=hosts)
        async with JournalStore.from_url(both.geturl(), timeout=8) as store:
            await store.put_step("s", "n", 1)
            with faster_than(3.5):
                # Connections of their own, which ask the live host first.
                await asyncio.gather(*(store.get_steps("s") for _ in range(3)), store.put_step("s", "m", 2))
            assert list(await store.get_steps("s")) == ["n", "m"]


async def test_of_connections_that_all_fell_silent_while_nobody_used_them_one_is_enough_to_notice(
    postgres_server: PostgresServer | ExternalPostgres, migrated_postgres_url: str
):
    if not isinstance(postgres_server, PostgresServer):
        pytest.skip("the processes of a server that we did not start may be anywhere")
    async with JournalStore.from_url(migrated_postgres_url, timeout=4) as store:
        calls = [(store.put_step("s", f"{number}", number), store.get_step("s", "0")) for number in range(600)]
        await asyncio.gather(*chain(*calls), store.get_steps("s"))
        stopped = await asyncio.to_thread(backends, migrated_postgres_url)
        assert len(stopped) > 2
        try:
            for each in stopped:
                os.kill(each, signal.SIGSTOP)
            with faster_than(6), pytest.raises(StoreUnavailableError):
                await store.put_step("s", "n", 1)
            with faster_than(3.5):
                await store.put_step("s", "n", 2)
        finally:
            for each in stopped:
                os.kill(each, signal.SIGCONT)
