"""What the SQL stores do with records beyond what every store does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jeeves_journal import (
    AlreadyRecordedError,
    DecodeError,
    Imported,
    JournalStore,
    OperableJournalStore,
    SqliteJournalStore,
    StoredRecord,
    export_bundle,
    import_bundle,
)
from tests.bundles.conftest import MakeStore
from tests.bundles.test_moving_sessions import everything, records_of
from tests.faults.proxy import Proxy, proxy_before
from tests.servers.postgres import execute
from tests.stores.servers import database_of

pytestmark = pytest.mark.anyio


def many(session_id: str, count: int, size: int = 10) -> list[StoredRecord]:
    return [
        StoredRecord("step", session_id, f"step-{number}", b"%d" % number * size, float(number // 3))
        for number in range(count)
    ]


@pytest.fixture(params=["sqlite", "postgres"])
def sql_store(request: pytest.FixtureRequest, make_store: MakeStore) -> OperableJournalStore:
    return make_store(request.param)


async def test_a_session_of_many_listings_comes_whole_and_in_order(sql_store: OperableJournalStore) -> None:
    records = many("run", 25_000, 1)
    await sql_store.restore_session("run", records)
    found = await records_of(sql_store, "run")
    assert found == sorted(records, key=lambda record: (record.created_at, record.step_name))
    assert await sql_store.restore_session("run", records) is False


async def test_a_record_that_is_put_again_meanwhile_is_passed_over(sql_store: OperableJournalStore) -> None:
    await sql_store.restore_session("run", many("run", 600))
    records = aiter(sql_store.records("run"))
    first = await anext(records)
    await sql_store.put_step("run", "step-599", "again")
    names = [record.step_name async for record in records]
    assert first.step_name == "step-0"
    assert len(names) == 598
    assert "step-599" not in names


async def test_many_importers_at_once_record_each_session_once(
    sql_store: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    for number in range(10):
        await elsewhere.restore_session(f"run-{number}", many(f"run-{number}", 300))
    await export_bundle(elsewhere, path)
    done = await asyncio.gather(*(import_bundle(sql_store, path) for _ in range(4)))
    assert sum(each.sessions for each in done) == 10
    assert sum(each.unchanged for each in done) == 30
    assert [each.refused for each in done] == [()] * 4
    assert await everything(sql_store) == await everything(elsewhere)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_importers_at_once_see_each_other_whatever_the_isolation(
    migrated_postgres_url: str, elsewhere: OperableJournalStore, path: Path, isolation: str
) -> None:
    setting = f"ALTER DATABASE {database_of(migrated_postgres_url)} SET default_transaction_isolation = '{isolation}'"
    await asyncio.to_thread(execute, migrated_postgres_url, setting)
    await elsewhere.restore_session("run", many("run", 300))
    await export_bundle(elsewhere, path)
    async with (
        JournalStore.from_url(migrated_postgres_url) as one,
        JournalStore.from_url(migrated_postgres_url) as other,
    ):
        done = await asyncio.gather(*(import_bundle(store, path) for store in (one, other) * 3))
    assert sorted((each.sessions, each.unchanged, each.refused) for each in done) == [(0, 1, ())] * 5 + [(1, 0, ())]


async def test_what_the_callers_records_raise_reaches_the_caller(sql_store: OperableJournalStore) -> None:
    def broken() -> Iterator[StoredRecord]:
        yield many("run", 1)[0]
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        await sql_store.restore_session("run", broken())


class Again(Iterable[StoredRecord]):
    """Records that can be taken again, and something that is done when they are taken for the second time."""

    def __init__(self, records: list[StoredRecord], act: Callable[[], object]) -> None:
        self._records, self._act = records, act
        self.reads = 0

    def __iter__(self) -> Iterator[StoredRecord]:
        self.reads += 1
        if self.reads == 2:
            self._act()
        return iter(self._records)


@pytest.fixture
async def proxied(migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    # The answers to single statements pass.
    monkeypatch.setattr("tests.faults.proxy._COMMITTED", (b"COMMIT\0",))
    async with proxy_before(migrated_postgres_url) as proxy:
        yield proxy


async def test_a_commit_whose_answer_is_lost_has_recorded_the_session(proxied: Proxy) -> None:
    async with JournalStore.from_url(proxied.url, timeout=20) as store:
        await store.put_step("other", "step", 1)
        records = Again(many("run", 3), lambda: [line.swallow_next_answer("and resets") for line in proxied.lines])
        assert await store.restore_session("run", records) is True
        assert proxied.swallowed == 1
        assert await records_of(store, "run") == many("run", 3)


async def test_a_connection_that_is_lost_on_the_way_records_the_session_all_the_same(proxied: Proxy) -> None:
    async with JournalStore.from_url(proxied.url, timeout=20) as store:
        await store.put_step("other", "step", 1)
        records = Again(many("run", 600), lambda: [line.reset() for line in proxied.lines])
        assert await store.restore_session("run", records) is True
        assert records.reads == 3
        assert len(await records_of(store, "run")) == 600


async def test_a_step_that_is_put_while_its_session_is_restored_is_not_overwritten(make_store: MakeStore) -> None:
    store = make_store("postgres")
    puts: list[asyncio.Future[None]] = []

    def put() -> None:
        puts.append(asyncio.ensure_future(store.put_step("run", "step-599", "of the run")))

    try:
        assert await store.restore_session("run", Again(many("run", 600), put)) is True
        kept = 600
    except AlreadyRecordedError:
        kept = 1
    # Whoever of the two came first: the other one has waited for it.
    await puts[0]
    entry = await store.get_step("run", "step-599")
    assert entry is not None
    assert entry.value == "of the run"
    assert len(await records_of(store, "run")) == kept


@pytest.mark.parametrize(
    "change",
    [
        "created_at = 'yesterday'",
        "created_at = NULL",
        "created_at = 9e999",
        "value = NULL",
        "value = 'text'",
        "value = 5",
        "step_name = ''",
        "step_name = x'61'",
    ],
)
async def test_a_row_that_no_store_wrote_is_not_exported(tmp_path: Path, path: Path, change: str) -> None:
    file = tmp_path / "journal.db"
    columns = "session_id TEXT, step_name TEXT, {} BLOB, created_at REAL, PRIMARY KEY (session_id, step_name)"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"CREATE TABLE journal_steps ({columns.format('value')})")
        connection.execute(f"CREATE TABLE journal_streams ({columns.format('chunks')})")
        connection.execute("INSERT INTO journal_steps VALUES ('run', 'a', x'00', 1.5), ('run', 'b', x'00', 2.5)")
        connection.execute(f"UPDATE journal_steps SET {change} WHERE step_name = 'b'")
    async with SqliteJournalStore(file) as store:
        with pytest.raises(DecodeError, match="'run'"):
            await export_bundle(store, path, ["run"])
        with pytest.raises(AlreadyRecordedError):
            await store.restore_session("run", many("run", 2))
    assert not path.exists()


async def test_a_session_that_is_too_large_to_be_held_is_read_from_the_file(
    sql_store: OperableJournalStore, elsewhere: OperableJournalStore, path: Path
) -> None:
    # Over 64 MiB, and between others, so that it begins inside a gzip member.
    for session_id, count, size in (("a", 10, 10), ("b", 40, 1_000_000), ("c", 10, 10)):
        await elsewhere.restore_session(session_id, many(session_id, count, size))
    await export_bundle(elsewhere, path)
    assert await import_bundle(sql_store, path) == Imported(3, 60, 0, ())
    assert await import_bundle(sql_store, path) == Imported(0, 0, 3, ())
    assert await everything(sql_store) == await everything(elsewhere)
