"""What a Postgres that refuses something is to a caller: an error that names what, and never with a password."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from jeeves_journal import (
    ConfigurationError,
    EncodeError,
    JournalEntry,
    JournalStore,
    PostgresJournalStore,
    StoreUnavailableError,
)
from jeeves_journal.testing.calls import recorded
from tests.servers.postgres import execute
from tests.stores.calls import EVERY_CALL, SECRET, Call, error_of, put
from tests.stores.servers import (
    closed_port,
    database_of,
    faster_than,
    limited_user,
    with_database,
    with_user,
)

pytestmark = pytest.mark.anyio


async def test_a_wrong_password(migrated_postgres_url: str):
    with limited_user(migrated_postgres_url) as url:
        user = url.partition("://")[2].partition(":")[0]
        try:
            execute(with_user(url, user, SECRET), "SELECT 1")
        except Exception:
            error = await error_of(with_user(url, user, SECRET), put)
        else:
            pytest.skip("this server asks nobody for a password")
    assert type(error) is ConfigurationError
    assert "password" in str(error)


async def test_a_user_who_does_not_exist(migrated_postgres_url: str):
    error = await error_of(with_user(migrated_postgres_url, "nobody_of_that_name", SECRET), put)
    assert type(error) is ConfigurationError
    assert "user" in str(error)


@EVERY_CALL
async def test_a_database_that_does_not_exist(migrated_postgres_url: str, call: Call):
    error = await error_of(with_database(migrated_postgres_url, "no_such_database"), call)
    assert type(error) is ConfigurationError
    assert "does not exist" in str(error)
    assert "no_such_database" in str(error)


@pytest.mark.parametrize("options", [{}, {"schema": "new_one"}], ids=["public", "new schema"])
async def test_a_user_who_may_not_create_tables(postgres_url: str, options: dict[str, str]):
    with limited_user(postgres_url) as url:
        error = await error_of(url, lambda store: store.init_schema(), **options)
        assert type(error) is ConfigurationError
        assert "privilege" in str(error)
        error = await error_of(url, put, create_tables=True, **options)
        assert type(error) is ConfigurationError


async def test_a_user_who_may_use_the_tables_needs_no_right_to_create_any(migrated_postgres_url: str):
    with limited_user(migrated_postgres_url) as url:
        user = url.partition("://")[2].partition(":")[0]
        execute(migrated_postgres_url, f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {user}")
        for create_tables in (False, True):
            async with JournalStore.from_url(url, create_tables=create_tables) as store:
                await store.put_step("s", "n", 1)
                await store.init_schema()
                assert await recorded(store, "s", "n") == 1


async def test_a_user_who_may_only_read(migrated_postgres_url: str):
    with limited_user(migrated_postgres_url) as url:
        user = url.partition("://")[2].partition(":")[0]
        execute(migrated_postgres_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}")
        async with JournalStore.from_url(url) as store:
            assert await store.get_step("s", "n") is None
        error = await error_of(url, put)
    assert type(error) is ConfigurationError
    assert "privilege" in str(error)


async def test_a_user_who_may_only_use_the_five_methods_tables_and_not_the_version_table(migrated_postgres_url: str):
    with limited_user(migrated_postgres_url) as url:
        user = url.partition("://")[2].partition(":")[0]
        execute(migrated_postgres_url, f"GRANT SELECT, INSERT, UPDATE ON journal_steps, journal_streams TO {user}")
        async with JournalStore.from_url(url) as store:
            await store.put_step("s", "n", 1)
            assert await recorded(store, "s", "n") == 1


async def test_a_database_that_takes_no_writes(migrated_postgres_url: str):
    execute(
        migrated_postgres_url, f"ALTER DATABASE {database_of(migrated_postgres_url)} SET transaction_read_only = on"
    )
    execute(
        migrated_postgres_url,
        f"ALTER DATABASE {database_of(migrated_postgres_url)} SET default_transaction_read_only = on",
    )
    assert type(await error_of(migrated_postgres_url, put, timeout=3)) is StoreUnavailableError


@pytest.fixture
def latin_url(postgres_url: str) -> Iterator[str]:
    """The URL of a database whose encoding holds 256 characters."""
    latin = f"{database_of(postgres_url)}_latin"
    execute(postgres_url, f"CREATE DATABASE {latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        yield with_database(postgres_url, latin)
    finally:
        execute(postgres_url, f"DROP DATABASE {latin} WITH (FORCE)")


async def test_text_that_the_databases_encoding_lacks(latin_url: str):
    async with JournalStore.from_url(latin_url, create_tables=True) as store:
        await store.put_step("s", "é", 1)
        puts = [store.put_step("s", name, 1) for name in ("before", "日本", "after")]
        before, refused, after = await asyncio.gather(*puts, return_exceptions=True)
        assert isinstance(refused, EncodeError)
        assert before is after is None
        assert len(await store.get_steps("s")) == 3
        gets = [store.get_step("s", name) for name in ("before", "日本", "after", "none")]
        before, refused, after, none = await asyncio.gather(*gets, return_exceptions=True)
        assert isinstance(refused, EncodeError)
        assert isinstance(before, JournalEntry)
        assert isinstance(after, JournalEntry)
        assert none is None


async def test_keys_that_together_hold_all_that_the_databases_encoding_has(latin_url: str):
    characters = "".join(map(chr, range(0x01, 0x100)))
    keys = [characters, *characters]
    async with JournalStore.from_url(latin_url, create_tables=True) as store:
        await asyncio.gather(*(store.put_step("s", key, key) for key in keys))
        entries = await asyncio.gather(*(store.get_step("s", key) for key in keys))
        assert [entry and entry.value for entry in entries] == keys


@pytest.mark.parametrize(
    "query", ["sslmode=nonsense", "sslmode=verify-full", "target_session_attrs=nonsense", "jit=maybe"]
)
async def test_a_setting_that_cannot_be_used(migrated_postgres_url: str, query: str):
    error = await error_of(f"{migrated_postgres_url}?{query}", put, timeout=5)
    assert isinstance(error, ConfigurationError | StoreUnavailableError)


@pytest.mark.parametrize("option", ["sslrootcert", "sslcert", "sslcrl"])
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "nonsense"])
async def test_a_tls_file_that_cannot_be_read(
    migrated_postgres_url: str, tmp_path: Path, option: str, content: str | None
):
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    error = await error_of(f"{migrated_postgres_url}?sslmode=require&{option}={file}", put, timeout=5)
    assert type(error) is ConfigurationError
    assert (option if content is None else "TLS file") in str(error)


async def test_a_socket_that_is_not_there_is_no_fault_of_the_tls_files(tmp_path: Path):
    file = tmp_path / "file.pem"
    file.touch()
    error = await error_of(f"postgresql://u:p@/db?host={tmp_path}&sslrootcert={file}", put, timeout=5)
    assert type(error) is StoreUnavailableError


async def test_a_port_that_there_cannot_be():
    error = await error_of(f"postgresql://u:{SECRET}@127.0.0.1:99999/db", put)
    assert type(error) is ConfigurationError


async def test_a_schema_that_the_server_keeps_for_itself(postgres_url: str):
    error = await error_of(postgres_url, put, schema="pg_journal", create_tables=True)
    assert type(error) is ConfigurationError
    assert "pg_" in str(error)


async def test_options_that_the_server_cannot_read(migrated_postgres_url: str):
    error = await error_of(f"{migrated_postgres_url}?options=-c%20nonsense", put)
    assert type(error) is ConfigurationError
    assert "URL" in str(error)


async def test_connecting_by_the_named_store_fails_at_once_with_the_same_errors(migrated_postgres_url: str):
    with faster_than(3), pytest.raises(StoreUnavailableError):
        await PostgresJournalStore.connect(f"postgresql://u:p@127.0.0.1:{closed_port()}/db")
    with pytest.raises(ConfigurationError, match="does not exist"):
        await PostgresJournalStore.connect(with_database(migrated_postgres_url, "no_such_database"))
