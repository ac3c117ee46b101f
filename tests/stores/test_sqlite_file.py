"""A journal in a SQLite file: its durability, its mode, its path and its locks."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from jeeves_journal import JournalError, JournalStore, SQLAlchemyJournalStore, SqliteJournalStore, StoreUnavailableError
from jeeves_journal.options import LONGEST_TIMEOUT
from jeeves_journal.testing.calls import recorded

pytestmark = pytest.mark.anyio

NAMES = [
    "with space.db",
    "what?.db",
    "what?mode=memory&timeout=x.db",
    "100%.db",
    "%20.db",
    "hash#tag.db",
    "größe-日本-🗒.db",
    'it\'s "quoted".db',
    "plus+and&.db",
    "semi;colon=.db",
    "back\\slash.db",
    "file:name.db",
    ":memory:.db",
    "-dash",
    "two\nlines.db",
    " ",
]
NAMED = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


class Spy:
    """Sees every connection that is opened and every statement that runs on it."""

    def __init__(self, connect: Callable[..., sqlite3.Connection]) -> None:
        self.connections: list[sqlite3.Connection] = []
        self.statements: list[str] = []
        self._connect = connect

    def connect(self, *arguments: object, **options: object) -> sqlite3.Connection:
        connection = self._connect(*arguments, **{**options, "check_same_thread": False})
        connection.set_trace_callback(self.statements.append)
        self.connections.append(connection)
        return connection

    def levels_of_synchronous(self) -> set[int]:
        """Ask every connection that is still open."""
        levels = set()
        for connection in self.connections:
            with suppress(sqlite3.ProgrammingError):  # it is closed
                levels.add(connection.execute("PRAGMA synchronous").fetchone()[0])
        return levels


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy(sqlite3.connect)
    monkeypatch.setattr(sqlite3, "connect", spy.connect)
    return spy


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_file_is_in_wal_mode(path: Path):
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_every_connection_syncs_each_commit(path: Path, spy: Spy):
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        await store.get_step("s", "n")
        levels = spy.levels_of_synchronous()
    assert levels == {2}, "2 is FULL"


async def test_puts_take_the_write_lock_before_they_do_anything_else(path: Path, spy: Spy):
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        spy.statements.clear()
        await asyncio.gather(store.put_step("s", "n", 2), store.put_step("s", "m", 2))
        words = [statement.split()[0:2] for statement in spy.statements if not statement.startswith("PRAGMA")]
    assert [first for first, *_ in words] == ["BEGIN", "INSERT", "INSERT", "COMMIT"]
    assert words[0] == ["BEGIN", "IMMEDIATE"]


async def test_a_lone_put_is_one_statement_and_thus_a_transaction_by_itself(path: Path, spy: Spy):
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        spy.statements.clear()
        await store.put_step("s", "n", 2)
        words = [statement.split()[0] for statement in spy.statements if not statement.startswith("PRAGMA")]
    assert words == ["INSERT"]


async def test_a_file_that_goes_while_a_connection_is_opened_is_not_made_anew_and_keeps_its_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    # An empty file in its place would make SQLite delete the log: a database without pages has none.
    connect, aside = sqlite3.connect, path.with_name("aside.db")

    def connect_when_it_is_gone(*arguments: Any, **options: Any) -> sqlite3.Connection:
        # Two threads connect at the same time.
        with suppress(FileNotFoundError):
            path.rename(aside)
        return connect(*arguments, **options)

    async with SqliteJournalStore(path, timeout=5) as store:
        await store.put_step("s", "n", 1)
        monkeypatch.setattr(sqlite3, "connect", connect_when_it_is_gone)
        # Those that begin together take several connections, and only one was opened so far.
        answers = await asyncio.gather(store.get_steps("s"), store.sessions(), store.usage(), return_exceptions=True)
        for answer in answers:
            assert isinstance(answer, StoreUnavailableError)
            assert "deleted or replaced" in str(answer)
        monkeypatch.undo()
        assert not path.exists()
        aside.rename(path)
        await store.put_step("s", "m", 2)
        assert list(await store.get_steps("s")) == ["n", "m"]


def refuse_commits(action: int, what: str | None, *_: object) -> int:
    is_commit = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
    return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK


async def test_an_operation_whose_commit_fails_leaves_no_transaction_to_the_next_put(path: Path, spy: Spy):
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        await store.sessions()
        for connection in spy.connections:
            connection.set_authorizer(refuse_commits)
        with pytest.raises(JournalError):
            await store.delete_step("s", "n")
        for connection in spy.connections:
            connection.set_authorizer(None)
        await store.put_step("s", "m", 2)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT step_name FROM journal_steps ORDER BY 1").fetchall() == [("m",), ("n",)]


async def test_a_read_takes_no_write_lock(path: Path):
    async with SqliteJournalStore(path, timeout=5) as store:
        await store.put_step("s", "n", 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await recorded(store, "s", "n") == 1


@pytest.mark.usefixtures("open_umask")
async def test_only_the_owner_may_read_a_new_journal_and_its_side_files(path: Path):
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        modes = {file.name: mode_of(file) for file in path.parent.iterdir()}
    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}


@pytest.mark.usefixtures("open_umask")
async def test_the_mode_of_a_file_that_was_there_is_kept(path: Path):
    path.touch(0o640)
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        modes = {mode_of(file) for file in path.parent.iterdir()}
    assert modes == {0o640}


async def test_missing_folders_are_made(tmp_path: Path):
    path = tmp_path / "a" / "b c" / "ü" / "journal.db"
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
    assert path.is_file()


async def test_nothing_is_made_before_the_first_call(tmp_path: Path):
    async with JournalStore.from_url(f"sqlite:///{tmp_path}/folder/journal.db"):
        pass
    assert not list(tmp_path.iterdir())


async def test_the_named_store_makes_the_folders_at_once_and_nothing_else(tmp_path: Path):
    async with SqliteJournalStore(tmp_path / "folder" / "journal.db"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


@NAMED
async def test_any_name_is_taken_as_it_is(tmp_path: Path, name: str):
    async with SqliteJournalStore(tmp_path / name) as store:
        await store.put_step("s", "n", 1)
        assert store.path == tmp_path / name
    assert [file.name for file in tmp_path.iterdir()] == [name]


@NAMED
async def test_any_name_can_be_percent_encoded_into_a_url(tmp_path: Path, name: str):
    async with JournalStore.from_url(f"sqlite+aiosqlite:///{tmp_path}/{quote(name)}") as store:
        await store.put_step("s", "n", 1)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("make", [SqliteJournalStore, lambda path: JournalStore.from_url(f"sqlite:///{path}")])
async def test_a_name_that_is_not_utf8_is_opened_as_it_is(
    tmp_path: Path, make: Callable[[Path], SQLAlchemyJournalStore]
):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.db"))
    async with make(path) as store:
        await store.put_step("s", "n", 1)
        await store.get_step("s", "n")
    assert [os.fsencode(file.name) for file in tmp_path.iterdir()] == [b"caf\xe9.db"]


@pytest.mark.parametrize("link_to", ["target.db", "folder/target.db"])
async def test_a_symbolic_link_is_followed(tmp_path: Path, link_to: str):
    (tmp_path / "folder").mkdir()
    path = tmp_path / "journal.db"
    path.symlink_to(link_to)
    for number in range(2):
        async with SqliteJournalStore(path) as store:
            await store.put_step("s", f"{number}", number)
            assert len(await store.get_steps("s")) == number + 1
    assert path.is_symlink()
    assert (tmp_path / link_to).is_file()


@pytest.mark.parametrize("make", [SqliteJournalStore, lambda path: JournalStore.from_url(f"sqlite:///{path}")])
async def test_a_relative_path_means_the_folder_in_which_the_store_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[str], SqliteJournalStore]
):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    async with make("journal.db") as store:
        monkeypatch.chdir(tmp_path / "there")
        await store.put_step("s", "n", 1)
    assert (tmp_path / "here" / "journal.db").is_file()
    assert not list((tmp_path / "there").iterdir())


async def test_a_journal_in_memory_leaves_no_file_anywhere_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite+aiosqlite:///:memory:", "sqlite:///:memory:", "sqlite://"):
        async with JournalStore.from_url(url) as store:
            await store.put_step("s", "n", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
async def test_a_write_under_anothers_lock_fails_in_time_and_says_so_and_works_again_after_it(path: Path, lock: str):
    async with SqliteJournalStore(path, timeout=2) as store:
        await store.put_step("s", "n", 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(lock)
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError, match="lock") as failed:
                await store.put_step("s", "n", 2)
            assert time.monotonic() - started < 4
            assert (failed.value.session_id, failed.value.step_name) == ("s", "n")
        await store.put_step("s", "n", 3)
        assert await recorded(store, "s", "n") == 3


async def test_a_first_open_under_anothers_lock_fails_in_time_and_works_again_after_it(path: Path):
    async with SqliteJournalStore(path, timeout=2) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError, match="lock"):
                await store.put_step("s", "n", 1)
            assert time.monotonic() - started < 4
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2


@pytest.mark.parametrize("timeout", [20, LONGEST_TIMEOUT])
async def test_a_write_waits_for_a_lock_that_goes_away_in_time(path: Path, timeout: float):
    async with SqliteJournalStore(path, timeout=timeout) as store:
        await store.put_step("s", "n", 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.put_step, "s", "n", 2)
                await anyio.wait_all_tasks_blocked()
                other.execute("ROLLBACK")
        assert await recorded(store, "s", "n") == 2
