"""The names that the package offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from inspect import isfunction
from typing import get_type_hints

import pytest

import jeeves_journal

USE_IN_MEMORY = """
import asyncio, sys
import jeeves_journal

async def use():
    async with jeeves_journal.InMemoryJournalStore() as store:
        await store.put_step("run-1", "fetch", 1)
        assert (await store.get_step("run-1", "fetch")).value == 1

asyncio.run(use())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("name", jeeves_journal.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    value = getattr(jeeves_journal, name)
    assert getattr(value, "__name__", name) == name


@pytest.mark.parametrize("name", sorted({*jeeves_journal.__all__} - {"StoreOptions", "metadata"}))
def test_the_type_hints_of_a_public_name_can_be_resolved(name: str) -> None:
    # Not of StoreOptions, which comes before the codecs that it names, nor of metadata, which is SQLAlchemy's.
    value = getattr(jeeves_journal, name)
    get_type_hints(value)
    if isinstance(value, type):
        for method in filter(isfunction, vars(value).values()):
            get_type_hints(method)


def test_the_public_names_are_sorted_and_listed_by_dir() -> None:
    assert sorted(jeeves_journal.__all__) == jeeves_journal.__all__
    assert set(jeeves_journal.__all__) <= set(dir(jeeves_journal))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'jeeves_journal' has no attribute 'Journal'"):
        _ = jeeves_journal.Journal  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def test_the_protocols_list_from_url() -> None:
    assert "from_url" in dir(jeeves_journal.JournalStore)


def test_neither_the_package_nor_its_in_memory_store_loads_a_database_library() -> None:
    command = [sys.executable, "-W", "error", "-c", USE_IN_MEMORY]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "jeeves_journal" in loaded
    assert not {"sqlalchemy", "alembic", "aiosqlite", "asyncpg", "typer", "pytest"} & set(loaded)


def test_neither_does_the_url_of_the_in_memory_store() -> None:
    code = "import sys, jeeves_journal; jeeves_journal.JournalStore.from_url('memory://'); print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "alembic", "aiosqlite", "asyncpg"} & set(loaded)
