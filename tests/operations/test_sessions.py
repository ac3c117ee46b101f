"""What sessions there are, in pages: the same as Python alone says of the rows, on both databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jeeves_journal import JournalStore, NotRecordedError, SQLAlchemyJournalStore
from jeeves_journal.records import SessionSummary
from tests.operations.journals import Given, empty, fill, make, recent_first, summaries
from tests.servers.postgres import fresh_database
from tests.stores.rows import PostgresRows, Rows, SqliteRows

# Few and alike, so that ids begin with others, and careless comparisons show.
CHARACTERS = st.sampled_from(["a", "A", "b", "%", "_", "é", "\ud7ff", "\ue000", "\U0001f4a9", "\U0010ffff"])
IDS = st.text(CHARACTERS, min_size=1, max_size=3)
# Seconds ago. Few, so that many sessions recorded at the same time.
AGES = st.sampled_from([0.0, 100.0, 200.0, 300.0, 1e6])
ROWS = st.lists(
    st.tuples(st.sampled_from(["step", "stream"]), IDS, st.sampled_from("xyz"), st.integers(0, 9), AGES),
    unique_by=lambda row: row[:3],
    max_size=30,
)
# Between the ages of records, since time goes on while sessions are listed.
BOUNDS = st.none() | st.sampled_from([50, 150, 250, 350, 2_000_000]).map(lambda age: timedelta(seconds=age))


QUERIES = st.fixed_dictionaries(
    {"limit": st.integers(1, 4)},
    optional={
        "prefix": st.none() | st.text(CHARACTERS, max_size=2),
        "order": st.sampled_from(["id", "recent"]),
        "newer_than": BOUNDS,
        "older_than": BOUNDS,
        "by_id": st.booleans(),
    },
)


def is_wanted(
    session: SessionSummary,
    now: float,
    prefix: str | None = None,
    newer_than: timedelta | None = None,
    older_than: timedelta | None = None,
    **others: object,
) -> bool:
    age = timedelta(seconds=now - session.last_recorded)
    return (
        session.id.startswith(prefix or "")
        and (newer_than is None or age < newer_than)
        and (older_than is None or age > older_than)
    )


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def journal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """A journal for one example after the other."""
    rows: Rows
    if request.param == "sqlite":
        rows = SqliteRows(tmp_path_factory.mktemp("sessions") / "journal.db")
    else:
        with fresh_database(request.getfixturevalue("postgres_server")) as url:
            rows = PostgresRows(url)
            asyncio.run(make(rows))
            yield rows
            return
    asyncio.run(make(rows))
    yield rows


async def pages(
    store: SQLAlchemyJournalStore, limit: int, *, by_id: bool = False, **options: Any
) -> list[SessionSummary]:
    """Return all pages one after the other; each but the last is full."""
    found, after = list[SessionSummary](), None
    while True:
        page = await store.sessions(limit=limit, after=after, **options)
        found += page
        if len(page) < limit:
            return found
        after = page[-1].id if by_id else page[-1]


@given(ROWS, QUERIES)
@example([("step", "\U0010ffff", "x", 1, 0.0)], {"prefix": "\U0010ffff", "limit": 1})
@example([("step", "\ue000", "x", 1, 0.0)], {"prefix": "\ud7ff", "order": "recent", "limit": 1})
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_pages_one_after_the_other_are_all_sessions_once(
    journal: Rows, drawn: list[tuple[Any, ...]], query: dict[str, Any]
):
    now = time.time()
    rows = [Given(*row[:4], now - row[4]) for row in drawn]
    empty(journal)
    fill(journal, rows)
    expected = [each for each in summaries(rows) if is_wanted(each, now, **query)]

    async def listed() -> list[SessionSummary]:
        async with JournalStore.from_url(journal.url) as store:
            assert isinstance(store, SQLAlchemyJournalStore)
            return await pages(store, **query)

    assert asyncio.run(listed()) == (recent_first(expected) if query.get("order") == "recent" else expected)


@pytest.mark.anyio
class TestSessions:
    """Cases of their own."""

    async def test_an_empty_journal_has_none(self, rows: Rows):
        await make(rows)
        async with JournalStore.from_url(rows.url) as store:
            assert await store.sessions() == await store.sessions(order="recent") == []

    async def test_a_session_may_have_streams_only(self, rows: Rows):
        await make(rows, [Given("stream", "s", "n", 7, 1.5)])
        async with JournalStore.from_url(rows.url) as store:
            expected = [SessionSummary("s", 0, 1, 1.5, 1.5, 7)]
            assert await store.sessions() == await store.sessions(order="recent") == expected

    async def test_a_page_goes_on_where_it_ended_though_the_session_has_new_records(self, rows: Rows):
        await make(rows, [Given("step", f"s{number}", "n", 1, 100.0 - number) for number in range(5)])
        async with JournalStore.from_url(rows.url) as store:
            *_, last = await store.sessions(order="recent", limit=2)
            await store.put_step("s1", "later", 1)
            ids = [session.id for session in await store.sessions(order="recent", after=last)]
            assert ids == ["s2", "s3", "s4"]

    async def test_a_page_goes_on_behind_a_session_that_was_deleted(self, rows: Rows):
        await make(rows, [Given("step", f"s{number}", "n", 1, 100.0 - number) for number in range(5)])
        async with JournalStore.from_url(rows.url) as store:
            *_, last = await store.sessions(order="recent", limit=2)
            rows.run("DELETE FROM journal_steps WHERE session_id = ?", [("s1",)])
            assert [session.id for session in await store.sessions(order="recent", after=last)] == ["s2", "s3", "s4"]
            assert [session.id for session in await store.sessions(after="s1")] == ["s2", "s3", "s4"]

    async def test_the_place_of_an_id_that_is_not_recorded_is_not_known(self, rows: Rows):
        await make(rows, [Given("step", "s", "n", 1, 1.0)])
        async with JournalStore.from_url(rows.url) as store:
            with pytest.raises(NotRecordedError) as failed:
                await store.sessions(order="recent", after="gone")
            assert failed.value.session_id == "gone"

    async def test_what_nobody_could_have_recorded_yet_is_listed_too(self, rows: Rows):
        await make(rows, [Given("step", "s", "n", 1, time.time() + 1e9)])
        async with JournalStore.from_url(rows.url) as store:
            assert len(await store.sessions(order="recent", newer_than=timedelta())) == 1
            assert await store.sessions(older_than=timedelta()) == []

    async def test_an_age_may_be_longer_than_there_are_clocks(self, rows: Rows):
        await make(rows, [Given("step", "s", "n", 1, 1.0)])
        async with JournalStore.from_url(rows.url) as store:
            assert len(await store.sessions(newer_than=timedelta.max)) == 1
            assert await store.sessions(older_than=timedelta.max, order="recent") == []

    async def test_more_sessions_than_one_statement_asks_for(self, rows: Rows):
        await make(rows, [Given("step", f"s{number:04d}", "n", 1, float(number)) for number in range(700)])
        async with JournalStore.from_url(rows.url) as store:
            ids = [f"s{number:04d}" for number in range(700)]
            assert [session.id for session in await store.sessions(limit=10_000)] == ids
            assert [session.id for session in await store.sessions(limit=10_000, order="recent")] == ids[::-1]

    async def test_more_records_at_one_time_than_are_looked_at_together(self, rows: Rows):
        await make(rows, [Given("step", f"s{number % 7}", f"n{number}", 0, 5.0) for number in range(20_000)])
        async with JournalStore.from_url(rows.url) as store:
            assert [session.id for session in await pages(store, 2, order="recent")] == [
                f"s{each}" for each in range(7)
            ]  # type: ignore[arg-type]

    async def test_a_session_with_very_many_of_the_latest_records_hides_no_other(self, rows: Rows):
        large = [Given("step", "large", f"n{number}", 0, 1000.0 + number) for number in range(20_000)]
        others = [Given("stream", f"s{number}", "n", 1, float(number)) for number in range(9)]
        await make(rows, [*large, *others])
        async with JournalStore.from_url(rows.url) as store:
            assert isinstance(store, SQLAlchemyJournalStore)
            expected = [session.id for session in recent_first(summaries([*large, *others]))]
            assert [session.id for session in await pages(store, 4, order="recent")] == expected
            assert [session.id for session in await store.sessions("s", order="recent")] == expected[1:]

    async def test_tables_of_jeevesagents_that_were_never_upgraded(self, rows: Rows):
        await make(rows)
        for table in ("journal_steps", "journal_streams"):
            rows.run(f"DROP INDEX {table}_created_at_session_id_idx", [()])
        rows.run("DROP TABLE journal_alembic_version", [()])
        if isinstance(rows, PostgresRows):
            for table in ("journal_steps", "journal_streams"):
                rows.run(f'ALTER TABLE {table} ALTER session_id TYPE TEXT COLLATE "default"', [()])
        ids = ["Z", "a", "b", "é", "z"]
        fill(rows, [Given("step", each, "n", 1, float(at)) for at, each in enumerate(ids)])
        async with JournalStore.from_url(rows.url, create_tables=False) as store:
            assert [session.id for session in await store.sessions()] == ["Z", "a", "b", "z", "é"]
            assert [session.id for session in await store.sessions(after="a", limit=2)] == ["b", "z"]
            assert [session.id for session in await store.sessions("z")] == ["z"]
            assert [session.id for session in await store.sessions(order="recent")] == ids[::-1]
