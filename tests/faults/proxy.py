"""A TCP proxy on loopback, in front of a real server, that does to connections what networks do."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal
from urllib.parse import urlsplit

Swallowing = Literal["and resets", "and falls silent"]

GRACE: Final = 2.0
"""Seconds that a call may take beyond its timeout, whatever the network does."""

# What the server says of a write that is durable by now: the tags of an INSERT that stands alone, and of a COMMIT.
_COMMITTED = b"INSERT 0 ", b"COMMIT\x00"


class Line:
    """One connection through the proxy: what the client says on one side, what the server answers on the other.

    Attributes:
        ended: Set once both sides have ended.
        is_in_pieces: Whether only a part of what the client said last was passed on yet.
    """

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._passes = asyncio.Event()
        self._passes.set()
        self._swallowing: Swallowing | None = None
        self.ended = asyncio.Event()
        self.is_in_pieces = False

    def reset(self) -> None:
        """End both sides as a crashed machine or a firewall does: with RST instead of FIN."""
        self._passes.set()
        for side in (self._client, self._server):
            raw = side.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.transport.abort()

    def half_close(self, *, towards_client: bool) -> None:
        """Say in one direction that nothing more will come, and go on in the other."""
        side = self._client if towards_client else self._server
        with suppress(OSError, RuntimeError):
            side.write_eof()

    def silence(self) -> None:
        """Pass nothing on in either direction. What is said meanwhile is kept, and goes on its way afterwards."""
        self._passes.clear()

    def resume(self) -> None:
        """Pass on what was kept, also if nobody waits for it any more."""
        self._passes.set()

    def swallow_next_answer(self, then: Swallowing | None) -> None:
        """Let the server commit once more, and keep its answer from the client; or ``None`` to let it through."""
        self._swallowing = then

    async def pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        is_answer = target is self._client
        with suppress(OSError, RuntimeError):
            while data := await source.read(65536):
                self._proxy.heard(is_answer)
                if is_answer and self._swallowing and any(tag in data for tag in _COMMITTED):
                    self._proxy.swallowed += 1
                    if self._swallowing == "and resets":
                        self.reset()
                        return
                    self.silence()
                self.is_in_pieces = self.is_in_pieces if is_answer else self._proxy.dribbles
                for piece in [data[n : n + 1] for n in range(len(data))] if self._proxy.dribbles else [data]:
                    await self._proxy.hold_up()
                    await self._passes.wait()
                    target.write(piece)
                    await target.drain()
                if not is_answer:
                    self.is_in_pieces = False
            target.write_eof()


class Proxy:
    """Relays connections to a server, well or badly.

    Attributes:
        lines: The connections that are open now.
        opened: How many there ever were.
        swallowed: How many answers to a commit the client never got.
        delays: Seconds by which each piece is held up, at least and at most.
        dribbles: Whether everything goes on byte by byte.
        accepts_only: Whether new connections are taken and nothing is ever said on them.
        is_silent: Whether nothing is passed on, in either direction and on any connection.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._tasks: set[asyncio.Task[None]] = set()
        self._awaited: list[tuple[bool, asyncio.Future[None]]] = []
        self.lines: list[Line] = []
        self.url = ""
        self.opened = self.swallowed = 0
        self.delays = (0.0, 0.0)
        self.dribbles = self.accepts_only = self.is_silent = False

    def silence(self) -> None:
        """Fall silent on every connection, and on new ones."""
        self.is_silent = True
        for line in self.lines:
            line.silence()

    def resume(self, *, old_lines: bool = True) -> None:
        """Serve new connections again, and pass on what was kept on the old ones, unless those are to stay silent."""
        self.is_silent = False
        for line in self.lines if old_lines else ():
            line.resume()

    def heard(self, is_answer: bool) -> None:
        """Tell whoever waits for it that somebody spoke."""
        for entry in [entry for entry in self._awaited if entry[0] == is_answer]:
            self._awaited.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)

    async def next_words(self, *, of_server: bool) -> None:
        """Wait until the server, or a client, says something more."""
        future = asyncio.get_running_loop().create_future()
        self._awaited.append((of_server, future))
        await future

    async def hold_up(self) -> None:
        """Take as long as ``delays`` says."""
        await asyncio.sleep(random.uniform(*self.delays))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.opened += 1
        server: asyncio.StreamWriter | None = None
        try:
            if self.accepts_only:
                # Whatever is said is heard by nobody.
                while await reader.read(65536):
                    pass
                return
            answers, server = await asyncio.open_connection(self._parts.hostname, self._parts.port)
            line = Line(self, writer, server)
            if self.is_silent:
                line.silence()
            self.lines.append(line)
            try:
                await asyncio.gather(line.pass_on(reader, server), line.pass_on(answers, writer))
            finally:
                self.lines.remove(line)
                line.ended.set()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for side in (writer, server):
                if side is not None:
                    side.transport.abort()
            self._tasks.discard(task)


@asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[Proxy]:
    """A proxy on a free port; its ``url`` leads through it to the same database."""
    proxy = Proxy(url)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    parts = urlsplit(url)
    credentials = parts.netloc.rpartition("@")[0]
    port = server.sockets[0].getsockname()[1]
    proxy.url = parts._replace(netloc=f"{credentials}@127.0.0.1:{port}").geturl()
    try:
        yield proxy
    finally:
        server.close()
        for task in tuple(proxy._tasks):
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
        await server.wait_closed()
