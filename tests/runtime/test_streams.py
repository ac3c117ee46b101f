"""A stream step: recorded when read to its end, replayed after."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Self, assert_type

import pytest

from jeeves_journal import InvalidKeyError, JournaledRuntime
from tests.runtime.stores import FiveMethodStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Talk:
    """A stream's function that counts its runs and notes how its iterator ends."""

    def __init__(self, *chunks: str, error: Exception | None = None) -> None:
        self.chunks, self.error = chunks, error
        self.runs = self.closed = 0

    async def __call__(self) -> AsyncGenerator[str, None]:
        self.runs += 1
        try:
            for chunk in self.chunks:
                yield chunk
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


class BareIterator:
    """An async iterator that cannot be closed."""

    def __init__(self) -> None:
        self.left = ["c", "b", "a"]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


async def collect(chunks: AsyncIterator[Any]) -> list[Any]:
    return [chunk async for chunk in chunks]


async def test_chunks_are_yielded_and_recorded_after_the_last() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    async with runtime.session("run-1"):
        chunks = runtime.stream_step("a", Talk("Hel", "lo"))
        assert [await anext(chunks), await anext(chunks)] == ["Hel", "lo"]
        assert store.calls == ["get_stream a"]
        assert await collect(chunks) == []
    assert store.calls == ["get_stream a", "put_stream a"]
    assert await store.records.get_stream("run-1", "a") == ["Hel", "lo"]


async def test_a_recorded_stream_is_replayed() -> None:
    runtime = JournaledRuntime()
    talk = Talk("Hel", "lo")
    for _ in range(2):
        async with runtime.session("run-1"):
            assert await collect(runtime.stream_step("a", talk)) == ["Hel", "lo"]
    assert talk.runs == 1


async def test_an_empty_stream_is_recorded_too() -> None:
    runtime = JournaledRuntime()
    talk = Talk()
    for _ in range(2):
        async with runtime.session("run-1"):
            assert await collect(runtime.stream_step("a", talk)) == []
    assert talk.runs == 1


async def test_arguments_are_passed_on() -> None:
    async def spell(word: str, *, twice: bool) -> AsyncGenerator[str, None]:
        for letter in word * (1 + twice):
            yield letter

    assert await collect(JournaledRuntime().stream_step("a", spell, "ab", twice=True)) == ["a", "b", "a", "b"]


async def test_a_stream_that_raises_is_not_recorded() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        with pytest.raises(ZeroDivisionError):
            await collect(runtime.stream_step("a", Talk("Hel", error=ZeroDivisionError())))
        assert await collect(runtime.stream_step("a", Talk("again"))) == ["again"]


async def test_a_stream_closed_early_closes_the_inner_one_and_is_not_recorded() -> None:
    runtime = JournaledRuntime()
    talk = Talk("Hel", "lo")
    async with runtime.session("run-1"):
        chunks = runtime.stream_step("a", talk)
        assert await anext(chunks) == "Hel"
        await chunks.aclose()
    assert talk.closed == 1
    assert runtime.store.stream_keys() == []


async def test_a_replayed_stream_may_be_closed_early() -> None:
    runtime = JournaledRuntime()
    await runtime.store.put_stream("run-1", "a", ["Hel", "lo"])
    async with runtime.session("run-1"):
        chunks = runtime.stream_step("a", Talk())
        assert await anext(chunks) == "Hel"
        await chunks.aclose()
        assert await collect(runtime.stream_step("a", Talk())) == ["Hel", "lo"]


async def test_an_iterator_that_cannot_be_closed_will_do() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        chunks = runtime.stream_step("early", BareIterator)
        assert await anext(chunks) == "a"
        await chunks.aclose()
        assert await collect(runtime.stream_step("whole", BareIterator)) == ["a", "b", "c"]
    assert runtime.store.stream_keys() == [("run-1", "whole")]


async def test_the_session_is_the_one_current_at_the_call() -> None:
    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        chunks = runtime.stream_step("a", Talk("Hel", "lo"))
    async with runtime.session("run-2"):
        await collect(chunks)
    assert runtime.store.stream_keys() == [("run-1", "a")]


async def test_streams_are_not_shared_between_overlapping_calls() -> None:
    runtime = JournaledRuntime()
    talk = Talk("Hel", "lo")
    async with runtime.session("run-1"):
        first, second = runtime.stream_step("a", talk), runtime.stream_step("a", talk)
        assert [await anext(first), await anext(second)] == ["Hel", "Hel"]
        assert [await collect(first), await collect(second)] == [["lo"], ["lo"]]
    assert talk.runs == 2


async def test_a_step_and_a_stream_may_have_the_same_name() -> None:
    async def give() -> str:
        return "step"

    runtime = JournaledRuntime()
    async with runtime.session("run-1"):
        assert await runtime.step("a", give) == "step"
        assert await collect(runtime.stream_step("a", Talk("stream"))) == ["stream"]


async def test_outside_a_session_chunks_pass_through_unrecorded() -> None:
    runtime = JournaledRuntime(store := FiveMethodStore())
    talk = Talk("Hel", "lo")
    for _ in range(2):
        assert await collect(runtime.stream_step("a", talk)) == ["Hel", "lo"]
    assert talk.runs == 2
    assert store.calls == []


async def test_a_bad_name_is_refused_at_the_call() -> None:
    with pytest.raises(InvalidKeyError, match="step_name"):
        JournaledRuntime().stream_step("", Talk())


async def test_the_chunks_have_the_functions_type() -> None:
    async def count() -> AsyncGenerator[int, None]:
        yield 1

    assert await collect(assert_type(JournaledRuntime().stream_step("a", count), AsyncIterator[int])) == [1]
