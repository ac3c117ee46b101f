"""What the tests of stores share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores.rows import PostgresRows, Rows, SqliteRows


@pytest.fixture(params=["sqlite", "postgres"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Rows:
    """A journal on each database, to be looked at and changed by plain SQL; a file is made by its first store."""
    if request.param == "sqlite":
        return SqliteRows(tmp_path / "journal.db")
    return PostgresRows(request.getfixturevalue("migrated_postgres_url"))
