"""A SQLite journal that its user may not write: in a child process without privileges, since no mode keeps root out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from jeeves_journal import SqliteJournalStore, migrations
from jeeves_journal.testing.calls import recorded
from tests.stores.processes import BECOME_NOBODY, give_to_nobody, open_folder, printed_by

pytestmark = pytest.mark.anyio

# Prints the class of the error that each call raises, or what it returned, and its message.
TRY = (
    BECOME_NOBODY
    + """
import asyncio, sys, tempfile
from pathlib import Path
from jeeves_journal import JournalError, SqliteJournalStore

async def attempt(store, call, *arguments):
    try:
        result = await getattr(store, call)(*arguments)
        print(call, "returned", getattr(result, "value", result))
    except JournalError as error:
        print(call, type(error).__name__, error)

async def main():
    with tempfile.TemporaryDirectory() as folder:  # imports what will be needed
        async with SqliteJournalStore(Path(folder) / "warm-up.db") as store:
            await store.put_step("s", "n", 1)
    become_nobody()
    try:
        store = SqliteJournalStore(sys.argv[1], timeout=3)
    except JournalError as error:
        print(type(error).__name__, error)
        return
    async with store:
        await attempt(store, "get_step", "s", "n")
        await attempt(store, "put_step", "s", "n", "changed")
        await attempt(store, "get_step", "s", "n")

asyncio.run(main())
"""
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder
        folder.chmod(0o755)


async def make_journal(path: Path) -> None:
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", "kept")


async def test_a_read_only_file_refuses_writes_and_says_why(folder: Path):
    path = folder / "journal.db"
    await make_journal(path)
    folder.chmod(0o777)
    path.chmod(0o444)
    _, put, _ = printed_by(TRY, path).splitlines()
    assert put.startswith("put_step ConfigurationError")
    assert "write" in put
    path.chmod(0o600)
    async with SqliteJournalStore(path) as store:
        assert await recorded(store, "s", "n") == "kept"


async def test_nothing_is_left_beside_a_read_only_file_that_its_owner_may_not_write(folder: Path):
    path = folder / "journal.db"
    await make_journal(path)
    folder.chmod(0o777)
    path.chmod(0o444)
    printed_by(TRY, path)
    assert [each.name for each in folder.iterdir()] == [path.name]


async def test_a_file_in_a_read_only_folder_refuses_every_call_and_says_why(folder: Path):
    path = folder / "journal.db"
    await make_journal(path)
    give_to_nobody(path)
    folder.chmod(0o555)
    for line in printed_by(TRY, path).splitlines():
        assert "ConfigurationError" in line
        assert "folder" in line
    folder.chmod(0o755)
    async with SqliteJournalStore(path) as store:
        assert await recorded(store, "s", "n") == "kept"


def test_a_new_file_in_a_read_only_folder_cannot_be_made(folder: Path):
    folder.chmod(0o555)
    for line in printed_by(TRY, folder / "journal.db").splitlines():
        assert "ConfigurationError" in line
        assert "cannot be created" in line


def test_a_folder_in_a_read_only_folder_cannot_be_made(folder: Path):
    folder.chmod(0o555)
    for line in printed_by(TRY, folder / "sub" / "journal.db").splitlines():
        assert "ConfigurationError" in line


async def test_a_file_that_may_not_even_be_read(folder: Path):
    path = folder / "journal.db"
    await make_journal(path)
    path.chmod(0o000)
    for line in printed_by(TRY, path).splitlines():
        assert "ConfigurationError" in line


def test_a_file_in_a_folder_that_may_not_be_entered(folder: Path):
    (folder / "closed").mkdir(0o000)
    for line in printed_by(TRY, folder / "closed" / "journal.db").splitlines():
        assert "ConfigurationError" in line


@pytest.mark.parametrize("revision", ["1_inline_values", "head"])
async def test_a_read_only_file_is_read_whatever_revision_that_only_adds_it_lacks(folder: Path, revision: str):
    path = folder / "journal.db"
    await asyncio.to_thread(migrations.upgrade, f"sqlite:///{path}", revision)
    async with SqliteJournalStore(path, create_tables=False) as store:
        await store.put_step("s", "n", "kept")
    folder.chmod(0o777)
    path.chmod(0o444)
    get, *_ = printed_by(TRY, path).splitlines()
    assert get == "get_step returned kept"
