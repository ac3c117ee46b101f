"""Users that may not create tables."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from jeeves_journal import ConfigurationError, SchemaError, migrations
from tests.migrations import jeeves_agent
from tests.migrations.databases import TABLES, VERSION_TABLE, query, revision_of, schema_names, table_names
from tests.migrations.ways import alembic, alembic_succeeds, by_create_tables, by_first_use, by_init_schema

pytestmark = pytest.mark.migrations

UPGRADING: dict[str, Callable[[str], None]] = {
    "alembic upgrade head": lambda url: alembic_succeeds("upgrade", "head", url=url) and None,
    "migrations.upgrade": migrations.upgrade,
    "init_schema": by_init_schema,
    "create_tables=True": by_create_tables,
}


@pytest.fixture
def guest_url(postgres_url: str) -> Iterator[str]:
    """The URL of ``postgres_url``'s database for a user that may read and write rows, and create nothing."""
    name, password = f"guest_{secrets.token_hex(4)}", secrets.token_hex(8)
    query(postgres_url, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    query(postgres_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    query(postgres_url, f"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE ON TABLES TO {name}")
    split = urlsplit(postgres_url)
    yield split._replace(netloc=f"{name}:{password}@{split.netloc.rpartition('@')[2]}").geturl()
    query(postgres_url, f"DROP OWNED BY {name}")
    query(postgres_url, f"DROP ROLE {name}")


@pytest.mark.parametrize("way", UPGRADING)
def test_current_tables_need_no_privilege_to_be_upgraded(way: str, guest_url: str, postgres_url: str) -> None:
    migrations.upgrade(postgres_url)
    UPGRADING[way](guest_url)
    assert revision_of(postgres_url) == migrations.HEAD


def test_current_tables_need_no_privilege_to_be_checked(guest_url: str, postgres_url: str) -> None:
    migrations.upgrade(postgres_url)
    migrations.check(guest_url)
    assert migrations.current(guest_url) == migrations.HEAD


def test_current_tables_in_a_schema_need_no_privilege_to_be_upgraded(guest_url: str, postgres_url: str) -> None:
    migrations.upgrade(postgres_url, schema="elsewhere")
    query(postgres_url, "GRANT USAGE ON SCHEMA elsewhere TO PUBLIC")
    migrations.upgrade(guest_url, schema="elsewhere")
    alembic_succeeds("-x", "schema=elsewhere", "upgrade", "head", url=guest_url)
    migrations.check(guest_url, schema="elsewhere")


@pytest.mark.parametrize("way", ["migrations.upgrade", "init_schema", "create_tables=True"])
def test_without_tables_the_lack_of_the_privilege_is_a_configuration_error(way: str, guest_url: str) -> None:
    with pytest.raises(ConfigurationError, match="lacks a privilege"):
        UPGRADING[way](guest_url)
    assert table_names(guest_url) == set()


def test_without_tables_alembic_says_so_too(guest_url: str) -> None:
    ended = alembic("upgrade", "head", url=guest_url)
    assert ended.returncode != 0
    assert "lacks a privilege" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_schema_that_cannot_be_made_is_a_configuration_error(guest_url: str) -> None:
    with pytest.raises(ConfigurationError, match="lacks a privilege"):
        migrations.upgrade(guest_url, schema="elsewhere")
    assert "elsewhere" not in schema_names(guest_url)


def test_without_tables_who_may_not_create_them_is_told_the_commands(guest_url: str) -> None:
    with pytest.raises(SchemaError, match="alembic upgrade head"):
        by_first_use(guest_url)


def test_jeeves_agents_tables_need_no_privilege_to_be_used(guest_url: str, postgres_url: str) -> None:
    jeeves_agent.record_runs(postgres_url)
    by_first_use(guest_url)
    assert table_names(postgres_url) == set(TABLES)


def test_jeeves_agents_tables_cannot_be_upgraded_without_the_privilege(guest_url: str, postgres_url: str) -> None:
    jeeves_agent.record_runs(postgres_url)
    with pytest.raises(ConfigurationError, match="lacks a privilege"):
        migrations.upgrade(guest_url)
    assert VERSION_TABLE not in table_names(postgres_url)


@pytest.mark.parametrize("use", [by_first_use, by_create_tables])
def test_tables_that_lack_a_revision_that_only_adds_need_no_privilege_to_be_used(
    use: Callable[[str], None], guest_url: str, postgres_url: str
) -> None:
    migrations.upgrade(postgres_url, "1_inline_values")
    use(guest_url)
    assert revision_of(postgres_url) == "1_inline_values"


def test_tables_that_lack_a_revision_cannot_be_upgraded_without_the_privilege(
    guest_url: str, postgres_url: str
) -> None:
    migrations.upgrade(postgres_url, "1_inline_values")
    with pytest.raises(ConfigurationError, match="lacks a privilege"):
        migrations.upgrade(guest_url)
    assert revision_of(postgres_url) == "1_inline_values"
