"""Sessions and steps that are deleted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from jeeves_journal import InvalidKeyError, JournalStore
from tests.operations.lost_answers import WAYS, losing_an_answer
from tests.operations.records import record, steps_of
from tests.servers.postgres import execute
from tests.stores.rows import PostgresRows, Rows, put_raw

pytestmark = pytest.mark.anyio

Way = Callable[[str], AbstractAsyncContextManager[str]]


async def test_a_session_is_deleted_with_its_steps_and_streams(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "b", "~b", "~c")
        await record(store, "run-2", "a", "~b")
        assert await store.delete_session("run") == 4
        assert await steps_of(store, "run") == {}
        assert await store.get_stream("run", "c") is None
        assert await steps_of(store, "run-2") == {"a": "a"}
        assert await store.get_stream("run-2", "b") == ["~b"]


async def test_a_step_is_deleted_with_the_stream_of_its_name(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "b", "~b", "~c")
        await record(store, "run-2", "b")
        assert await store.delete_step("run", "b") == 2
        assert await store.delete_step("run", "c") == 1
        assert await steps_of(store, "run") == {"a": "a"}
        assert await steps_of(store, "run-2") == {"b": "b"}


async def test_of_what_is_not_there_nothing_is_deleted(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a")
        assert await store.delete_session("ru") == 0
        assert await store.delete_step("run", "A") == 0
        assert await steps_of(store, "run") == {"a": "a"}


async def test_a_key_that_no_session_has_is_refused(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        with pytest.raises(InvalidKeyError):
            await store.delete_session("")
        with pytest.raises(InvalidKeyError):
            await store.delete_step("run", "")


async def test_what_cannot_be_decoded_can_be_deleted(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a")
        put_raw(rows, "run", {"damaged": b"damaged"})
        assert await store.delete_step("run", "damaged") == 1
        assert await store.delete_session("run") == 1


@pytest.mark.parametrize("way", WAYS)
async def test_the_count_is_true_where_a_commit_or_its_answer_is_lost(migrated_postgres_url: str, way: Way) -> None:
    async with JournalStore.from_url(migrated_postgres_url) as store:
        for session_id in ("run", "other"):
            await record(store, session_id, "a", "b", "~b")
        async with way(migrated_postgres_url) as url, JournalStore.from_url(url) as far:
            assert await far.delete_session("run") == 3
        async with way(migrated_postgres_url) as url, JournalStore.from_url(url) as far:
            assert await far.delete_step("other", "b") == 2
        assert await steps_of(store, "run") == {}
        assert await steps_of(store, "other") == {"a": "a"}


async def test_what_is_put_after_a_commit_whose_answer_is_lost_stays(migrated_postgres_url: str) -> None:
    def put_again() -> None:
        put_raw(PostgresRows(migrated_postgres_url), "run", {"new": b"new"})

    async with JournalStore.from_url(migrated_postgres_url) as store:
        await record(store, "run", "a", "b")
    async with losing_an_answer(migrated_postgres_url, put_again) as url, JournalStore.from_url(url) as far:
        assert await far.delete_session("run") == 2
    left = execute(migrated_postgres_url, "SELECT step_name FROM journal_steps")
    assert [tuple(row) for row in left] == [("new",)]
