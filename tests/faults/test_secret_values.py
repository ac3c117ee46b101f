"""A value that nobody may see, as ``test_secret_passwords`` looks for a password."""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import signal
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import (
    DecodeError,
    EncodeError,
    InvalidKeyError,
    JournaledRuntime,
    JournalError,
    JournalStore,
    SqliteJournalStore,
    StoreClosedError,
    StoreError,
    StoreUnavailableError,
)
from tests.faults.figures import Figures
from tests.faults.showing import (
    VALUE,
    check,
    everything_logged,
    put,
    shown_by,
    shown_of,
)
from tests.servers.postgres import execute, run_apart
from tests.stores.engines import url_of


class Unpicklable:
    """Shows the secret when it is printed, and has something inside that no pickle holds."""

    def __init__(self) -> None:
        self.text = VALUE.text
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return VALUE.text


class Undecodable:
    """Pickles, and cannot be made again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (), {"text": VALUE.text}


@pytest.fixture(params=["memory", "file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else url_of(request.param, request, tmp_path)


@pytest.fixture(params=["file", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


def test_values_and_keys_that_no_store_takes(url: str, figures: Figures):
    for value in (Unpicklable(), Undecodable(), [VALUE.text, {"inside": Unpicklable()}], VALUE.text * 1000):
        check(figures, shown_by(put(url, value, max_value_bytes=20_000), EncodeError))
        check(figures, shown_by(stepped(url, value), EncodeError))
        check(figures, shown_by(streamed(url, value), EncodeError))

    async def with_a_bad_key() -> None:
        async with JournalStore.from_url(url) as store:
            await store.put_step("s", "\0", VALUE.text)

    check(figures, shown_by(with_a_bad_key, InvalidKeyError))


def stepped(url: str, value: Any, **options: Any) -> Callable[[], Awaitable[None]]:
    """Return a call that runs a step with this result."""

    async def result() -> Any:
        return value

    async def run() -> None:
        store = JournalStore.from_url(url, max_value_bytes=20_000, **options)
        async with JournaledRuntime(store) as runtime, runtime.session("s"):
            await runtime.step("n", result)

    return run


def streamed(url: str, value: Any) -> Callable[[], Awaitable[None]]:
    """Return a call that runs a stream with this one chunk."""

    async def chunks() -> Any:
        yield value

    async def run() -> None:
        store = JournalStore.from_url(url, max_value_bytes=20_000)
        async with JournaledRuntime(store) as runtime, runtime.session("s"):
            async for _ in runtime.stream_step("n", chunks):
                pass

    return run


def test_a_store_that_is_closed_or_in_another_loop(url: str, figures: Figures):
    async def after_the_end() -> None:
        store = JournalStore.from_url(url)
        await store.put_step("s", "n", VALUE.text)
        await store.aclose()
        await store.put_step("s", "n", VALUE.text)

    check(figures, shown_by(after_the_end, StoreClosedError))
    if url == "memory://":
        return

    async def in_another_loop() -> None:
        async with JournalStore.from_url(url) as store:
            await store.put_step("s", "n", VALUE.text)
            await asyncio.to_thread(asyncio.run, store.put_step("s", "n", VALUE.text))

    check(figures, shown_by(in_another_loop, StoreClosedError))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_store_in_the_child_of_a_fork(database_url: str, figures: Figures):
    async def in_the_child(store: Any) -> None:
        await store.put_step("s", "n", VALUE.text)

    async def fork() -> str:
        async with JournalStore.from_url(database_url) as store:
            await store.put_step("s", "n", VALUE.text)
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                # Whatever it waits for, the parent does not wait for ever.
                signal.alarm(30)
                try:
                    shown = run_apart_in_child(in_the_child(store))
                    os.write(writer, shown.encode()[:60_000])
                finally:
                    os._exit(0)
            os.close(writer)
            with os.fdopen(reader) as pipe:
                shown = await asyncio.to_thread(pipe.read)
            os.waitpid(child, 0)
            return shown

    def run_apart_in_child(work: Any) -> str:
        with everything_logged() as logged:
            try:
                asyncio.run(work)
            except StoreClosedError as error:
                return "\n".join([*logged, shown_of(error)])
        return ""

    check(figures, asyncio.run(fork()))


def test_rows_that_are_damaged(database_url: str, figures: Figures, tmp_path: Path):
    whole = pickle.dumps(VALUE.text)
    rows = {"cut": whole[:-3], "no footer": whole + b"\0", "ends like one": b"cnowhere\nNowhere\n" + whole, "odd": b"."}
    run_apart(_prepare(database_url))
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "app.db")) as connection, connection:
            for table, column in (("journal_steps", "value"), ("journal_streams", "chunks")):
                insert = f"INSERT INTO {table} (session_id, step_name, {column}, created_at) VALUES ('s', ?, ?, 1.0)"
                connection.executemany(insert, rows.items())
    else:
        for table, column in (("journal_steps", "value"), ("journal_streams", "chunks")):
            insert = f"INSERT INTO {table} (session_id, step_name, {column}, created_at) VALUES ('s', $1, $2, 1.0)"
            for row in rows.items():
                execute(database_url, insert, *row)

    async def replay(name: str) -> None:
        async with JournaledRuntime(JournalStore.from_url(database_url)) as runtime, runtime.session("s"):
            # The second one comes from what was read ahead.
            assert await runtime.step("whole", _never) == VALUE.text
            await runtime.step(name, _never)

    for name in rows:
        for ask in (
            lambda store, name=name: store.get_step("s", name),
            lambda store, name=name: store.get_stream("s", name),
            lambda store: store.get_steps("s"),
        ):
            check(figures, shown_by(_asking(database_url, ask), DecodeError))
        check(figures, shown_by(lambda name=name: replay(name), DecodeError))


async def _never() -> None:
    pytest.fail("a recorded step was run")


async def _prepare(url: str) -> None:
    async with JournalStore.from_url(url) as store:
        await store.put_step("s", "whole", VALUE.text)


def _asking(url: str, ask: Callable[[Any], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        async with JournalStore.from_url(url) as store:
            await ask(store)

    return run


def test_a_file_that_is_locked_and_a_disk_that_is_full(tmp_path: Path, figures: Figures):
    path = tmp_path / "journal.db"
    url = f"sqlite:///{path}"
    run_apart(_prepare(url))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        check(figures, shown_by(put(url, timeout=0.3), StoreUnavailableError))
        check(figures, shown_by(stepped(url, VALUE.text, timeout=0.3), StoreUnavailableError))
        other.execute("ROLLBACK")

    async def fill() -> None:
        async with SqliteJournalStore(path) as store:
            await store.put_step("s", "first", VALUE.text)
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
            try:
                for number in range(1000):
                    await store.put_step("s", f"{number}", VALUE.text * 100)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    check(figures, shown_by(fill, StoreUnavailableError))
    check(figures, shown_by(put(f"sqlite:///{tmp_path}"), JournalError))
    with_noise = tmp_path / "noise.db"
    with_noise.write_bytes(VALUE.text.encode() * 1000)
    check(figures, shown_by(put(f"sqlite:///{with_noise}"), StoreError))
