"""Operations on a Postgres where every transaction sees one snapshot unless it says otherwise."""

from __future__ import annotations

import asyncio

import pytest

from jeeves_journal import AlreadyRecordedError, JournalStore, StoredRecord
from tests.operations.records import record, steps_of
from tests.servers.postgres import execute
from tests.stores.rows import outcomes
from tests.stores.servers import database_of

pytestmark = pytest.mark.anyio

TIMES = 10


@pytest.fixture(params=["repeatable read", "serializable"])
async def strict_url(request: pytest.FixtureRequest, migrated_postgres_url: str) -> str:
    """The URL of a database with such a default."""
    setting = (
        f"ALTER DATABASE {database_of(migrated_postgres_url)} SET default_transaction_isolation = '{request.param}'"
    )
    await asyncio.to_thread(execute, migrated_postgres_url, setting)
    return migrated_postgres_url


def is_refused(outcome: object) -> bool:
    return isinstance(outcome, AlreadyRecordedError)


async def test_of_forks_onto_one_target_at_once_one_is_made(strict_url: str) -> None:
    async with JournalStore.from_url(strict_url) as one, JournalStore.from_url(strict_url) as other:
        # With no name in common, which a primary key would refuse.
        await record(one, "run-1", *(f"a{number}" for number in range(20)))
        await record(other, "run-2", *(f"b{number}" for number in range(20)))
        for number in range(TIMES):
            target = f"copy-{number}"
            found = await outcomes([one.fork_session("run-1", target), other.fork_session("run-2", target)])
            assert sorted(map(is_refused, found)) == [False, True]
            assert len(await steps_of(one, target)) == 20


async def test_of_different_sessions_that_are_restored_at_once_one_is(strict_url: str) -> None:
    async with JournalStore.from_url(strict_url) as one, JournalStore.from_url(strict_url) as other:
        await outcomes([store.sessions() for store in (one, other)])
        for number in range(TIMES):
            session_id = f"run-{number}"
            records = [
                [StoredRecord("step", session_id, f"{name}{each}", b".", 1.0) for each in range(20)] for name in "ab"
            ]
            found = await outcomes(
                store.restore_session(session_id, each) for store, each in zip((one, other), records, strict=True)
            )
            assert sorted(map(is_refused, found)) == [False, True]
            assert len(await one.steps(session_id)) == 20
