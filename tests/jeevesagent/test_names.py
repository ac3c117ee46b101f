"""The names that JeevesAgent's users import stand for the same things here."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import asyncpg
import jeevesagent.runtime as theirs
import pytest
from jeevesagent.core import protocols

import jeeves_journal as ours
from tests.jeevesagent.runtimes import our_store, their_store

NAMES = [
    "InMemoryJournalStore",
    "JournalEntry",
    "JournalStore",
    "JournaledRuntime",
    "PostgresJournalStore",
    "PostgresRuntime",
    "SqliteJournalStore",
    "SqliteRuntime",
]
PUBLIC = [(name, member) for name in NAMES for member in dir(getattr(theirs, name)) if not member.startswith("_")]
CALLABLE = [(name, member) for name, member in PUBLIC if callable(getattr(getattr(theirs, name), member))]
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Return the name, kind and default of each parameter that is not variadic."""
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in found if one.kind not in VARIADIC]


@pytest.mark.parametrize("name", NAMES)
def test_constructors_take_what_theirs_take_in_the_same_order(name: str) -> None:
    wanted = parameters(getattr(theirs, name))
    assert parameters(getattr(ours, name))[: len(wanted)] == wanted


@pytest.mark.parametrize(("name", "member"), CALLABLE)
def test_methods_take_what_theirs_take_in_the_same_order(name: str, member: str) -> None:
    wanted = parameters(getattr(getattr(theirs, name), member))
    taken = parameters(getattr(getattr(ours, name), member))
    # Ours takes idempotency_key among **kwargs: no signature can name it and keep the function's own parameters.
    assert taken == [parameter for parameter in wanted if parameter[0] != "idempotency_key"]


@pytest.mark.parametrize(("name", "member"), PUBLIC)
def test_each_member_is_of_the_same_kind(name: str, member: str) -> None:
    mine, yours = (inspect.getattr_static(getattr(package, name), member) for package in (ours, theirs))
    assert type(mine) is type(yours)


@pytest.mark.parametrize("name", ["JournaledRuntime", "SqliteRuntime", "PostgresRuntime"])
def test_runtimes_carry_the_same_name(name: str) -> None:
    assert getattr(ours, name).name == getattr(theirs, name).name


def test_an_entry_is_made_the_same_way() -> None:
    entry = ours.JournalEntry(value=[1], created_at=2.0)
    assert repr(entry) == repr(theirs.JournalEntry(value=[1], created_at=2.0))
    with pytest.raises(FrozenInstanceError):
        entry.value = 2  # type: ignore[misc]


def test_runtimes_satisfy_jeevesagents_protocol(tmp_path: Path) -> None:
    assert isinstance(ours.JournaledRuntime(), protocols.Runtime)
    assert isinstance(ours.SqliteRuntime(tmp_path / "journal.db"), protocols.Runtime)


@pytest.mark.anyio
@pytest.mark.parametrize("package", [ours, theirs])
async def test_a_session_has_an_id_and_takes_signals(package: Any) -> None:
    runtime = package.JournaledRuntime()
    async with runtime.session("s") as session:
        assert session.id == "s"
        assert await session.deliver("approved", True) is None
        assert await runtime.signal("s", "approved", True) is None
        assert await runtime.signal("unknown", "approved", True) is None


@pytest.mark.anyio
async def test_our_stores_satisfy_their_protocol_and_theirs_ours(url: str) -> None:
    assert isinstance(ours.InMemoryJournalStore(), theirs.JournalStore)
    assert isinstance(theirs.InMemoryJournalStore(), ours.JournalStore)
    async with our_store(url) as mine, their_store(url) as yours:
        assert isinstance(mine, theirs.JournalStore)
        assert isinstance(yours, ours.JournalStore)


@pytest.mark.anyio
@pytest.mark.parametrize("package", [ours, theirs])
async def test_a_runtime_over_a_pool_is_what_its_class_says(package: Any, postgres_url: str) -> None:
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as pool:
        runtime = package.PostgresRuntime(pool)
        assert isinstance(runtime, package.JournaledRuntime)
        assert isinstance(runtime, protocols.Runtime)
        assert isinstance(runtime.store, package.PostgresJournalStore)


@pytest.mark.parametrize("package", [ours, theirs])
@pytest.mark.parametrize("make", ["SqliteJournalStore", "SqliteRuntime"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_comes_back_and_its_folders_are_made_at_once(package: Any, make: str, kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "some" / "folder" / "journal.db"
    assert getattr(package, make)(kind(path)).path == path
    assert path.parent.is_dir()


@pytest.mark.anyio
@pytest.mark.parametrize("package", [ours, theirs])
async def test_idempotency_key_is_taken_and_not_passed_on(package: Any) -> None:
    async def double(number: int) -> int:
        return 2 * number

    runtime = package.JournaledRuntime()
    async with runtime.session("s"):
        assert await runtime.step("in", double, 2, idempotency_key="k") == 4
    assert await runtime.step("out", double, number=3, idempotency_key=None) == 6


@pytest.mark.anyio
@pytest.mark.parametrize("package", [ours, theirs])
async def test_keys_in_memory_are_listed_in_the_order_of_their_first_put(package: Any) -> None:
    store = package.InMemoryJournalStore()
    for session_id, name in (("s", "b"), ("t", "b"), ("s", "a"), ("s", "b")):
        await store.put_step(session_id, name, 1)
        await store.put_stream(session_id, name, [1])
    assert store.step_keys() == store.stream_keys() == [("s", "b"), ("t", "b"), ("s", "a")]
