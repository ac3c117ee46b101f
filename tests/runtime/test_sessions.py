"""Which session a step belongs to."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from jeeves_journal import InvalidKeyError, JournaledRuntime
from tests.runtime.stores import FiveMethodStore, Gate, Work

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_a_session_has_its_id() -> None:
    async with JournaledRuntime().session("run-1") as session:
        assert session.id == "run-1"


async def test_a_step_is_recorded_under_the_current_session() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        await runtime.step("a", Work())
    assert runtime.store.step_keys() == [("run-1", "a")]


async def test_after_its_end_a_session_is_not_current() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        pass
    await runtime.step("a", Work())
    assert runtime.store.step_keys() == []


async def test_an_error_inside_a_session_comes_out_and_ends_it() -> None:
    runtime = JournaledRuntime()
    with pytest.raises(ZeroDivisionError):
        async with runtime.session("run-1"):
            raise ZeroDivisionError
    await runtime.step("a", Work())
    assert runtime.store.step_keys() == []


async def test_tasks_started_inside_a_session_are_in_it() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.step, "a", Work())
        tasks.start_soon(runtime.step, "b", Work())
    assert sorted(runtime.store.step_keys()) == [("run-1", "a"), ("run-1", "b")]


async def test_sessions_nest_and_the_outer_one_returns() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("outer"):
        async with runtime.session("inner"):
            await runtime.step("a", Work())
        await runtime.step("b", Work())
    assert runtime.store.step_keys() == [("inner", "a"), ("outer", "b")]


async def test_a_step_of_another_runtime_is_outside_the_session() -> None:
    runtime, other = JournaledRuntime(), JournaledRuntime()
    work = Work()
    async with runtime.session("run-1"):
        await other.step("a", work)
        await other.step("a", work)
    assert work.runs == 2
    assert other.store.step_keys() == []


async def test_nested_sessions_of_two_runtimes_each_find_their_own() -> None:
    runtime, other = JournaledRuntime(), JournaledRuntime()
    async with runtime.session("run-1"), other.session("run-2"):
        await runtime.step("a", Work())
        await other.step("b", Work())
    assert runtime.store.step_keys() == [("run-1", "a")]
    assert other.store.step_keys() == [("run-2", "b")]


async def test_two_runtimes_over_one_store_see_each_others_records() -> None:
    runtime = JournaledRuntime()
    other = JournaledRuntime(runtime.store)
    async with runtime.session("run-1"):
        await runtime.step("a", Work(), "first")
    async with other.session("run-1"):
        assert await other.step("a", Work(), "second") == "first"


async def test_sessions_of_one_id_that_are_open_at_once_share_a_handle() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1") as first, runtime.session("run-1") as second:
        assert first is second


async def test_sessions_of_two_runtimes_do_not_share_a_handle() -> None:
    async with JournaledRuntime().session("run-1") as first, JournaledRuntime().session("run-1") as second:
        assert first is not second


async def test_the_handle_stays_until_the_last_of_its_sessions_ends() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1") as outer:
        async with runtime.session("run-1"):
            pass
        async with runtime.session("run-1") as again:
            assert again is outer


async def test_a_session_opened_later_has_a_new_handle() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1") as first:
        pass
    async with runtime.session("run-1") as second:
        assert first is not second


@pytest.mark.parametrize("session_id", ["", "a\0b", "\ud800", "x" * 1001, 7, None])
async def test_a_session_id_that_no_store_accepts_is_refused(session_id: Any) -> None:
    with pytest.raises(InvalidKeyError, match="session_id"):
        async with JournaledRuntime().session(session_id):
            pass


async def test_opening_and_leaving_a_session_asks_nothing_of_the_store() -> None:
    store = FiveMethodStore()
    async with JournaledRuntime(store).session("run-1"):
        pass
    assert store.calls == []


async def test_a_session_left_in_another_task_ends_where_it_was_entered() -> None:
    runtime = JournaledRuntime()
    session = runtime.session("run-1")
    await session.__aenter__()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.__aexit__, None, None, None)
    await runtime.step("a", Work())
    assert runtime.store.step_keys() == []


async def test_leaving_a_session_in_another_task_does_not_hide_an_error() -> None:
    session = JournaledRuntime().session("run-1")
    await session.__aenter__()
    error = ZeroDivisionError("the user's")
    outcomes: list[bool | None] = []

    async def leave() -> None:
        outcomes.append(await session.__aexit__(type(error), error, None))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
    assert outcomes == [False]


async def test_a_task_that_outlives_its_session_is_still_recorded() -> None:
    runtime = JournaledRuntime()
    gate = Gate()

    async def straggle() -> None:
        await gate()
        await runtime.step("late", Work())

    async with anyio.create_task_group() as tasks:
        async with runtime.session("run-1"):
            tasks.start_soon(straggle)
            await gate.reached.wait()
        gate.opened.set()
    assert runtime.store.step_keys() == [("run-1", "late")]


async def test_a_task_that_outlived_its_session_shares_runs_once_it_is_open_again() -> None:
    runtime = JournaledRuntime()
    gate = Gate()
    work = Work(Gate())

    async def straggle() -> None:
        await gate()
        await runtime.step("a", work)

    async with anyio.create_task_group() as tasks:
        async with runtime.session("run-1"):
            tasks.start_soon(straggle)
            await gate.reached.wait()
        async with runtime.session("run-1"):
            tasks.start_soon(runtime.step, "a", work)
            await work.gate.reached.wait()
            gate.opened.set()
            await anyio.wait_all_tasks_blocked()
            work.gate.opened.set()
    assert work.runs == 1


async def test_a_store_that_reads_ahead_after_the_end_of_the_session_is_no_harm() -> None:
    runtime = JournaledRuntime()
    gate = Gate()
    results: list[Any] = []

    async def straggle() -> None:
        await gate()
        results.extend([await runtime.step("a", Work(), "new"), await runtime.step("b", Work(), "new")])

    await runtime.store.put_step("run-1", "a", "recorded")
    await runtime.store.put_step("run-1", "b", "recorded")
    async with anyio.create_task_group() as tasks:
        async with runtime.session("run-1"):
            tasks.start_soon(straggle)
            await gate.reached.wait()
        gate.opened.set()
    assert results == ["recorded", "recorded"]
