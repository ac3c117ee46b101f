"""What a store says of itself in the log: that it opened, upgraded and tried again, and never what is recorded."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jeeves_journal import JournalStore
from jeeves_journal.testing.calls import recorded
from tests.stores.servers import hanging_up_once

pytestmark = pytest.mark.anyio

VALUE = "a value that nobody else may read"


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records if record.name == "jeeves_journal"]
    assert not [line for line in lines if VALUE in line]
    # SQLite's own versions have their own tests.
    return [line for line in lines if "WAL-reset" not in line]


async def test_the_first_use_of_a_file_tells_of_its_opening_and_its_upgrade(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, "jeeves_journal")
    path = tmp_path / "journal.db"
    for _ in range(2):
        async with JournalStore.from_url(f"sqlite:///{path}") as store:
            await store.put_step("s", "n", VALUE)
            assert await recorded(store, "s", "n") == VALUE
    assert said(caplog) == [
        f"opened SQLite {path}",
        f"SQLite {path}: upgraded to revision head",
        f"opened SQLite {path}",
    ]


async def test_a_call_that_is_made_again_tells_why_and_not_of_the_password(
    migrated_postgres_url: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, "jeeves_journal")
    async with hanging_up_once(migrated_postgres_url, VALUE.encode()) as url, JournalStore.from_url(url) as store:
        await store.put_step("s", "n", VALUE)
        assert await recorded(store, "s", "n") == VALUE
    opened, retried = said(caplog)
    assert opened == f"opened {repr(store).partition('(')[2].removesuffix(')')}"
    assert "trying again after ConnectionDoesNotExistError" in retried
    password = urlsplit(migrated_postgres_url).password
    assert password
    assert password not in opened + retried
