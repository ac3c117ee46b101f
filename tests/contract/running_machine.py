"""Random calls of a run, on a store and on a dict that models it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from jeeves_journal import EncodeError, InvalidKeyError, StoreClosedError
from jeeves_journal.testing.values import Unencodable

# Few and alike, so that calls meet and careless comparisons show.
SESSIONS = st.sampled_from(["", "a", "A", "a ", "é", "e\N{COMBINING ACUTE ACCENT}", "%"])
NAMES = st.sampled_from(["a", "A", "a ", "ab", "é", "_", "10", "9", "'", "\N{PILE OF POO}"])
BAD_KEYS = st.sampled_from([None, 7, b"a", "", "a\0", "\udcff", "k" * 1_001])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
BIG_VALUES = st.integers(1, 300_000).map(lambda size: b"\xd1." * size)
CHUNKS = st.lists(VALUES, max_size=6)
METHODS = st.sampled_from(["get_step", "put_step", "get_stream", "put_stream"])

Key = tuple[str, str]
RecordKey = tuple[str, str, str]
"""Kind, session and name."""


class StoreAndDict(RuleBasedStateMachine):
    """One example: the same calls on a store and on a model of it.

    Examples share the store and tell their sessions apart by a prefix.
    """

    def __init__(self, runner: asyncio.Runner, opened: Opened, prefix: str) -> None:
        super().__init__()
        self.runner = runner
        self.opened = opened
        self.prefix = prefix
        # Of each session in recorded order.
        self.records: dict[RecordKey, Any] = {}

    def run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self.runner.run(awaited())

    @property
    def store(self) -> Any:
        return self.opened.store

    def key(self, session: str, name: str) -> Key:
        return f"{self.prefix}{session}", name

    def record(self, kind: str, key: Key, value: Any) -> None:
        # A dict keeps an overwritten key's place; the recorded order moves it to the end.
        self.records.pop((kind, *key), None)
        self.records[kind, *key] = copy.deepcopy(value)

    @initialize()
    def starts_empty(self) -> None:
        assert self.run(self.store.get_steps(f"{self.prefix}a")) == {}

    @rule(session=SESSIONS, name=NAMES, value=VALUES | BIG_VALUES)
    def put_step(self, session: str, name: str, value: Any) -> None:
        key = self.key(session, name)
        self.run(self.store.put_step(*key, value))
        self.record("step", key, value)
        if isinstance(value, list):
            value.append("changed after the put")

    @rule(session=SESSIONS, name=NAMES, chunks=CHUNKS)
    def put_stream(self, session: str, name: str, chunks: list[Any]) -> None:
        key = self.key(session, name)
        self.run(self.store.put_stream(*key, chunks))
        self.record("stream", key, chunks)
        chunks.append("changed after the put")

    @rule(session=SESSIONS, name=NAMES)
    def get_step(self, session: str, name: str) -> None:
        key = self.key(session, name)
        entry = self.run(self.store.get_step(*key))
        assert (entry is not None) == (("step", *key) in self.records)
        if entry is not None:
            assert entry.value == self.records["step", *key]

    @rule(session=SESSIONS, name=NAMES)
    def get_stream(self, session: str, name: str) -> None:
        key = self.key(session, name)
        assert self.run(self.store.get_stream(*key)) == self.records.get(("stream", *key))

    @rule(session=SESSIONS)
    def get_steps(self, session: str) -> None:
        steps = self.run(self.store.get_steps(f"{self.prefix}{session}"))
        place = "step", f"{self.prefix}{session}"
        expected = [(name, value) for (*of, name), value in self.records.items() if tuple(of) == place]
        assert [(name, entry.value) for name, entry in steps.items()] == expected
        times = [entry.created_at for entry in steps.values()]
        assert times == sorted(set(times))

    @rule(method=METHODS, bad=BAD_KEYS, name=NAMES, at_the_front=st.booleans())
    def call_with_a_bad_key(self, method: str, bad: Any, name: str, at_the_front: bool) -> None:
        keys = (bad, name) if at_the_front else (f"{self.prefix}a", bad)
        arguments = {"put_step": [1], "put_stream": [[1]]}.get(method, [])
        with pytest.raises(InvalidKeyError, match="session_id" if at_the_front else "step_name"):
            self.run(getattr(self.store, method)(*keys, *arguments))

    @rule(session=SESSIONS, name=NAMES, kind=st.sampled_from(["put_step", "put_stream"]))
    def put_what_cannot_be_recorded(self, session: str, name: str, kind: str) -> None:
        with pytest.raises(EncodeError):
            self.run(getattr(self.store, kind)(*self.key(session, name), [1, Unencodable()]))

    @rule(puts=st.dictionaries(st.tuples(SESSIONS, NAMES, st.booleans()), CHUNKS, min_size=2, max_size=12))
    def call_at_once(self, puts: dict[tuple[str, str, bool], list[Any]]) -> None:
        """Put under different keys, get others, and fail in between, all at the same time."""

        async def at_once() -> list[Any]:
            calls = [self.store.get_step(*key) for key in unchanged]
            for (session, name, is_step), value in puts.items():
                put = self.store.put_step if is_step else self.store.put_stream
                calls += [put(*self.key(session, name), value), self.store.put_step(self.prefix, "bad", Unencodable())]
            return await asyncio.gather(*calls, return_exceptions=True)

        unchanged = {
            (session, name): value
            for (kind, session, name), value in self.records.items()
            if kind == "step" and all(self.key(*of) != (session, name) for *of, _ in puts)
        }
        results = self.runner.run(at_once())
        gets, others = results[: len(unchanged)], results[len(unchanged) :]
        assert [entry.value for entry in gets] == list(unchanged.values())
        assert others[::2] == [None] * len(puts)
        assert {type(error) for error in others[1::2]} == {EncodeError}
        # Which of them was recorded first is for the store to say.
        recorded = [("step" if is_step else "stream", *self.key(session, name)) for session, name, is_step in puts]
        values = dict(zip(recorded, puts.values(), strict=True))
        times = {
            (step.kind, session, step.name): step.recorded_at
            for session in {session for _, session, _ in recorded}
            for step in self.run(self.store.steps(session))
        }
        for kind, *key in sorted(recorded, key=times.__getitem__):
            self.record(kind, (key[0], key[1]), values[kind, key[0], key[1]])

    @rule(session=SESSIONS, name=NAMES, value=VALUES)
    def put_cancelled_and_then_again(self, session: str, name: str, value: Any) -> None:
        key = self.key(session, name)

        async def cancel_and_put() -> None:
            task = asyncio.create_task(self.store.put_step(*key, "cancelled"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await self.store.put_step(*key, value)

        self.runner.run(cancel_and_put())
        self.record("step", key, value)

    @precondition(lambda self: self.opened.durable)
    @rule()
    def close_and_open_again(self) -> None:
        self.run(self.store.aclose())
        with pytest.raises(StoreClosedError):
            self.run(self.store.get_step(f"{self.prefix}a", "a"))
        self.opened.open()

    def teardown(self) -> None:
        """Compare all that was recorded."""
        for (kind, *key), value in self.records.items():
            if kind == "step":
                entry = self.run(self.store.get_step(*key))
                assert entry is not None
                assert entry.value == value
            else:
                assert self.run(self.store.get_stream(*key)) == value


class Opened:
    """The store that all examples of one test share."""

    def __init__(self, make: Callable[[], Any], *, durable: bool) -> None:
        self.make = make
        self.durable = durable
        self.open()

    def open(self) -> None:
        self.store = self.make()
