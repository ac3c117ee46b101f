"""Opening to look: nothing is created, converted or upgraded, whatever stands there."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from jeeves_journal import ConfigurationError, JournalStore, SchemaError, SqliteJournalStore, StoreUnavailableError
from jeeves_journal.factory import open_to_look
from jeeves_journal.testing.calls import recorded
from tests.migrations.databases import query, revision_of, table_names
from tests.migrations.jeeves_agent import record_runs
from tests.stores.processes import BECOME_NOBODY, give_to_nobody, open_folder, team

pytestmark = pytest.mark.anyio

# For each line, looks and prints what there is. What has to be imported is, by looking at another journal before.
LOOK_AS_NOBODY = (
    BECOME_NOBODY
    + """
import asyncio, sys
from jeeves_journal.factory import open_to_look

async def look(store):
    return [session.id for session in await store.sessions()], (await store.get_step("s", "n")).value

async def doubted(store):
    return [finding.name for finding in await store.examine() if finding.state != "ok" and finding.name != "version"]

async def main(url, other):
    async with open_to_look(other) as store:
        await look(store)
    become_nobody()
    print("ready", flush=True)
    async with open_to_look(url) as store:
        for line in sys.stdin:
            try:
                print(await (doubted if line.strip() == "doubted" else look)(store), flush=True)
            except Exception as error:
                print(type(error).__name__, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""
)


async def make(path: Path) -> None:
    """Make a journal with one step, in WAL mode."""
    async with JournalStore.from_url(f"sqlite:///{path}") as store:
        await store.put_step("s", "n", 1)


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def turn_log_off(path: Path) -> None:
    """Convert a file to a rollback journal, as JeevesAgent's files have it."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)


async def test_a_file_that_is_not_there_is_not_made_nor_its_folder(tmp_path: Path):
    async with open_to_look(f"sqlite:///{tmp_path}/new/journal.db") as store:
        with pytest.raises(SchemaError, match="there is no file") as failed:
            await store.sessions()
    assert "\n" not in str(failed.value)
    assert names_in(tmp_path) == []


async def test_a_file_in_a_place_that_may_not_be_looked_at_is_not_said_to_be_made(tmp_path: Path):
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    async with open_to_look(f"sqlite:///{tmp_path}/ring/journal.db") as store:
        with pytest.raises(ConfigurationError) as failed:
            await store.sessions()
    assert "create" not in str(failed.value)


async def test_an_empty_file_stays_empty(tmp_path: Path):
    path = tmp_path / "journal.db"
    path.touch()
    async with open_to_look(f"sqlite:///{path}") as store:
        with pytest.raises(SchemaError, match="missing"):
            await store.sessions()
    assert path.read_bytes() == b""
    assert names_in(tmp_path) == ["journal.db"]


@pytest.mark.parametrize("has_log", [True, False])
async def test_a_file_is_read_and_stays_as_it_is(tmp_path: Path, has_log: bool):
    path = tmp_path / "journal.db"
    await make(path)
    if not has_log:
        turn_log_off(path)
    before = path.read_bytes()
    async with open_to_look(f"sqlite:///{path}") as store:
        assert [session.id for session in await store.sessions()] == ["s"]
        assert await recorded(store, "s", "n") == 1
        assert len(await store.steps("s")) == 1
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["journal.db"]


async def test_what_others_write_meanwhile_is_seen(tmp_path: Path):
    path = tmp_path / "journal.db"
    await make(path)
    async with JournalStore.from_url(f"sqlite:///{path}") as writer, open_to_look(f"sqlite:///{path}") as store:
        assert len(await store.sessions()) == 1
        await writer.put_step("t", "n", 2)
        assert len(await store.sessions()) == 2
    async with JournalStore.from_url(f"sqlite:///{path}") as store:
        assert await recorded(store, "t", "n") == 2


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_tables_of_jeevesagents_are_read_and_not_upgraded(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
):
    url = request.getfixturevalue("postgres_url") if database == "postgres" else f"sqlite:///{tmp_path}/journal.db"
    # It runs an event loop of its own.
    await asyncio.to_thread(record_runs, url)
    async with open_to_look(url, create_tables=True) as store:
        assert [session.id for session in await store.sessions()] == ["run-1", "run-2"]
        assert [step.codec for step in await store.steps("run-1")] == ["pickle"] * 3
    assert table_names(url) == {"journal_steps", "journal_streams"}
    assert revision_of(url) is None


async def test_tables_that_are_not_there_are_not_made(postgres_url: str):
    async with open_to_look(postgres_url, create_tables=True) as store:
        with pytest.raises(SchemaError, match="missing"):
            await store.sessions()
    assert query(postgres_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


async def test_memory_has_nothing_to_look_at():
    async with open_to_look("memory://") as store:
        assert await store.get_step("s", "n") is None


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder that the unprivileged user may enter, but not write to."""
    with open_folder() as folder:
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("has_log", [True, False])
async def test_a_file_in_a_folder_that_may_not_be_written_is_read(tmp_path: Path, locked_folder: Path, has_log: bool):
    path = locked_folder / "a #%20 journal.db"
    for each in (path, tmp_path / "other.db"):
        async with SqliteJournalStore(each) as store:
            await store.put_step("s", "n", 1)
    if not has_log:
        turn_log_off(path)
    give_to_nobody(path)
    path.chmod(0o400)
    locked_folder.chmod(0o555)
    url = f"sqlite:///{quote(str(path))}"
    with team(LOOK_AS_NOBODY, [(url, f"sqlite:///{tmp_path}/other.db")]) as looking:
        assert looking.ask("look") == ["(['s'], 1)"]
        assert names_in(locked_folder) == [path.name]


async def test_looking_at_a_file_of_somebody_else_leaves_nothing_that_its_owner_may_not_write(
    tmp_path: Path, locked_folder: Path
):
    path = locked_folder / "journal.db"
    for each in (path, tmp_path / "other.db"):
        await make(each)
    path.chmod(0o444)
    locked_folder.chmod(0o777)
    with team(LOOK_AS_NOBODY, [(f"sqlite:///{path}", f"sqlite:///{tmp_path}/other.db")]) as looking:
        assert looking.ask("look") == ["(['s'], 1)"]
        assert names_in(locked_folder) == [path.name]


async def test_a_file_that_is_read_without_locks_is_not_said_to_be_in_another_mode(tmp_path: Path, locked_folder: Path):
    path = locked_folder / "journal.db"
    for each in (path, tmp_path / "other.db"):
        await make(each)
    path.chmod(0o444)
    locked_folder.chmod(0o555)
    with team(LOOK_AS_NOBODY, [(f"sqlite:///{path}", f"sqlite:///{tmp_path}/other.db")]) as looking:
        assert looking.ask("doubted") == ["[]"]


async def test_what_is_read_without_locks_is_refused_once_somebody_wrote_it(tmp_path: Path, locked_folder: Path):
    path = locked_folder / "journal.db"
    for each in (path, tmp_path / "other.db"):
        await make(each)
    path.chmod(0o644)
    locked_folder.chmod(0o555 if os.geteuid() == 0 else 0o755)
    with team(LOOK_AS_NOBODY, [(f"sqlite:///{path}", f"sqlite:///{tmp_path}/other.db")]) as looking:
        assert looking.ask("look") == ["(['s'], 1)"]
        async with SqliteJournalStore(path) as store:
            await store.put_step("t", "n", 2)
        assert looking.ask("look") == [StoreUnavailableError.__name__]
