"""How much a journal holds, counted or estimated, on both databases."""

from __future__ import annotations

import random

import pytest

from jeeves_journal import JournalStore
from jeeves_journal.records import KindUsage, Usage
from tests.operations.journals import Given, fill, make
from tests.stores.rows import PostgresRows, Rows

pytestmark = pytest.mark.anyio

MANY = 60_000


def many(kind: str = "step") -> list[Given]:
    # Sizes that repeat themselves, as those of a run's steps do.
    return [Given(kind, f"s{number // 100}", f"n{number}", number % 100, 1.0 + number) for number in range(MANY)]


async def test_an_empty_journal_is_counted(rows: Rows):
    await make(rows)
    async with JournalStore.from_url(rows.url) as store:
        assert await store.usage() == Usage(KindUsage(0, 0, None), KindUsage(0, 0, None), is_exact=True)


async def test_a_small_journal_is_counted(rows: Rows):
    given = [Given("step", "s", f"n{number}", number, 100.0 - number) for number in range(50)]
    await make(rows, [*given, Given("stream", "t", "n", 7, 3.0)])
    async with JournalStore.from_url(rows.url) as store:
        expected = Usage(KindUsage(50, 1225, 51.0), KindUsage(1, 7, 3.0), is_exact=True)
        assert await store.usage() == expected


@pytest.mark.parametrize("kind", ["step", "stream"])
@pytest.mark.parametrize("has_statistics", [True, False])
async def test_a_large_table_is_estimated_well(rows: Rows, kind: str, has_statistics: bool):
    given = many(kind)
    await make(rows, given)
    if has_statistics:
        rows.run("ANALYZE", [()])
    async with JournalStore.from_url(rows.url) as store:
        usage = await store.usage()
    assert not usage.is_exact
    large, small = (usage.steps, usage.streams) if kind == "step" else (usage.streams, usage.steps)
    assert large.rows == pytest.approx(MANY, rel=0.2)
    assert large.bytes == pytest.approx(sum(row.size for row in given), rel=0.25)
    assert large.oldest == 1.0
    assert small == KindUsage(0, 0, None)


async def test_a_table_of_which_much_was_deleted_is_estimated_well(rows: Rows):
    await make(rows, many())
    kept = random.Random(1).sample(range(600), 230)
    deleted = sorted(set(range(600)) - set(kept))
    rows.run("DELETE FROM journal_steps WHERE session_id = ?", [(f"s{number}",) for number in deleted])
    if isinstance(rows, PostgresRows):
        rows.run("ANALYZE", [()])
    async with JournalStore.from_url(rows.url) as store:
        assert (await store.usage()).steps.rows == pytest.approx(23_000, rel=0.35)


async def test_bytes_are_those_of_the_records_and_not_of_what_the_database_makes_of_them(rows: Rows):
    await make(rows)
    # Postgres stores them compressed.
    fill(rows, [Given("step", "s", f"n{number}", 100_000, 1.0) for number in range(20)])
    async with JournalStore.from_url(rows.url) as store:
        assert (await store.usage()).steps.bytes == 2_000_000
