"""A step: recorded once, replayed after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any, Protocol, assert_type, runtime_checkable

import anyio
import pytest

from jeeves_journal import EncodeError, InMemoryJournalStore, InvalidKeyError, JournaledRuntime, StoreUnavailableError
from tests.runtime.stores import FiveMethodStore, Work

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@runtime_checkable
class JeevesAgentRuntime(Protocol):
    """The ``Runtime`` of jeevesagent.core.protocols, 0.9.7."""

    name: str

    async def step(self, name: str, fn: Any, *args: Any, idempotency_key: str | None = None, **kwargs: Any) -> Any: ...

    def stream_step(self, name: str, fn: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]: ...

    def session(self, session_id: str) -> Any: ...

    async def signal(self, session_id: str, name: str, payload: Any) -> None: ...


async def test_a_step_returns_the_result_of_its_function() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        assert await runtime.step("a", Work(), "fetched") == "fetched"


async def test_arguments_are_passed_on() -> None:
    async def join(*parts: str, by: str) -> str:
        return by.join(parts)

    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        assert await runtime.step("a", join, "x", "y", by="-") == "x-y"


async def test_the_result_is_recorded_before_the_step_returns() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        await runtime.step("a", Work(), "fetched")
        entry = await runtime.store.get_step("run-1", "a")
    assert entry is not None
    assert entry.value == "fetched"


async def test_a_recorded_step_does_not_run_again() -> None:
    store = InMemoryJournalStore()
    work = Work()
    for _ in range(2):
        runtime = JournaledRuntime(store)
        async with runtime.session("run-1"):
            assert await runtime.step("a", work) == "result"
    assert work.runs == 1


async def test_a_step_asked_for_twice_in_one_session_runs_once() -> None:
    runtime = JournaledRuntime()
    work = Work()
    async with runtime.session("run-1"):
        assert [await runtime.step("a", work, number) for number in range(3)] == [0, 0, 0]
    assert work.runs == 1


async def test_a_recorded_none_is_a_result() -> None:
    runtime = JournaledRuntime()
    work = Work()
    async with runtime.session("run-1"):
        assert await runtime.step("a", work, None) is None
        assert await runtime.step("a", work, None) is None
    assert work.runs == 1


async def test_sessions_keep_their_steps_apart() -> None:
    runtime = JournaledRuntime()
    for session_id in ("run-1", "run-2"):
        async with runtime.session(session_id):
            assert await runtime.step("a", Work(), session_id) == session_id


async def test_a_step_that_raises_is_not_recorded_and_runs_again() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        with pytest.raises(ZeroDivisionError):
            await runtime.step("a", fail)
        assert runtime.store.step_keys() == []
        assert await runtime.step("a", Work(), "second try") == "second try"


async def test_a_function_that_raises_before_its_coroutine_is_a_step_that_raises() -> None:
    def fail() -> Any:
        raise ZeroDivisionError

    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        with pytest.raises(ZeroDivisionError):
            await runtime.step("a", fail)
        assert await runtime.step("a", Work()) == "result"


async def test_a_result_that_cannot_be_recorded_is_refused() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        with pytest.raises(EncodeError):
            await runtime.step("a", Work(), lambda: None)


async def test_an_error_of_the_store_comes_out() -> None:
    store = FiveMethodStore()
    store.errors["put_step a"] = StoreUnavailableError("down")
    runtime = JournaledRuntime(store)
    async with runtime.session("run-1"):
        with pytest.raises(StoreUnavailableError):
            await runtime.step("a", Work())


async def test_outside_a_session_a_step_runs_directly() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    work = Work()
    assert [await runtime.step("a", work, number) for number in range(2)] == [0, 1]
    assert store.calls == []


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 1001, 7, None, ["a"]])
@pytest.mark.parametrize("inside", [True, False])
async def test_a_step_name_that_no_store_accepts_is_refused_before_anything_runs(name: Any, *, inside: bool) -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    work = Work()
    if inside:
        async with runtime.session("run-1"):
            with pytest.raises(InvalidKeyError, match="step_name"):
                await runtime.step(name, work)
    else:
        with pytest.raises(InvalidKeyError, match="step_name"):
            await runtime.step(name, work)
    assert work.runs == 0
    assert store.calls == []


async def test_the_idempotency_key_is_taken_and_neither_passed_nor_used() -> None:
    async def give(**arguments: Any) -> dict[str, Any]:
        return arguments

    runtime = JournaledRuntime()
    assert await runtime.step("a", give, idempotency_key="k", x=0) == {"x": 0}
    async with runtime.session("run-1"):
        assert await runtime.step("a", give, idempotency_key="k", x=1) == {"x": 1}
        assert await runtime.step("a", give, idempotency_key="other", x=2) == {"x": 1}


async def test_the_result_has_the_functions_type() -> None:
    async def count(text: str) -> int:
        return len(text)

    runtime = JournaledRuntime()
    assert assert_type(await runtime.step("a", count, "four"), int) == 4
    assert assert_type(await runtime.step("a", count, "four", idempotency_key="k"), int) == 4


async def test_a_context_variable_set_in_a_step_is_set_after_it() -> None:
    variable: ContextVar[str] = ContextVar("variable")

    async def choose() -> None:
        variable.set("chosen")

    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        await runtime.step("a", choose)
        assert variable.get() == "chosen"


async def test_a_step_sees_the_callers_context_variables() -> None:
    variable: ContextVar[str] = ContextVar("variable")

    async def look() -> str:
        return variable.get()

    runtime = JournaledRuntime()
    variable.set("chosen")
    async with runtime.session("run-1"):
        assert await runtime.step("a", look) == "chosen"


async def test_a_step_may_use_task_groups_and_run_steps_in_them() -> None:
    runtime = JournaledRuntime()

    async def fan_out() -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.step, "b", Work())
            tasks.start_soon(runtime.step, "c", Work())
        return "all done"

    async with runtime.session("run-1"):
        assert await runtime.step("a", fan_out) == "all done"
    assert sorted(runtime.store.step_keys()) == [("run-1", "a"), ("run-1", "b"), ("run-1", "c")]


async def test_a_step_may_use_cancel_scopes() -> None:
    async def give_up() -> str:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()
        return "gave up"

    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        assert await runtime.step("a", give_up) == "gave up"


async def test_a_callers_cancel_scope_reaches_into_a_step() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await runtime.step("a", anyio.sleep_forever)
    assert scope.cancelled_caught
    assert runtime.store.step_keys() == []


async def test_a_runtime_without_a_store_has_one_in_memory() -> None:
    assert isinstance(JournaledRuntime().store, InMemoryJournalStore)


async def test_a_runtime_shows_its_store_and_name() -> None:
    store = FiveMethodStore()
    assert JournaledRuntime(store).store is store
    assert JournaledRuntime(store).name == "journaled"


async def test_leaving_a_runtime_closes_its_store_and_entering_asks_nothing_of_it() -> None:
    store = FiveMethodStore()
    async with JournaledRuntime(store) as runtime:
        assert isinstance(runtime, JournaledRuntime)
        assert store.calls == []
    assert store.calls == ["aclose"]


async def test_a_runtime_is_what_jeevesagent_takes() -> None:
    assert isinstance(JournaledRuntime(), JeevesAgentRuntime)
