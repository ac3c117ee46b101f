"""What the Postgres tests do to a server, past the store."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import asyncpg

from tests.servers.postgres import execute


def with_user(url: str, user: str, password: str) -> str:
    """Return the URL for another user."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{password}@{place}").geturl()


def with_database(url: str, database: str) -> str:
    """Return the URL of another database of the same server."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()


def database_of(url: str) -> str:
    """Return the name of a URL's database."""
    return urlsplit(url).path[1:]


def backends(url: str) -> list[int]:
    """Return the process ids of the database's other connections."""
    # Autovacuum's workers are listed with the database that they are at work in.
    query = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    return [row["pid"] for row in execute(url, query)]


def terminate_backends(url: str) -> int:
    """End every other connection to the database, as an administrator would; return how many there were."""
    pids = backends(url)
    for pid in pids:
        execute(url, "SELECT pg_terminate_backend($1, 5000)", pid)
    return len(pids)


@contextmanager
def limited_user(url: str) -> Iterator[str]:
    """The URL of the database for a new user who may do nothing but connect."""
    name, password = f"jj_{secrets.token_hex(4)}", "only-for-tests"
    execute(url, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    try:
        execute(url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        yield with_user(url, name, password)
    finally:
        execute(url, f"DROP OWNED BY {name}")
        execute(url, f"DROP ROLE {name}")


@asynccontextmanager
async def locked_tables(url: str) -> AsyncIterator[None]:
    """Both tables are locked by somebody else's transaction."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE journal_steps, journal_streams IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that accepts connections and never answers."""
    accepted: list[asyncio.StreamWriter] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in accepted:
            writer.close()
        await server.wait_closed()


@asynccontextmanager
async def hanging_up_once(url: str, word: bytes) -> AsyncIterator[str]:
    """The URL of the server behind a relay that ends one connection, at the first word of this kind that it hears."""
    ended = asyncio.Event()
    relays: set[asyncio.Task[None]] = set()

    async def relay(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, listens: bool) -> None:
        try:
            while heard := await source.read(65536):
                if listens and word in heard and not ended.is_set():
                    ended.set()
                    break
                target.write(heard)
        finally:
            target.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
        for pair in ((reader, server_writer, True), (server_reader, writer, False)):
            relays.add(asyncio.ensure_future(relay(pair[0], pair[1], listens=pair[2])))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        parts = urlsplit(url)
        credentials = parts.netloc.rpartition("@")[0]
        yield parts._replace(netloc=f"{credentials}@127.0.0.1:{server.sockets[0].getsockname()[1]}").geturl()
        assert ended.is_set(), f"nobody said {word!r}"
    finally:
        server.close()
        await asyncio.gather(*relays)
        await server.wait_closed()


@asynccontextmanager
async def slow_to_hang_up(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The URL of a way to a server on which the end of a connection never arrives, and an event that tells of it."""
    parts = urlsplit(url)
    hung_up = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: asyncio.Event) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        end.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
        writers.extend((writer, to_server))
        await asyncio.gather(pass_on(reader, to_server, asyncio.Event()), pass_on(from_server, writer, hung_up))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")).geturl(), hung_up
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def faster_than(seconds: float) -> Iterator[None]:
    """Fail if the body takes longer."""
    started = time.monotonic()
    yield
    taken = time.monotonic() - started
    assert taken < seconds, f"it took {taken:.1f} s"


async def most_backends(url: str, work: Callable[[], asyncio.Future[object]]) -> int:
    """Return how many connections the database had at most while work was done."""
    watcher = await asyncpg.connect(url)
    try:
        future, most = work(), 0
        while not future.done():
            query = (
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            most = max(most, await watcher.fetchval(query))
        await future
        return most
    finally:
        await watcher.close()
