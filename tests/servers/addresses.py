"""One address that leads to one server, and later to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.servers.postgres import PostgresServer


@asynccontextmanager
async def moving_address(server: PostgresServer) -> AsyncIterator[tuple[str, Callable[[PostgresServer], None]]]:
    """The URL of an address that leads to a server, and how to let it lead new connections to another."""
    port = server.port
    relays: set[asyncio.Task[None]] = set()

    async def relay(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
        except ConnectionError:
            pass
        finally:
            target.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            writer.close()
            return
        relays.update(asyncio.ensure_future(relay(*pair)) for pair in ((reader, to_server), (from_server, writer)))

    def move_to(other: PostgresServer) -> None:
        nonlocal port
        port = other.port

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        parts = urlsplit(server.url())
        here = listener.sockets[0].getsockname()[1]
        yield parts._replace(netloc=parts.netloc.replace(f":{server.port}", f":{here}")).geturl(), move_to
    finally:
        listener.close()
        await asyncio.gather(*relays)
        await listener.wait_closed()
