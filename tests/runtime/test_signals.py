"""Signals: payloads from outside, each handed to one waiter."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from jeeves_journal import InvalidKeyError, JournaledRuntime, JournaledSession
from tests.runtime.stores import FiveMethodStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def session() -> JournaledSession:
    return JournaledSession("run-1")


async def test_a_payload_delivered_before_the_wait_is_handed_out(session: JournaledSession) -> None:
    await session.deliver("approval", "yes")
    assert await session.wait("approval") == "yes"


async def test_a_payload_delivered_during_the_wait_is_handed_out(session: JournaledSession) -> None:
    received: list[Any] = []

    async def receive() -> None:
        received.append(await session.wait("approval"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        await session.deliver("approval", "yes")
    assert received == ["yes"]


async def test_a_payload_may_be_none(session: JournaledSession) -> None:
    await session.deliver("approval", None)
    assert await session.wait("approval") is None


async def test_payloads_of_one_name_keep_their_order(session: JournaledSession) -> None:
    for number in range(3):
        await session.deliver("item", number)
    assert [await session.wait("item") for _ in range(3)] == [0, 1, 2]


async def test_names_are_kept_apart(session: JournaledSession) -> None:
    await session.deliver("other", "no")
    await session.deliver("approval", "yes")
    assert await session.wait("approval") == "yes"
    assert await session.wait("other") == "no"


async def test_each_payload_goes_to_exactly_one_waiter(session: JournaledSession) -> None:
    received: list[Any] = []

    async def receive() -> None:
        received.append(await session.wait("item"))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        for number in range(3):
            await session.deliver("item", number)
            await anyio.wait_all_tasks_blocked()
            assert received == list(range(number + 1))


async def test_a_cancelled_waiter_takes_no_payload_with_it(session: JournaledSession) -> None:
    received: list[Any] = []

    async def receive(scope: anyio.CancelScope) -> None:
        with scope:
            received.append(await session.wait("item"))

    cancelled, patient = anyio.CancelScope(), anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive, cancelled)
        tasks.start_soon(receive, patient)
        await anyio.wait_all_tasks_blocked()
        # Both in one turn: the waiter that was woken may be the one that is cancelled.
        await session.deliver("item", "payload")
        cancelled.cancel()
        await anyio.wait_all_tasks_blocked()
        patient.cancel()
    if not received:
        received.append(await session.wait("item"))
    assert received == ["payload"]


async def test_a_waiter_cancelled_alone_leaves_the_payload_for_a_later_one(session: JournaledSession) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await session.wait("item")
    await session.deliver("item", "payload")
    assert await session.wait("item") == "payload"


async def test_a_runtime_delivers_to_its_open_session() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1") as session:
        await runtime.signal("run-1", "approval", "yes")
        assert await session.wait("approval") == "yes"


async def test_a_signal_to_a_session_that_is_not_open_does_nothing() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    await runtime.signal("run-1", "approval", "early")
    async with runtime.session("run-1") as session:
        await runtime.signal("run-1", "approval", "in time")
        assert await session.wait("approval") == "in time"
    assert store.calls == []


async def test_a_signal_to_an_impossible_session_is_refused() -> None:
    with pytest.raises(InvalidKeyError, match="session_id"):
        await JournaledRuntime().signal("", "approval", "yes")


async def test_a_session_opened_later_has_no_old_signals() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1") as session:
        await session.deliver("approval", "old")
    async with runtime.session("run-1") as session:
        await session.deliver("approval", "new")
        assert await session.wait("approval") == "new"


async def test_sessions_that_share_a_handle_share_its_signals() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1") as one, runtime.session("run-1") as other:
        await one.deliver("approval", "yes")
        assert await other.wait("approval") == "yes"
