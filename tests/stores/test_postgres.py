"""The journal in Postgres: its durability, its connections, its schema and the ways to name a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jeeves_journal import JournalStore, PostgresJournalStore, SchemaError
from jeeves_journal.options import LONGEST_TIMEOUT
from jeeves_journal.testing.calls import recorded
from tests.servers.postgres import PostgresServer, execute
from tests.stores.servers import backends, closed_port, database_of, most_backends, terminate_backends

pytestmark = pytest.mark.anyio

NOTE_THE_SETTING = """
    CREATE TABLE seen (setting text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO seen VALUES (current_setting('synchronous_commit'));
        RETURN NEW;
    END $$;
    CREATE TRIGGER note BEFORE INSERT ON journal_steps FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER note BEFORE INSERT ON journal_streams FOR EACH ROW EXECUTE FUNCTION note();
"""


def run_each(url: str, statements: str, separator: str = ";\n    CREATE") -> None:
    first, *rest = statements.split(separator)
    for statement in (first, *(f"CREATE{part}" for part in rest)):
        execute(url, statement)


@pytest.mark.parametrize(
    ("default", "used"),
    [("off", "on"), ("local", "on"), ("remote_write", "on"), ("on", "on"), ("remote_apply", "remote_apply")],
)
async def test_synchronous_commit_is_raised_and_never_lowered(migrated_postgres_url: str, default: str, used: str):
    url = migrated_postgres_url
    execute(url, f"ALTER DATABASE {database_of(url)} SET synchronous_commit = '{default}'")
    run_each(url, NOTE_THE_SETTING)
    async with JournalStore.from_url(url) as store:
        await store.put_step("s", "n", 1)
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(10)))
        await store.put_stream("s", "n", [1])
    assert {row["setting"] for row in execute(url, "SELECT setting FROM seen")} == {used}


@pytest.mark.parametrize(("pool_size", "max_overflow"), [(1, 0), (2, 1)])
async def test_the_pools_options_bound_the_connections(migrated_postgres_url: str, pool_size: int, max_overflow: int):
    url = migrated_postgres_url
    async with JournalStore.from_url(url, pool_size=pool_size, max_overflow=max_overflow) as store:

        async def call(number: int) -> None:
            await store.put_step("s", f"{number}", number)
            assert await recorded(store, "s", f"{number}") == number
            await store.put_stream("s", f"{number}", [number])
            assert f"{number}" in await store.get_steps("s")

        most = await most_backends(url, lambda: asyncio.gather(*(call(number) for number in range(200))))
        assert most <= pool_size + max_overflow
        assert len(backends(url)) <= pool_size


async def test_connections_are_kept_between_calls(migrated_postgres_url: str):
    async with JournalStore.from_url(migrated_postgres_url, pool_size=1, max_overflow=0) as store:
        await store.put_step("s", "n", 1)
        before = backends(migrated_postgres_url)
        for number in range(5):
            await store.put_step("s", "n", number)
        assert backends(migrated_postgres_url) == before
        assert len(before) == 1


@pytest.mark.parametrize("schema", ["journal", 'Mixed "Case"', "with space", "straße", "select", ":a", "100%s"])
async def test_another_schema_can_hold_the_tables(postgres_url: str, schema: str):
    async with JournalStore.from_url(postgres_url, schema=schema) as store:
        await store.init_schema()
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(20)))
        await store.put_stream("s", "n", [1, 2])
        assert await store.get_stream("s", "n") == [1, 2]
        assert len(await store.get_steps("s")) == 20
        found = await asyncio.gather(*(recorded(store, "s", f"{number}") for number in range(20)))
        assert found == list(range(20))
    where = execute(postgres_url, "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'journal%'")
    assert [row["schemaname"] for row in where] == [schema]


async def test_two_schemas_of_one_database_know_nothing_of_each_other(postgres_url: str):
    async with (
        JournalStore.from_url(f"{postgres_url}?schema=one", create_tables=True) as one,
        JournalStore.from_url(f"{postgres_url}?schema=two", create_tables=True) as two,
    ):
        await one.put_step("s", "n", 1)
        assert await two.get_step("s", "n") is None


async def test_a_schema_that_does_not_exist_is_a_schema_error(migrated_postgres_url: str):
    async with JournalStore.from_url(migrated_postgres_url, schema="nowhere") as store:
        with pytest.raises(SchemaError, match="init_schema"):
            await store.get_step("s", "n")


async def test_missing_tables_are_a_schema_error_that_names_the_commands(postgres_url: str):
    async with JournalStore.from_url(postgres_url) as store:
        with pytest.raises(SchemaError) as failed:
            await store.put_step("s", "n", 1)
        for command in ("alembic upgrade head", "jeeves-journal db upgrade", "init_schema()", "create_tables=True"):
            assert command in str(failed.value)
        assert not execute(postgres_url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
        await store.init_schema()
        await store.put_step("s", "n", 1)


async def test_tables_that_are_dropped_while_open_are_a_schema_error(migrated_postgres_url: str):
    async with JournalStore.from_url(migrated_postgres_url) as store:
        await store.put_step("s", "n", 1)
        execute(migrated_postgres_url, "DROP TABLE journal_steps")
        with pytest.raises(SchemaError):
            await store.put_step("s", "n", 1)


@pytest.mark.parametrize("timeout", [30, LONGEST_TIMEOUT])
async def test_tables_can_be_created_at_first_use(postgres_url: str, timeout: int):
    async with JournalStore.from_url(f"{postgres_url}?create_tables=true&timeout={timeout}") as store:
        await store.put_step("s", "n", 1)
        assert await recorded(store, "s", "n") == 1


@pytest.mark.parametrize("idle", [True, False], ids=["between calls", "under load"])
async def test_connections_that_the_server_ended_are_replaced_without_an_error(migrated_postgres_url: str, idle: bool):
    async with JournalStore.from_url(migrated_postgres_url) as store:
        await asyncio.gather(store.put_step("s", "n", 0), store.get_step("s", "n"), store.get_steps("s"))
        for number in range(1, 4):
            calls = [] if idle else [asyncio.ensure_future(store.put_step("s", f"{number}-{n}", n)) for n in range(50)]
            assert await asyncio.to_thread(terminate_backends, migrated_postgres_url) > 0
            await store.put_step("s", "n", number)
            assert await recorded(store, "s", "n") == number
            assert "n" in await store.get_steps("s")
            await asyncio.gather(*calls)


@pytest.mark.parametrize("turns", range(5))
async def test_a_call_at_any_moment_of_a_connections_end_is_answered(migrated_postgres_url: str, turns: int):
    async with JournalStore.from_url(migrated_postgres_url) as store:
        await store.put_step("s", "n", 1)
        # The loop stands still meanwhile, and takes turns to read the server's farewell and then the end.
        assert terminate_backends(migrated_postgres_url)
        for _ in range(turns):
            await asyncio.sleep(0)
        await store.put_step("s", "n", 2)
        assert await recorded(store, "s", "n") == 2


async def test_a_dead_host_before_a_live_one_is_passed_over(migrated_postgres_url: str):
    url = migrated_postgres_url.replace("@127.0.0.1:", f"@127.0.0.1:{closed_port()},127.0.0.1:")
    async with JournalStore.from_url(url) as store:
        await store.put_step("s", "n", 1)
        assert await recorded(store, "s", "n") == 1


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable",
        "sslmode=prefer",
        "target_session_attrs=read-write",
        "application_name=my%20app",
        "pgbouncer=true",
        "timeout=5&pool_size=1",
        "search_path=public",
    ],
)
async def test_what_a_url_may_ask_of_the_driver(migrated_postgres_url: str, query: str):
    async with JournalStore.from_url(f"{migrated_postgres_url}?{query}") as store:
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(5)))
        assert len(await store.get_steps("s")) == 5


async def test_a_server_can_be_reached_over_its_unix_socket(postgres_server: Any, migrated_postgres_url: str):
    if not isinstance(postgres_server, PostgresServer):
        pytest.skip("the socket of a server that we did not start may be anywhere")
    async with JournalStore.from_url(postgres_server.socket_url(database_of(migrated_postgres_url))) as store:
        await store.put_step("s", "n", 1)
        assert await recorded(store, "s", "n") == 1


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_every_scheme_means_the_same(migrated_postgres_url: str, scheme: str):
    async with JournalStore.from_url(migrated_postgres_url.replace("postgresql", scheme, 1)) as store:
        await store.put_step("s", "n", 1)
    async with JournalStore.from_url(migrated_postgres_url) as store:
        assert await recorded(store, "s", "n") == 1


async def test_the_named_store_connects_and_makes_its_tables(postgres_url: str):
    store = await PostgresJournalStore.connect(postgres_url, min_size=1, max_size=2)
    async with store:
        await store.init_schema()
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(20)))
        assert len(backends(postgres_url)) <= 2


async def test_the_named_stores_ddl_can_be_run_at_every_start(postgres_url: str):
    for start in range(2):
        for statement in PostgresJournalStore.schema_sql():
            execute(postgres_url, statement)
        async with JournalStore.from_url(postgres_url) as store:
            await store.put_step("s", f"{start}", start)
    async with JournalStore.from_url(postgres_url) as store:
        assert [entry.value for entry in (await store.get_steps("s")).values()] == [0, 1]


@pytest.mark.parametrize("order", [list, reversed], ids=["same order", "opposite order"])
async def test_stores_that_put_the_same_keys_at_once_do_not_deadlock(
    migrated_postgres_url: str, order: Callable[[Any], Any]
):
    async with (
        JournalStore.from_url(migrated_postgres_url) as one,
        JournalStore.from_url(migrated_postgres_url) as other,
    ):
        keys = [f"{number}" for number in range(100)]
        for turn in range(5):
            await asyncio.gather(
                *(one.put_step("s", key, turn) for key in keys),
                *(other.put_step("s", key, turn) for key in order(keys)),
            )
        assert {entry.value for entry in (await one.get_steps("s")).values()} == {4}
