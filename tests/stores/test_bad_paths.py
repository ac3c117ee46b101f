"""SQLite paths that no journal can be kept at: the right error, and nothing that was there is changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import ConfigurationError, JournalError, JournalStore, SqliteJournalStore, StoreError
from jeeves_journal.testing.calls import recorded

pytestmark = pytest.mark.anyio

Call = Callable[[SqliteJournalStore], Awaitable[Any]]
EVERY_CALL = pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get_step("s", "n"),
        lambda store: store.put_step("s", "n", 1),
        lambda store: store.get_steps("s"),
        lambda store: store.init_schema(),
    ],
    ids=["get", "put", "get_steps", "init_schema"],
)


async def make_journal(path: Path) -> None:
    async with SqliteJournalStore(path) as store:
        for number in range(200):
            await store.put_step("kept", f"step-{number}", b"x" * 100)


async def error_of(path: Path, call: Call) -> JournalError:
    with pytest.raises(JournalError) as failed:
        async with SqliteJournalStore(path, timeout=2) as store:
            await call(store)
    return failed.value


@EVERY_CALL
async def test_a_folder(tmp_path: Path, call: Call):
    error = await error_of(tmp_path, call)
    assert isinstance(error, ConfigurationError)
    assert "is a folder" in str(error)
    assert str(tmp_path) in str(error)


@EVERY_CALL
async def test_a_text_file(tmp_path: Path, call: Call):
    path = tmp_path / "notes.txt"
    text = "Dear diary,\n" * 1_000
    path.write_text(text)
    error = await error_of(path, call)
    assert type(error) is StoreError
    assert "not a SQLite database" in str(error)
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


@EVERY_CALL
async def test_a_short_text_file(tmp_path: Path, call: Call):
    path = tmp_path / "notes.txt"
    path.write_text("no")
    assert type(await error_of(path, call)) is StoreError
    assert path.read_text() == "no"


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
async def test_a_database_that_was_cut_short(tmp_path: Path, keep: float):
    path = tmp_path / "journal.db"
    await make_journal(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    error = await error_of(path, lambda store: store.get_steps("kept"))
    assert type(error) is StoreError
    assert "damaged" in str(error)


async def test_a_database_whose_pages_were_overwritten(tmp_path: Path):
    path = tmp_path / "journal.db"
    await make_journal(path)
    content = bytearray(path.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 64] = b"\xff" * 64
    path.write_bytes(content)
    error = await error_of(path, lambda store: store.get_steps("kept"))
    assert type(error) is StoreError
    assert "damaged" in str(error)


async def test_a_database_of_somebody_elses_keeps_its_tables(tmp_path: Path):
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE orders (id INTEGER)")
        other.execute("INSERT INTO orders VALUES (7)")
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT id FROM orders").fetchall() == [(7,)]


@EVERY_CALL
async def test_a_folder_that_cannot_be_made_since_a_file_is_in_its_place(tmp_path: Path, call: Call):
    (tmp_path / "file").write_text("mine")
    error = await error_of(tmp_path / "file" / "sub" / "journal.db", call)
    assert isinstance(error, ConfigurationError)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/journal.db", "loop", "/dev/null", "pipe"])
async def test_what_can_be_no_file(tmp_path: Path, name: str):
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    error = await error_of(tmp_path / name, lambda store: store.put_step("s", "n", 1))
    assert isinstance(error, ConfigurationError | StoreError)


async def test_an_empty_path_names_the_folder_one_is_in():
    with pytest.raises(ConfigurationError):
        async with SqliteJournalStore("") as store:
            await store.put_step("s", "n", 1)


@pytest.mark.parametrize("make", [SqliteJournalStore, lambda path: JournalStore.from_url(f"sqlite:////{path}")])
@pytest.mark.parametrize("path", ["/tmp/a\0b.db", "\0"])
def test_a_nul_is_refused_before_any_io(make: Callable[[str], object], path: str):
    with pytest.raises(ConfigurationError, match="NUL"):
        make(path)


def test_a_percent_encoded_nul_is_refused_before_any_io():
    with pytest.raises(ConfigurationError, match="NUL"):
        JournalStore.from_url("sqlite:////tmp/a%00b.db")


@pytest.mark.parametrize("make", [SqliteJournalStore, lambda path: JournalStore.from_url(f"sqlite:///{path}")])
def test_a_character_that_no_files_name_can_hold_is_refused(make: Callable[[str], object]):
    with pytest.raises(ConfigurationError, match="path|created"):
        make("/tmp/\ud800.db")


@pytest.mark.parametrize("path", [None, 7, b"/tmp/journal.db", ["x"]])
def test_what_is_no_path_is_refused_before_any_io(path: Any):
    with pytest.raises(ConfigurationError):
        SqliteJournalStore(path)


async def test_a_store_works_once_what_was_in_its_way_is_gone(tmp_path: Path):
    path = tmp_path / "journal.db"
    path.mkdir()
    async with SqliteJournalStore(path) as store:
        with pytest.raises(ConfigurationError):
            await store.put_step("s", "n", 1)
        path.rmdir()
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_database_that_is_deleted_while_open_takes_no_more_puts(tmp_path: Path, suffix: str):
    path = tmp_path / "journal.db"
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        Path(f"{path}{suffix}").unlink()
        with pytest.raises(StoreError):  # an acknowledged put would be lost: nobody could ever read it
            await store.put_step("s", "n", 2)


async def test_a_database_that_is_replaced_while_open_takes_no_put_into_the_old_file(tmp_path: Path):
    path, other = tmp_path / "journal.db", tmp_path / "other.db"
    await make_journal(other)
    async with SqliteJournalStore(path) as store:
        await store.put_step("s", "n", 1)
        other.replace(path)
        with pytest.raises(StoreError):
            await store.put_step("s", "n", 2)
