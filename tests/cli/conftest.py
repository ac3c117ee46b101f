"""The surroundings of every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from jeeves_journal import migrations
from tests.cli.records import RECORDS, restore


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a journal without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No journal that the developer has set, and a wide terminal without colours, so that messages can be found."""
    for name in ("JEEVES_JOURNAL_URL", "JEEVES_JOURNAL_KEYS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a journal with tables and without records."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path}/journal.db"
        migrations.upgrade(made)
        return made
    return request.getfixturevalue("migrated_postgres_url")


@pytest.fixture
def journal_file(tmp_path: Path) -> str:
    """The URL of a file with ``RECORDS``, for what no database has a part in."""
    made = f"sqlite:///{tmp_path}/journal.db"
    restore(made, RECORDS)
    return made


@pytest.fixture
def journal(empty: str) -> str:
    """The URL of a journal with ``RECORDS``."""
    restore(empty, RECORDS)
    return empty
