"""The sides of the comparison, each on a database of its own: ours and ours otherwise, JeevesAgent's, and the limit."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any, Final

import asyncpg
import jeevesagent.runtime as jeevesagent

from benchmarks.load import Load, measure
from jeeves_journal import JournaledRuntime, JournalStore, Keyring, metadata
from tests.servers.postgres import PostgresServer, execute, fresh_database

VALUE: Final = os.urandom(1024)
CHUNKS: Final = [f"token {number}" for number in range(200)]
RECORDED: Final = 2_000
"""How many steps of the session ``"recorded"`` are there from the start."""
REPLAYED: Final = 1_000

_runs = count()

_UPSERT: Final = (
    "INSERT INTO journal_steps (session_id, step_name, value, created_at) VALUES ({}) "
    "ON CONFLICT (session_id, step_name) DO UPDATE SET value = excluded.value, created_at = excluded.created_at"
)
_TIME_INDEXES: Final = [index.name for table in metadata.tables.values() for index in table.indexes]
_READ: Final = "SELECT value, created_at FROM journal_steps WHERE session_id = $1 AND step_name = $2"


class Side:
    """One side on one database."""

    async def measure(self, call: str, callers: int, seconds: float) -> Load | None:
        """Measure a call, or return ``None`` where this side has none of the kind."""
        work = getattr(self, call, None)
        return None if work is None else await work(callers, seconds)


class StoreSide(Side):
    """A journal store under its own runtime."""

    def __init__(self, store: Any, runtime: Any) -> None:
        """Take a store whose tables are there."""
        self.store = store
        self.runtime = runtime

    async def prepare(self) -> None:
        """Record what is read."""
        for number in range(RECORDED):
            await self.store.put_step("recorded", f"step-{number}", VALUE)
        for number in range(REPLAYED):
            await self.store.put_step("replayed", f"step-{number}", VALUE)

    async def put_step(self, callers: int, seconds: float) -> Load:
        """Record steps of 1 KB, each caller those of a session of its own."""
        run = next(_runs)
        return await measure(
            lambda caller, number: self.store.put_step(f"run-{run}-{caller}", f"step-{number}", VALUE), callers, seconds
        )

    async def get_step(self, callers: int, seconds: float) -> Load:
        """Read steps of 1 KB at random."""
        return await measure(
            lambda caller, number: self.store.get_step("recorded", f"step-{random.randrange(RECORDED)}"),
            callers,
            seconds,
        )

    async def put_stream(self, callers: int, seconds: float) -> Load:
        """Record streams of 200 chunks."""
        run = next(_runs)
        return await measure(
            lambda caller, number: self.store.put_stream(f"run-{run}-{caller}", f"step-{number}", CHUNKS),
            callers,
            seconds,
        )

    async def replay(self, callers: int, seconds: float) -> Load:
        """Replay 1,000 steps through the runtime, once for each measured call."""

        async def never() -> None:
            raise AssertionError("a recorded step ran")

        async def replay_all(caller: int, number: int) -> None:
            runtime = self.runtime(self.store)
            async with runtime.session("replayed"):
                for step in range(REPLAYED):
                    await runtime.step(f"step-{step}", never)

        return await measure(replay_all, callers, seconds)


class SignedSide(Side):
    """Our store with keys: what a seal costs."""

    def __init__(self, store: JournalStore) -> None:
        """Take a store whose tables are there."""
        self._side = StoreSide(store, None)
        self.prepare = self._side.prepare
        self.put_step = self._side.put_step
        self.get_step = self._side.get_step


class UnindexedSide(Side):
    """Our store without the indexes by time: what they cost."""

    def __init__(self, store: JournalStore) -> None:
        """Take a store whose tables are there, without these indexes."""
        self._side = StoreSide(store, None)
        self.prepare = self._side.prepare
        self.put_step = self._side.put_step
        self.put_stream = self._side.put_stream


class RawSqlite(Side):
    """The same batches with ``executemany``, in one thread and with nothing around it."""

    def __init__(self, path: Path) -> None:
        """Name the file; a store has made it."""
        self._path = path

    async def put_step(self, callers: int, seconds: float) -> Load:
        """Write batches as large as there would be callers."""
        return await asyncio.to_thread(self._write, callers, seconds)

    def _write(self, rows: int, seconds: float) -> Load:
        upsert, run, latencies = _UPSERT.format("?, ?, ?, ?"), next(_runs), list[float]()
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            start = before = time.perf_counter()
            while before < start + seconds:
                batch = [(f"run-{run}-{row}", f"step-{len(latencies)}", VALUE, time.time()) for row in range(rows)]
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(upsert, batch)
                connection.execute("COMMIT")
                now = time.perf_counter()
                latencies.append(now - before)
                before = now
        load = Load.of(before - start, latencies)
        return Load(load.per_call / rows, load.median, load.p99)


class RawPostgres(Side):
    """Ten asyncpg connections, one statement in autocommit mode for each call, and nothing around it."""

    def __init__(self, connections: list[Any]) -> None:
        """Take connections to a database whose tables are there."""
        self._connections = connections

    async def put_step(self, callers: int, seconds: float) -> Load:
        """Upsert steps of 1 KB."""
        upsert, run = _UPSERT.format("$1, $2, $3, $4"), next(_runs)

        async def put(caller: int, number: int) -> None:
            keys = f"run-{run}-{caller}", f"step-{number}"
            await self._connections[caller].execute(upsert, *keys, VALUE, time.time())

        return await measure(put, min(callers, len(self._connections)), seconds)

    async def get_step(self, callers: int, seconds: float) -> Load:
        """Read steps of 1 KB at random."""

        async def get(caller: int, number: int) -> None:
            step = f"step-{random.randrange(RECORDED)}"
            await self._connections[caller].fetchrow(_READ, "recorded", step)

        return await measure(get, min(callers, len(self._connections)), seconds)


@asynccontextmanager
async def sqlite_sides(folder: Path) -> AsyncIterator[dict[str, Side]]:
    """Open all sides on SQLite files."""
    for name in ("unindexed", "limit"):
        async with JournalStore.from_url(f"sqlite:///{folder}/{name}.db") as made:
            await made.put_step("s", "n", VALUE)
    with closing(sqlite3.connect(folder / "unindexed.db")) as connection:
        for index in _TIME_INDEXES:
            connection.execute(f"DROP INDEX {index}")
    async with (
        JournalStore.from_url(f"sqlite:///{folder}/ours.db") as store,
        JournalStore.from_url(f"sqlite:///{folder}/signed.db", keys=Keyring.generate()) as signed_store,
        JournalStore.from_url(f"sqlite:///{folder}/unindexed.db") as unindexed_store,
    ):
        ours, signed, unindexed = (
            StoreSide(store, JournaledRuntime),
            SignedSide(signed_store),
            UnindexedSide(unindexed_store),
        )
        theirs = StoreSide(jeevesagent.SqliteJournalStore(folder / "theirs.db"), jeevesagent.JournaledRuntime)
        for side in (ours, signed, unindexed, theirs):
            await side.prepare()
        limit = RawSqlite(folder / "limit.db")
        yield {"ours": ours, "signed": signed, "unindexed": unindexed, "jeevesagent": theirs, "limit": limit}


@asynccontextmanager
async def postgres_sides(server: PostgresServer) -> AsyncIterator[dict[str, Side]]:
    """Open all sides on databases of one server, over TCP."""
    async with AsyncExitStack() as stack:
        urls = [stack.enter_context(fresh_database(server)) for _ in range(5)]
        for url in urls:
            async with JournalStore.from_url(url) as store:
                await store.init_schema()
        ours = StoreSide(await stack.enter_async_context(JournalStore.from_url(urls[0])), JournaledRuntime)
        their_store = await jeevesagent.PostgresJournalStore.connect(urls[1])
        stack.push_async_callback(their_store.aclose)
        theirs = StoreSide(their_store, jeevesagent.JournaledRuntime)
        limit_store = await stack.enter_async_context(JournalStore.from_url(urls[2]))
        signed_store = await stack.enter_async_context(JournalStore.from_url(urls[3], keys=Keyring.generate()))
        for index in _TIME_INDEXES:
            execute(urls[4], f"DROP INDEX {index}")
        unindexed_store = await stack.enter_async_context(JournalStore.from_url(urls[4]))
        signed, unindexed = SignedSide(signed_store), UnindexedSide(unindexed_store)
        for side in (ours, signed, unindexed, theirs, StoreSide(limit_store, None)):
            await side.prepare()
        connections = [await asyncpg.connect(urls[2]) for _ in range(10)]
        for connection in connections:
            stack.push_async_callback(connection.close)
        limit = RawPostgres(connections)
        yield {"ours": ours, "signed": signed, "unindexed": unindexed, "jeevesagent": theirs, "limit": limit}
