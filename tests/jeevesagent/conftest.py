"""What stands in the way of running without JeevesAgent, and databases in which it may have been before."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

# The package is needed in this folder only, and `nox -s jeevesagent` brings it. Where it is missing, as in the ordinary
# suite, nothing here is collected: a test that cannot run must not look like one that was skipped.
collect_ignore_glob = [] if find_spec("jeevesagent") else ["test_*.py"]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist."""
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database: each test runs on both."""
    return request.getfixturevalue(f"{request.param}_url")
