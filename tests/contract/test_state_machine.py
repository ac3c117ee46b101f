"""Random calls leave a store and a plain dict with the same answers."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from jeeves_journal import JournalStore
from tests.contract.operating_machine import OperatedStoreAndDict
from tests.contract.running_machine import Opened


def assert_no_difference(url: str, *, durable: bool) -> None:
    examples = count()
    with asyncio.Runner() as runner:
        opened = Opened(lambda: JournalStore.from_url(url), durable=durable)
        try:
            run_state_machine_as_test(
                lambda: OperatedStoreAndDict(runner, opened, f"example-{next(examples)}-"),
                settings=settings(max_examples=60, stateful_step_count=30),
            )
        finally:
            runner.run(opened.store.aclose())


def test_memory_and_a_dict_agree() -> None:
    assert_no_difference("memory://", durable=False)


def test_a_sqlite_file_and_a_dict_agree(tmp_path: Path) -> None:
    assert_no_difference(f"sqlite+aiosqlite:///{tmp_path}/journal.db", durable=True)


def test_sqlite_in_memory_and_a_dict_agree() -> None:
    assert_no_difference("sqlite+aiosqlite:///:memory:", durable=False)


def test_postgres_and_a_dict_agree(migrated_postgres_url: str) -> None:
    assert_no_difference(migrated_postgres_url, durable=True)
