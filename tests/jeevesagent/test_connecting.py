"""PostgresJournalStore.connect takes what JeevesAgent's takes: any DSN of asyncpg's, and the pool's two sizes."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from jeeves_journal import ConfigurationError, PostgresJournalStore, PostgresRuntime
from tests.servers.postgres import PostgresServer
from tests.stores.servers import backends, database_of

pytestmark = pytest.mark.anyio


def on_the_socket(server: PostgresServer, database: str) -> dict[str, str]:
    """Return the ways of naming a Unix socket in a DSN."""
    user, folder, port = f"postgres:{server.password}", server.socket_dir, server.port
    return {
        "in the query": f"postgres://{user}@/{database}?host={folder}&port={port}",
        "all in the query": f"postgresql://?host={folder}&port={port}&user=postgres&password={server.password}&database={database}",
        "in the host, escaped": f"postgresql://{user}@{quote(str(folder), safe='')}:{port}/{database}",
    }


async def serves(dsn: str) -> bool:
    """Return whether a store that is connected by a DSN works."""
    store = await PostgresJournalStore.connect(dsn)
    try:
        await store.init_schema()
        await store.put_step("s", "step", 1)
        entry = await store.get_step("s", "step")
        return entry is not None and entry.value == 1
    finally:
        await store.aclose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "POSTGRESQL", " postgres"])
@pytest.mark.parametrize("query", ["", "?sslmode=disable", "?sslmode=prefer&application_name=agents"])
async def test_both_schemes_and_sslmode(scheme: str, query: str, postgres_url: str) -> None:
    assert await serves(f"{scheme}://{postgres_url.partition('://')[2]}{query}")


@pytest.mark.parametrize("way", ["in the query", "all in the query", "in the host, escaped"])
async def test_unix_sockets(way: str, postgres_url: str, postgres_server: PostgresServer) -> None:
    if not isinstance(postgres_server, PostgresServer):
        pytest.skip("where another server's Unix socket is, we do not know")
    assert await serves(on_the_socket(postgres_server, database_of(postgres_url))[way])


async def test_several_hosts(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    user, _, place = parts.netloc.rpartition("@")
    assert await serves(parts._replace(netloc=f"{user}@{place},{place}").geturl())


async def test_a_server_setting_in_the_query(postgres_url: str) -> None:
    assert await serves(f"{postgres_url}?timezone=UTC")


async def test_server_settings_as_options(postgres_url: str) -> None:
    assert await serves(f"{postgres_url}?options=-c%20timezone%3DUTC")


async def test_what_is_not_in_the_dsn_comes_from_the_environment(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(postgres_url)
    for name, value in {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port),
        "PGUSER": parts.username,
        "PGPASSWORD": parts.password,
        "PGDATABASE": parts.path[1:],
    }.items():
        monkeypatch.setenv(name, value or "")
    assert await serves("postgresql://")


@pytest.mark.parametrize("make", [PostgresJournalStore, PostgresRuntime])
async def test_it_is_connected_when_connect_returns(make: Any, postgres_url: str) -> None:
    connected = await make.connect(postgres_url, min_size=1, max_size=2)
    assert isinstance(connected, make)
    assert len(backends(postgres_url)) == 1
    await connected.aclose()


class TenantsStore(PostgresJournalStore):
    """A subclass whose constructor takes what JeevesAgent's ``connect`` passes, and adds to it."""

    def __init__(self, pool: Any) -> None:
        super().__init__(pool)
        self.tenant = "tenant"


async def test_a_subclass_is_connected_by_its_own_constructor(migrated_postgres_url: str) -> None:
    async with await TenantsStore.connect(migrated_postgres_url) as store:
        assert store.tenant == "tenant"
        await store.put_step("s", "step", 1)
    async with PostgresRuntime(await TenantsStore.connect(migrated_postgres_url)) as runtime:
        assert isinstance(runtime.store, TenantsStore)


async def test_max_size_is_the_most(postgres_url: str) -> None:
    store = await PostgresJournalStore.connect(postgres_url, min_size=1, max_size=2)
    await store.init_schema()
    await asyncio.gather(*(store.put_step("s", str(number), number) for number in range(500)))
    await asyncio.gather(*(store.get_steps("s") for _ in range(50)))
    assert len(backends(postgres_url)) <= 2
    await store.aclose()


@pytest.mark.parametrize("sizes", [{"min_size": 5, "max_size": 2}, {"max_size": 0}, {"min_size": -1}])
async def test_sizes_that_asyncpg_refuses_are_refused(sizes: dict[str, int], migrated_postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match="min_size|max_size"):
        store = await PostgresJournalStore.connect(migrated_postgres_url, **sizes)
        await store.aclose()


@pytest.mark.parametrize("setting", ["ssl=require", "connect_timeout=5"])
async def test_a_setting_that_the_server_does_not_take_is_not_a_fault_that_passes(
    setting: str, postgres_url: str
) -> None:
    with pytest.raises(ConfigurationError, match="a setting in the URL"):
        await PostgresJournalStore.connect(f"{postgres_url}?{setting}")


@pytest.mark.parametrize("dsn", ["sqlite:///journal.db", "memory://", "host=localhost", "", None])
async def test_what_is_no_dsn_is_refused_by_a_message_that_names_the_schemes(dsn: Any) -> None:
    with pytest.raises(ConfigurationError, match="postgres://"):
        await PostgresJournalStore.connect(dsn)
