"""Behind PgBouncer in transaction mode, where one connection is another with every transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from jeeves_journal import JournalStore, Keyring, SQLAlchemyJournalStore
from jeeves_journal.testing.calls import recorded
from tests.servers.postgres import execute
from tests.stores.pgbouncer import find_pgbouncer, pgbouncer, server_connections
from tests.stores.servers import database_of

pytestmark = pytest.mark.anyio

CLIENTS, CONNECTIONS = 12, 3


@pytest.fixture
def bouncer_url(postgres_url: str) -> Iterator[str]:
    """The URL of ``postgres_url``'s database, through PgBouncer."""
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with pgbouncer(program, postgres_url, connections=CONNECTIONS) as url:
        yield f"{url}?pgbouncer=true"


@pytest.fixture
async def clients(bouncer_url: str) -> Iterator[list[SQLAlchemyJournalStore]]:
    """Stores in front of tables that one of them made."""
    async with AsyncExitStack() as stack:
        urls = [bouncer_url] * CLIENTS
        clients = [await stack.enter_async_context(JournalStore.from_url(url, timeout=20)) for url in urls]
        await clients[0].init_schema()
        yield clients


async def test_twelve_clients_share_three_connections_and_every_call_is_answered(
    clients: list[SQLAlchemyJournalStore], postgres_url: str
):
    async def use(number: int, store: SQLAlchemyJournalStore) -> None:
        session = f"client-{number}"
        for turn in range(10):
            await asyncio.gather(*(store.put_step(session, f"{turn}-{n}", (number, turn, n)) for n in range(5)))
            await store.put_stream(session, f"{turn}", [turn] * 3)
            assert await recorded(store, session, f"{turn}-4") == (number, turn, 4)
            assert await store.get_stream(session, f"{turn}") == [turn] * 3
            assert await store.get_step(session, "unknown") is None
            assert len(await store.get_steps(session)) == 5 * (turn + 1)

    await asyncio.gather(*(use(number, store) for number, store in enumerate(clients)))
    assert server_connections(postgres_url) <= CONNECTIONS


async def test_twelve_clients_may_make_the_tables_at_the_same_time(bouncer_url: str):
    async with AsyncExitStack() as stack:
        urls = [bouncer_url] * CLIENTS
        clients = [await stack.enter_async_context(JournalStore.from_url(url, timeout=20)) for url in urls]
        await asyncio.gather(*(store.init_schema() for store in clients))
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number, store in enumerate(clients)))
        assert len(await clients[0].get_steps("s")) == CLIENTS


async def test_tables_are_created_at_first_use_when_asked_for(bouncer_url: str):
    async with JournalStore.from_url(bouncer_url, create_tables=True) as store:
        await store.put_step("s", "n", 1)
        assert await recorded(store, "s", "n") == 1


@pytest.mark.parametrize(("default", "used"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
async def test_commits_are_made_durable_all_the_same_and_nothing_of_it_is_left_on_the_server(
    clients: list[SQLAlchemyJournalStore], postgres_url: str, default: str, used: str
):
    execute(postgres_url, "CREATE TABLE seen (setting text)")
    execute(
        postgres_url,
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$",
    )
    execute(postgres_url, "CREATE TRIGGER note BEFORE INSERT ON journal_steps FOR EACH ROW EXECUTE FUNCTION note()")
    execute(postgres_url, f"ALTER DATABASE {database_of(postgres_url)} SET synchronous_commit = '{default}'")
    end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    execute(postgres_url, end_others, database_of(postgres_url))
    await asyncio.gather(*(store.put_step("s", f"{number}", number) for number, store in enumerate(clients)))
    assert {row["setting"] for row in execute(postgres_url, "SELECT setting FROM seen")} == {used}


async def test_no_prepared_statement_is_left_on_the_server(clients: list[SQLAlchemyJournalStore], bouncer_url: str):
    await asyncio.gather(*(store.put_step("s", f"{number}", number) for number, store in enumerate(clients)))
    await asyncio.gather(*(store.get_steps("s") for store in clients))
    probe = await asyncpg.connect(bouncer_url.partition("?")[0], statement_cache_size=0)
    try:
        left = [await probe.fetch("SELECT name FROM pg_prepared_statements WHERE name <> ''") for _ in range(9)]
    finally:
        await probe.close()
    assert not any(left)


async def test_a_session_of_many_steps_is_read_whole(clients: list[SQLAlchemyJournalStore]):
    first, *_, last = clients
    await asyncio.gather(*(first.put_step("s", f"{number:03}", "x" * 1000) for number in range(500)))
    assert list(await last.get_steps("s")) == [f"{number:03}" for number in range(500)]


async def test_the_tables_may_be_in_another_schema(bouncer_url: str):
    async with JournalStore.from_url(f"{bouncer_url}&schema=jobs") as store:
        await store.init_schema()
        await asyncio.gather(*(store.put_step("s", f"{number}", number) for number in range(20)))
        assert len(await store.get_steps("s")) == 20


async def test_a_journal_is_sealed(clients: list[SQLAlchemyJournalStore], bouncer_url: str):
    await asyncio.gather(*(store.put_step("s", f"{number}", number) for number, store in enumerate(clients)))
    keys = Keyring.generate()
    async with JournalStore.from_url(bouncer_url, keys=keys, allow_unsealed=True) as store:
        assert (await store.reseal()).resealed == CLIENTS
    async with JournalStore.from_url(bouncer_url, keys=keys) as store:
        assert len(await store.get_steps("s")) == CLIENTS


async def test_server_connections_that_end_are_ridden_out(clients: list[SQLAlchemyJournalStore], postgres_url: str):
    await clients[0].put_step("s", "n", 1)
    end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    execute(postgres_url, end_others, database_of(postgres_url))
    await asyncio.gather(*(store.put_step("s", f"{number}", number) for number, store in enumerate(clients)))
    assert len(await clients[0].get_steps("s")) == CLIENTS + 1
