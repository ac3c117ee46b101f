"""A journal serves both packages, in either order: one keeps what it has when it changes the import, and back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import migrations
from tests.jeevesagent.agents import ANSWER, BEFORE_THE_LAST_TURN, PROMPT, WHOLE_RUN, Ledger, make_agent
from tests.jeevesagent.runtimes import EVERY_WAY, RUNTIMES, our_store, their_store
from tests.migrations.databases import TABLES, is_sqlite, query, revision_of, rows_of, table_names
from tests.stores.processes import environment

VALUES = {
    "none": None,
    "text": "Größe \0 \N{PILE OF POO}",
    "bytes": bytes(range(256)),
    "nested": {"a": [1, 2.5, (None, {"b"})]},
    "path": Path("x"),
    "a pickle's last byte": b".",
    "long": "x" * 1_000_000,
}


class InterruptedRunError(Exception):
    """Stands for whatever ends a run in the middle."""


def interrupt() -> None:
    raise InterruptedRunError


async def run_until_interrupted(kind: str, url: str, ledger: Ledger) -> None:
    async with RUNTIMES[kind](url) as runtime:
        with pytest.raises(InterruptedRunError):
            await make_agent(runtime, ledger, interrupt).run(PROMPT, session_id="s")


async def resume(kind: str, url: str, ledger: Ledger) -> str:
    async with RUNTIMES[kind](url) as runtime:
        return (await make_agent(runtime, ledger).resume("s", PROMPT)).output


def by_alembic(url: str) -> None:
    command = [sys.executable, "-m", "alembic", "-x", f"url={url}", "upgrade", "head"]
    subprocess.run(command, cwd=Path(__file__).parents[2], env=environment(), check=True, capture_output=True)


def by_init_schema(url: str) -> None:
    async def use() -> None:
        async with our_store(url):
            pass

    asyncio.run(use())


def by_first_use(url: str) -> None:
    async def use() -> None:
        async with RUNTIMES["our named store"](url) as runtime:
            await runtime.store.get_step("any", "any")

    asyncio.run(use())


ADOPTIONS = [by_alembic, migrations.upgrade, by_init_schema, by_first_use]


@pytest.mark.parametrize(("database", "kind"), EVERY_WAY)
def test_a_run_that_jeevesagent_began_is_resumed_here(
    database: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url, ledger = request.getfixturevalue(f"{database}_url"), Ledger(tmp_path / "ledger")
    asyncio.run(run_until_interrupted("their runtime", url, ledger))
    assert ledger.lines() == BEFORE_THE_LAST_TURN
    assert asyncio.run(resume(kind, url, ledger)) == ANSWER
    assert ledger.lines() == WHOLE_RUN


@pytest.mark.parametrize(("database", "kind"), EVERY_WAY)
def test_a_run_that_began_here_is_resumed_by_jeevesagent(
    database: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url, ledger = request.getfixturevalue(f"{database}_url"), Ledger(tmp_path / "ledger")
    asyncio.run(run_until_interrupted(kind, url, ledger))
    assert ledger.lines() == BEFORE_THE_LAST_TURN
    assert asyncio.run(resume("their runtime", url, ledger)) == ANSWER
    assert ledger.lines() == WHOLE_RUN


@pytest.mark.parametrize("adopt", ADOPTIONS)
def test_adoption_rewrites_no_row_and_jeevesagent_goes_on(adopt: Callable[[str], Any], url: str) -> None:
    async def record() -> None:
        async with their_store(url) as yours:
            for name, value in VALUES.items():
                await yours.put_step("s", name, value)
                await yours.put_stream("s", name, [value, value])

    async def go_on() -> None:
        async with their_store(url) as yours:
            await yours.put_step("s", "text", "new")
            for name, value in {**VALUES, "text": "new"}.items():
                entry = await yours.get_step("s", name)
                assert entry is not None and entry.value == value

    asyncio.run(record())
    before = rows_of(url)
    adopt(url)
    assert revision_of(url) == migrations.HEAD
    assert rows_of(url) == before
    asyncio.run(go_on())


@pytest.mark.anyio
async def test_each_reads_what_the_other_wrote_and_overwrote_while_both_are_open(url: str) -> None:
    async with their_store(url) as yours, our_store(url) as mine:
        for writer, reader in ((yours, mine), (mine, yours), (yours, mine)):
            for name, plain in VALUES.items():
                value = type(writer).__module__, plain
                await writer.put_step("s", name, value)
                await writer.put_stream("s", name, [value])
                entry = await reader.get_step("s", name)
                assert entry is not None and entry.value == value
                assert await reader.get_stream("s", name) == [value]


@pytest.mark.anyio
async def test_a_session_of_both_is_listed_in_recorded_order(url: str) -> None:
    async with their_store(url) as yours, our_store(url) as mine:
        await yours.put_step("s", "b", 1)
        await asyncio.sleep(0.01)
        await mine.put_step("s", "a", 2)
        await asyncio.sleep(0.01)
        await yours.put_step("s", "c", 3)
        steps = await mine.get_steps("s")
        assert [(name, entry.value) for name, entry in steps.items()] == [("b", 1), ("a", 2), ("c", 3)]


@pytest.mark.anyio
async def test_an_empty_stream_and_a_recorded_none_stay_what_they_are(url: str) -> None:
    async with their_store(url) as yours, our_store(url) as mine:
        for writer, reader in ((yours, mine), (mine, yours)):
            await writer.put_step("s", "none", None)
            await writer.put_stream("s", "empty", [])
            entry = await reader.get_step("s", "none")
            assert entry is not None and entry.value is None
            assert await reader.get_stream("s", "empty") == []
            assert await reader.get_stream("s", "unknown") is None


def test_going_back_for_good_leaves_jeevesagent_every_row(url: str) -> None:
    async def record() -> None:
        async with our_store(url) as mine:
            for name, value in VALUES.items():
                await mine.put_step("s", name, value)

    async def read() -> None:
        async with their_store(url) as yours:
            for name, value in VALUES.items():
                assert (await yours.get_step("s", name)).value == value

    asyncio.run(record())
    migrations.downgrade(url, "base")
    if is_sqlite(url):
        assert query(url, "PRAGMA journal_mode = DELETE") == [("delete",)]
    assert table_names(url) == set(TABLES)
    asyncio.run(read())
