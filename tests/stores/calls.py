"""Calls that must fail, and what they fail with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jeeves_journal import JournalError, JournalStore, SQLAlchemyJournalStore

SECRET = "hunter2-secret"
EVERY_CALL = pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get_step("s", "n"),
        lambda store: store.put_step("s", "n", 1),
        lambda store: store.get_stream("s", "n"),
        lambda store: store.get_steps("s"),
        lambda store: store.init_schema(),
    ],
    ids=["get", "put", "get_stream", "get_steps", "init_schema"],
)
Call = Callable[[SQLAlchemyJournalStore], Any]


async def error_of(url: str, call: Call, **options: Any) -> JournalError:
    """Return what a call raises, having looked for SECRET in it."""
    async with JournalStore.from_url(url, **options) as store:
        with pytest.raises(JournalError) as failed:
            await call(store)
    assert SECRET not in f"{failed.value}{failed.value!r}"
    return failed.value


def put(store: SQLAlchemyJournalStore) -> Any:
    """Put a step."""
    return store.put_step("s", "n", 1)
