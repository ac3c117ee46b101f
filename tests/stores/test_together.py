"""Calls that are made at the same time, on every store: each gets its own answer, and keys keep their order."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from jeeves_journal import (
    EncodeError,
    InMemoryJournalStore,
    JournalStore,
    ManagedJournalStore,
    PostgresJournalStore,
    StoreUnavailableError,
)
from jeeves_journal.testing.calls import recorded
from tests.stores.servers import backends, most_backends

pytestmark = pytest.mark.anyio

LARGE = os.urandom(1_200_000)


@pytest.fixture(params=["dict", "memory", "file", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ManagedJournalStore]:
    if request.param == "dict":
        async with InMemoryJournalStore() as store:
            yield store
        return
    urls = {"memory": "sqlite:///:memory:", "file": f"sqlite:///{tmp_path}/journal.db"}
    url = urls.get(request.param) or request.getfixturevalue("migrated_postgres_url")
    async with JournalStore.from_url(url) as store:
        yield store


@pytest.mark.parametrize("callers", [2, 3, 64, 65, 300])
async def test_each_get_has_its_own_answer(store: ManagedJournalStore, callers: int):
    for number in range(5):
        await store.put_step("s", f"é {number}", number)
        await store.put_stream("s", f"é {number}", [number, number])

    async def get(number: int) -> Any:
        name = f"é {number % 7}"
        if number % 3:
            entry = await store.get_step("s", name)
            return entry and entry.value
        return await store.get_stream("s", name)

    def expected(number: int) -> Any:
        found = number % 7 if number % 7 < 5 else None
        return found if number % 3 or found is None else [found, found]

    got = await asyncio.gather(*map(get, range(callers)))
    assert got == list(map(expected, range(callers)))


@pytest.mark.parametrize("callers", [2, 65, 300])
async def test_every_put_is_recorded(store: ManagedJournalStore, callers: int):
    steps = [store.put_step("s", str(number), number) for number in range(callers)]
    streams = [store.put_stream("s", str(number), [number]) for number in range(callers)]
    await asyncio.gather(*steps, *streams)
    assert {name: entry.value for name, entry in (await store.get_steps("s")).items()} == {
        str(number): number for number in range(callers)
    }
    assert await store.get_stream("s", str(callers - 1)) == [callers - 1]


EVERY_CHARACTER = "".join(map(chr, (*range(0x01, 0xD800), *range(0xE000, 0x12000))))


@pytest.mark.parametrize(
    "keys",
    [
        [EVERY_CHARACTER[start : start + 250] for start in range(0, len(EVERY_CHARACTER), 250)],
        ["".join(key) for length in range(1, 5) for key in product("\x01\x02a", repeat=length)],
        ["\x01" * length for length in (1, 2, 3, 999, 1_000)],
    ],
    ids=["every character", "beginnings and ends", "long runs"],
)
async def test_keys_of_any_characters_are_told_apart(store: ManagedJournalStore, keys: list[str]):
    pairs = list(zip(keys, reversed(keys), strict=True))
    await asyncio.gather(*(store.put_step(*pair, number) for number, pair in enumerate(pairs)))
    entries = await asyncio.gather(*(store.get_step(*pair) for pair in pairs))
    assert [entry and entry.value for entry in entries] == list(range(len(pairs)))


async def test_of_puts_of_one_key_that_wait_together_the_last_one_made_is_recorded(store: ManagedJournalStore):
    for _ in range(20):
        await asyncio.gather(*(store.put_step("s", "n", number) for number in range(50)))
        assert await recorded(store, "s", "n") == 49


@pytest.mark.parametrize("sizes", [(LARGE, b"small"), (b"small", LARGE), (LARGE, b"small", LARGE, b"other")])
async def test_puts_of_one_key_keep_their_order_whatever_their_size(store: ManagedJournalStore, sizes: Any):
    for _ in range(5):
        await asyncio.gather(*(store.put_step("s", "n", value) for value in sizes))
        assert await recorded(store, "s", "n") == sizes[-1]


async def test_a_put_that_was_cancelled_does_not_overwrite_a_later_one(store: ManagedJournalStore):
    for turns in range(12):
        given_up = asyncio.ensure_future(store.put_step("s", "n", LARGE))
        for _ in range(turns):
            await asyncio.sleep(0)
        given_up.cancel()
        await store.put_step("s", "n", turns)
        await store.put_step("s", "other", turns)
        assert await recorded(store, "s", "n") == turns


async def test_a_put_that_cannot_be_encoded_fails_alone(store: ManagedJournalStore):
    puts = [store.put_step("s", str(number), number if number != 7 else lambda: None) for number in range(20)]
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(result) for result in results] == [type(None) if number != 7 else EncodeError for number in range(20)]
    assert len(await store.get_steps("s")) == 19


async def test_more_callers_than_a_store_takes_at_once_are_all_served(store: ManagedJournalStore):
    await asyncio.gather(*(store.put_step("s", str(number), number) for number in range(3_000)))
    assert len(await store.get_steps("s")) == 3_000


async def test_small_values_do_not_wait_behind_a_large_one_on_postgres(migrated_postgres_url: str):
    async with JournalStore.from_url(migrated_postgres_url) as store:
        large = asyncio.ensure_future(store.put_step("s", "large", os.urandom(60_000_000)))
        answered = 0
        while not large.done():
            await store.put_step("s", f"small {answered}", answered)
            answered += 1
        await large
    assert answered > 3, "the large one takes a second or so, a small one some milliseconds"


async def test_no_more_connections_are_used_than_the_pool_may_have(migrated_postgres_url: str):
    async with JournalStore.from_url(migrated_postgres_url, pool_size=1, max_overflow=0) as store:

        def work() -> asyncio.Future[Any]:
            puts = [store.put_step("s", str(number), number) for number in range(200)]
            gets = [store.get_step("s", str(number)) for number in range(200)]
            return asyncio.ensure_future(asyncio.gather(*puts, *gets, store.put_step("s", "large", LARGE)))

        assert await most_backends(migrated_postgres_url, work) == 1


async def test_connections_are_kept_for_the_next_batch(postgres_url: str):
    store = await PostgresJournalStore.connect(postgres_url, min_size=1, max_size=10)
    await store.init_schema()
    kept: list[set[int]] = []
    for burst in range(3):
        names = [f"{burst} {number}" for number in range(100)]
        await asyncio.gather(*(store.put_step("s", name, 1) for name in names), store.get_steps("s"))
        await asyncio.gather(*(store.get_step("s", name) for name in names))
        kept.append(set(backends(postgres_url)))
    assert len(kept[0]) > 1
    assert kept[0] <= kept[1] <= kept[2]
    await store.aclose()


async def test_callers_that_are_kept_out_are_told_when_the_database_hangs(tmp_path: Path):
    path = tmp_path / "journal.db"
    async with JournalStore.from_url(f"sqlite:///{path}", timeout=2) as store:
        await store.put_step("s", "n", 0)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            puts = [store.put_step("s", f"{number}", number) for number in range(1_500)]
            results = await asyncio.gather(*puts, return_exceptions=True)
            other.execute("ROLLBACK")
        assert {type(result) for result in results} == {StoreUnavailableError}
        assert "1499" in str(results[-1])
        await store.put_step("s", "n", 1)


async def test_a_put_behind_a_bad_one_and_many_locked_ones_can_be_made_again_when_its_time_is_over(
    migrated_postgres_url: str,
):
    holder = await asyncpg.connect(migrated_postgres_url)
    await holder.execute("ALTER TABLE journal_steps ADD CHECK (step_name <> 'bad')")
    async with JournalStore.from_url(migrated_postgres_url, timeout=1) as store:
        locked = [f"locked {number}" for number in range(5)]
        await asyncio.gather(*(store.put_step("s", name, 1) for name in locked))
        async with holder.transaction():
            await holder.execute("SELECT * FROM journal_steps FOR UPDATE")
            puts = [store.put_step("s", name, 2) for name in ("bad", *locked, "other")]
            results = await asyncio.gather(*puts, return_exceptions=True)
            assert type(results[-1]) is StoreUnavailableError
            await store.put_step("s", "other", 3)
        assert await recorded(store, "s", "other") == 3
    await holder.close()
