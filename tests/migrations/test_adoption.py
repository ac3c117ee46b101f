"""Taking over JeevesAgent's tables touches no row."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jeeves_journal import JournalStore, migrations
from tests.migrations import jeeves_agent
from tests.migrations.catalogue import schema_of
from tests.migrations.databases import TABLES, query, rows_of, table_names
from tests.migrations.ways import MIGRATING, by_first_use

pytestmark = pytest.mark.migrations


def row_versions(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return where Postgres keeps each row, and which transaction wrote it: both change with any write."""
    return {table: query(url, f"SELECT ctid::text, xmin::text FROM {table} ORDER BY 1") for table in TABLES}


def files(url: str, kind: str) -> list[tuple[Any, ...]]:
    """Return the files of Postgres tables (``r``) or indexes (``i``)."""
    named = "relname LIKE 'journal_ste%' OR relname LIKE 'journal_str%'"
    return query(url, f"SELECT relname, relfilenode FROM pg_class WHERE ({named}) AND relkind = '{kind}' ORDER BY 1")


async def recorded(store: JournalStore) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return what a store reads of what JeevesAgent recorded."""
    steps = {key: await store.get_step(*key) for key in jeeves_agent.STEPS}
    streams = {key: await store.get_stream(*key) for key in jeeves_agent.STREAMS}
    return {key: entry and entry.value for key, entry in steps.items()}, streams


@pytest.mark.parametrize("way", MIGRATING)
def test_every_row_stays_as_it_is(way: str, agent_url: str) -> None:
    before = rows_of(agent_url)
    MIGRATING[way](agent_url)
    assert rows_of(agent_url) == before


def test_every_row_stays_as_it_is_on_first_use_of_sqlite(agent_sqlite_url: str) -> None:
    before = rows_of(agent_sqlite_url)
    by_first_use(agent_sqlite_url)
    assert rows_of(agent_sqlite_url) == before


@pytest.mark.parametrize("way", MIGRATING)
def test_postgres_writes_no_row_anew(way: str, agent_postgres_url: str) -> None:
    before = files(agent_postgres_url, "r"), row_versions(agent_postgres_url)
    MIGRATING[way](agent_postgres_url)
    assert (files(agent_postgres_url, "r"), row_versions(agent_postgres_url)) == before


def test_postgres_builds_each_index_once(agent_postgres_url: str) -> None:
    before = files(agent_postgres_url, "i")
    migrations.upgrade(agent_postgres_url)
    after = files(agent_postgres_url, "i")
    assert [name for name, _ in before] == ["journal_steps_pkey", "journal_streams_pkey"]
    assert [name for name, _ in after] == [
        "journal_steps_created_at_session_id_idx",
        "journal_steps_pkey",
        "journal_streams_created_at_session_id_idx",
        "journal_streams_pkey",
    ]
    assert not {file for _, file in after} & {file for _, file in before}
    migrations.downgrade(agent_postgres_url, "base")
    migrations.upgrade(agent_postgres_url)
    assert files(agent_postgres_url, "i") == after


def test_what_jeeves_agent_recorded_is_replayed(agent_url: str) -> None:
    migrations.upgrade(agent_url)

    async def read() -> tuple[dict[Any, Any], dict[Any, Any]]:
        async with JournalStore.from_url(agent_url) as store:
            return await recorded(store)

    assert asyncio.run(read()) == (jeeves_agent.STEPS, jeeves_agent.STREAMS)


def test_jeeves_agents_tables_do_for_all_five_methods_on_postgres(agent_postgres_url: str) -> None:
    before = schema_of(agent_postgres_url)

    async def use() -> None:
        async with JournalStore.from_url(agent_postgres_url) as store:
            assert await recorded(store) == (jeeves_agent.STEPS, jeeves_agent.STREAMS)
            await store.put_step("run-1", "fetch", "again")
            await store.put_stream("run-3", "answer", ["new"])
            entry = await store.get_step("run-1", "fetch")
            assert entry is not None and entry.value == "again"
            assert await store.get_stream("run-3", "answer") == ["new"]

    asyncio.run(use())
    assert schema_of(agent_postgres_url) == before
    assert table_names(agent_postgres_url) == set(TABLES)
