"""Models and migrations give the same schema on both databases, made anew or taken over from JeevesAgent."""

from __future__ import annotations

import pytest

from jeeves_journal import migrations
from tests.migrations import jeeves_agent
from tests.migrations.catalogue import schema_of
from tests.migrations.databases import TABLES, VERSION_TABLE, query, revision_of, table_names
from tests.migrations.ways import MIGRATING, by_first_use, by_models
from tests.servers.postgres import fresh_database

pytestmark = pytest.mark.migrations


@pytest.fixture
def models_schema(request: pytest.FixtureRequest, url: str) -> dict[str, object]:
    """The schema that ``metadata.create_all`` makes on the database that ``url`` names the kind of."""
    if url.startswith("sqlite"):
        models_url = url.replace("journal.db", "models.db")
        by_models(models_url)
        return schema_of(models_url)
    with fresh_database(request.getfixturevalue("postgres_server")) as models_url:
        by_models(models_url)
        return schema_of(models_url)


@pytest.mark.parametrize("way", MIGRATING)
def test_fresh_tables_are_those_of_the_models(way: str, url: str, models_schema: dict[str, object]) -> None:
    MIGRATING[way](url)
    assert schema_of(url) == models_schema
    assert table_names(url) == {*TABLES, VERSION_TABLE}
    assert revision_of(url) == migrations.HEAD


@pytest.mark.parametrize("way", MIGRATING)
def test_adopted_tables_are_those_of_the_models(way: str, agent_url: str, models_schema: dict[str, object]) -> None:
    MIGRATING[way](agent_url)
    assert schema_of(agent_url) == models_schema


def test_first_use_makes_the_models_tables_on_sqlite(sqlite_url: str) -> None:
    models_url = sqlite_url.replace("journal.db", "models.db")
    by_models(models_url)
    by_first_use(sqlite_url)
    assert schema_of(sqlite_url) == schema_of(models_url)


def test_first_use_adopts_on_sqlite(agent_sqlite_url: str) -> None:
    models_url = agent_sqlite_url.replace("journal.db", "models.db")
    by_models(models_url)
    by_first_use(agent_sqlite_url)
    assert schema_of(agent_sqlite_url) == schema_of(models_url)
    assert revision_of(agent_sqlite_url) == migrations.HEAD


def test_keys_collate_by_bytes_on_postgres(agent_postgres_url: str) -> None:
    migrations.upgrade(agent_postgres_url)
    for described in schema_of(agent_postgres_url).values():
        assert {name: collation for name, _, _, collation, *_ in described["columns"] if collation} == {
            "session_id": "C",
            "step_name": "C",
        }
        assert [collations for *_, collations in described["indexes"]] == [["C"], ["C", "C"]]


def test_half_of_jeeves_agents_tables_is_completed(url: str, models_schema: dict[str, object]) -> None:
    jeeves_agent.record_runs(url)
    query(url, "DROP TABLE journal_streams")
    migrations.upgrade(url)
    assert schema_of(url) == models_schema
