"""Calls of one step that overlap share one run."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.abc
import pytest

from jeeves_journal import JournaledRuntime
from tests.runtime.stores import FiveMethodStore, Gate, Work

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Callers:
    """Calls one step from several tasks of one session, each in a cancel scope of its own."""

    def __init__(self, runtime: JournaledRuntime, tasks: anyio.abc.TaskGroup, name: str = "a") -> None:
        self.runtime, self.tasks, self.name = runtime, tasks, name
        self.results: list[Any] = []
        self.errors: list[Exception] = []

    async def add(self, work: Any, *args: Any) -> anyio.CancelScope:
        scope = anyio.CancelScope()

        async def call() -> None:
            with scope:
                try:
                    self.results.append(await self.runtime.step(self.name, work, *args))
                except Exception as error:
                    self.errors.append(error)

        self.tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        return scope


async def test_overlapping_calls_run_once_and_all_get_the_result() -> None:
    runtime = JournaledRuntime()
    work = Work(gate := Gate())
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        callers = Callers(runtime, tasks)
        for number in range(4):
            await callers.add(work, number)
        gate.opened.set()
    assert callers.results == [0, 0, 0, 0]
    assert work.runs == 1


async def test_a_shared_result_may_be_none() -> None:
    runtime = JournaledRuntime()
    work = Work(gate := Gate())
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        callers = Callers(runtime, tasks)
        await callers.add(work, None)
        await callers.add(work, None)
        gate.opened.set()
    assert callers.results == [None, None]
    assert work.runs == 1


async def test_an_exception_goes_to_each_and_a_later_call_runs_again() -> None:
    runtime = JournaledRuntime()
    gate = Gate()
    error = ZeroDivisionError("once")

    async def fail() -> None:
        await gate()
        raise error

    async with runtime.session("run-1"):
        async with anyio.create_task_group() as tasks:
            callers = Callers(runtime, tasks)
            for _ in range(3):
                await callers.add(fail)
            gate.opened.set()
        assert callers.errors == [error, error, error]
        assert await runtime.step("a", Work(), "second try") == "second try"


async def test_different_steps_do_not_wait_for_each_other() -> None:
    runtime = JournaledRuntime()
    work = Work(gate := Gate())
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        await Callers(runtime, tasks).add(work)
        assert await runtime.step("b", Work()) == "result"
        gate.opened.set()


async def test_different_sessions_do_not_wait_for_each_other() -> None:
    runtime = JournaledRuntime()
    work = Work(gate := Gate())
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        await Callers(runtime, tasks).add(work)
        async with runtime.session("run-2"):
            assert await runtime.step("a", Work(), "own") == "own"
        gate.opened.set()


async def test_sessions_that_share_a_handle_share_runs() -> None:
    runtime = JournaledRuntime()
    work = Work(gate := Gate())

    async def call() -> None:
        async with runtime.session("run-1"):
            await runtime.step("a", work)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        gate.opened.set()
    assert work.runs == 1


async def test_when_the_running_call_is_cancelled_exactly_one_waiter_takes_over_and_asks_the_store() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    first, second = Work(Gate()), Work(Gate())
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        callers = Callers(runtime, tasks)
        leader = await callers.add(first, "never")
        for _ in range(3):
            await callers.add(second, "taken over")
        leader.cancel()
        await anyio.wait_all_tasks_blocked()
        assert second.runs == 1
        second.gate.opened.set()
    assert callers.results == ["taken over"] * 3
    assert second.runs == 1
    assert store.calls == ["get_step a", "get_step a", "put_step a"]


async def test_a_waiter_that_took_over_and_raises_shares_its_error() -> None:
    runtime = JournaledRuntime()
    runs: list[str] = []

    async def fail() -> None:
        runs.append("run")
        raise ZeroDivisionError

    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        callers = Callers(runtime, tasks)
        leader = await callers.add(Work(Gate()))
        for _ in range(3):
            await callers.add(fail)
        leader.cancel()
    assert len(callers.errors) == 3
    assert runs == ["run"]


async def test_a_run_that_was_recorded_before_its_cancellation_is_not_repeated() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    first, second = Work(), Work()
    recording = store.gates["put_step a"] = Gate()
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        callers = Callers(runtime, tasks)
        leader = await callers.add(first, "recorded")
        await recording.reached.wait()
        await callers.add(second, "repeated")
        await store.records.put_step("run-1", "a", "recorded")
        leader.cancel()
    assert callers.results == ["recorded"]
    assert second.runs == 0


async def test_a_second_cancellation_hands_over_once_more() -> None:
    runtime = JournaledRuntime()
    never, last = Work(Gate()), Work()
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        callers = Callers(runtime, tasks)
        first = await callers.add(never)
        second = await callers.add(never)
        await callers.add(last, "third")
        # The third may be the one that takes over first; then there is nothing left to cancel.
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        second.cancel()
    assert callers.results[0] == "third"
    assert last.runs == 1


async def test_when_all_callers_are_cancelled_at_once_the_step_can_be_run_again() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        async with anyio.create_task_group() as tasks:
            callers = Callers(runtime, tasks)
            scopes = [await callers.add(Work(Gate())) for _ in range(3)]
            for scope in scopes:
                scope.cancel()
        assert await runtime.step("a", Work(), "again") == "again"


async def test_a_cancelled_waiter_leaves_the_run_alone() -> None:
    runtime = JournaledRuntime()
    work = Work(gate := Gate())
    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        callers = Callers(runtime, tasks)
        await callers.add(work)
        waiter = await callers.add(work)
        waiter.cancel()
        await anyio.wait_all_tasks_blocked()
        gate.opened.set()
    assert callers.results == ["result"]
    assert work.runs == 1


async def test_a_call_that_dies_of_a_base_exception_hands_over() -> None:
    class Killed(BaseException):
        pass

    runtime = JournaledRuntime()
    gate = Gate()
    killed: list[BaseException] = []

    async def die() -> None:
        await gate()
        raise Killed

    async def lead() -> None:
        try:
            await runtime.step("a", die)
        except Killed as error:
            killed.append(error)

    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        callers = Callers(runtime, tasks)
        tasks.start_soon(lead)
        await gate.reached.wait()
        await callers.add(Work(), "taken over")
        gate.opened.set()
    assert len(killed) == 1
    assert callers.results == ["taken over"]


async def test_a_step_entered_again_from_inside_itself_runs_directly_and_unrecorded() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())

    async def nest() -> str:
        return f"outer and {await runtime.step('a', Work(), 'inner')}"

    async with runtime.session("run-1"):
        assert await runtime.step("a", nest) == "outer and inner"
    assert store.calls == ["get_step a", "put_step a"]


async def test_a_step_entered_again_through_a_task_group_and_another_step_runs_directly() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    inner = Work()

    async def fan_out() -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.step, "b", reenter)
        return "outer"

    async def reenter() -> str:
        return await runtime.step("a", inner, "inner")

    async with runtime.session("run-1"):
        assert await runtime.step("a", fan_out) == "outer"
    assert inner.runs == 1
    assert store.calls.count("put_step a") == 1


async def test_a_task_that_outlives_a_cancelled_run_is_no_longer_inside_the_step() -> None:
    runtime = JournaledRuntime()
    gate, straggling, taken_over = Gate(), Work(), Work(Gate())
    results: list[str] = []

    async def straggle() -> None:
        await gate()
        results.append(await runtime.step("a", straggling, "the straggler's own"))

    async with runtime.session("run-1"), anyio.create_task_group() as tasks:

        async def start_and_hang() -> None:
            tasks.start_soon(straggle)
            await anyio.sleep_forever()

        callers = Callers(runtime, tasks)
        leader = await callers.add(start_and_hang)
        await callers.add(taken_over, "taken over")
        leader.cancel()
        await taken_over.gate.reached.wait()
        gate.opened.set()
        await anyio.wait_all_tasks_blocked()
        taken_over.gate.opened.set()
    assert results == callers.results == ["taken over"]
    assert straggling.runs == 0


async def test_what_a_task_waits_for_after_its_run_was_cancelled_does_not_bind_the_next_run() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    straggler, outer, taken_over = Gate(), Gate(), Work(Gate())

    async def straggle() -> None:
        await straggler()
        await runtime.step("b", Work())

    async def ask_for_a() -> str:
        await outer()
        return await runtime.step("a", Work(), "a direct run")

    async with runtime.session("run-1"), anyio.create_task_group() as tasks:

        async def start_and_hang() -> None:
            tasks.start_soon(straggle)
            await anyio.sleep_forever()

        of_a, of_b = Callers(runtime, tasks, "a"), Callers(runtime, tasks, "b")
        leader = await of_a.add(start_and_hang)
        await of_a.add(taken_over, "taken over")
        await of_b.add(ask_for_a)
        leader.cancel()
        await taken_over.gate.reached.wait()
        for gate in (straggler, outer, taken_over.gate):
            gate.opened.set()
            await anyio.wait_all_tasks_blocked()
    assert of_b.results == ["taken over"]
    assert store.calls.count("put_step a") == 1


async def test_two_steps_that_ask_for_each_other_do_not_wait_for_ever() -> None:
    runtime = JournaledRuntime()
    gates = {"a": Gate(), "b": Gate()}

    async def ask_for(own: str, other: str) -> str:
        await gates[own]()
        return f"{own} after {await runtime.step(other, Work(), 'a direct run')}"

    results: dict[str, str] = {}

    async def call(own: str, other: str) -> None:
        results[own] = await runtime.step(own, ask_for, own, other)

    async with runtime.session("run-1"), anyio.create_task_group() as tasks:
        tasks.start_soon(call, "a", "b")
        tasks.start_soon(call, "b", "a")
        await anyio.wait_all_tasks_blocked()
        gates["a"].opened.set()
        await anyio.wait_all_tasks_blocked()
        gates["b"].opened.set()
    assert results == {"b": "b after a direct run", "a": "a after b after a direct run"}


async def test_overlapping_calls_in_two_runtimes_both_run() -> None:
    runtime = JournaledRuntime()
    other = JournaledRuntime(runtime.store)
    work = Work(gate := Gate())
    async with runtime.session("run-1"), other.session("run-1"), anyio.create_task_group() as tasks:
        await Callers(runtime, tasks).add(work)
        await Callers(other, tasks).add(work)
        gate.opened.set()
    assert work.runs == 2
