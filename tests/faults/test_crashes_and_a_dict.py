"""Random calls, and crashes in between and in the middle, leave a store and a plain dict with the same answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.contract.running_machine import BIG_VALUES, CHUNKS, NAMES, SESSIONS, Key, StoreAndDict
from tests.faults.figures import Figures
from tests.faults.served_store import KilledError, ServedStore
from tests.stores.servers import backends

Put = tuple[str, str, bool]
"""The session, the name, and whether it is of a step."""

PUTS = st.dictionaries(st.tuples(SESSIONS, NAMES, st.booleans()), CHUNKS | BIG_VALUES, min_size=1, max_size=12)


class Crashing:
    """The store that all examples share, in a process that is killed and started again."""

    def __init__(self, url: str, wait_until_gone: Callable[[], object], *, durable: bool) -> None:
        self.store = ServedStore(url)
        self.durable = durable
        self.crashes = self.unknown = 0
        self._wait_until_gone = wait_until_gone

    def open(self) -> None:
        self.store.open()

    def crash(self) -> None:
        self.store.kill()
        self._wait_until_gone()
        self.store.start()
        self.crashes += 1


class StoreAndDictThroughCrashes(StoreAndDict):
    """One example, in which the process of the store is killed now and then."""

    opened: Any

    def __init__(self, runner: asyncio.Runner, opened: Any, prefix: str) -> None:
        super().__init__(runner, opened, prefix)
        self.serials = count()

    @rule()
    def crash(self) -> None:
        async def crash() -> None:
            self.opened.crash()

        self.run(crash())
        self.forget_what_is_not_durable()

    def forget_what_is_not_durable(self) -> None:
        if not self.opened.durable:
            self.records.clear()

    @rule(puts=PUTS, answers=st.integers(0, 12), later=st.sampled_from([0, 0.0005, 0.002, 0.01]))
    def crash_in_the_middle(self, puts: dict[Put, Any], answers: int, later: float) -> None:
        self.put_and_crash(puts, answers, later)

    def teardown(self) -> None:
        """Crash once more, since few examples draw each of their rules, and compare all that was recorded."""
        puts = {("a", name, is_step): [name] * 10 for name in ("a", "ab", "9") for is_step in (True, False)}
        self.put_and_crash(puts, self.opened.crashes % (len(puts) + 1), 0)

    def put_and_crash(self, puts: dict[Put, Any], answers: int, later: float) -> None:
        """Put under several keys at once and crash when some are answered: those are recorded, the others perhaps."""
        # A number tells each value from what was there before.
        numbered = {put: [next(self.serials), value] for put, value in puts.items()}

        async def crash_between_answers() -> list[object]:
            calls = [asyncio.ensure_future(self.put(put, value)) for put, value in numbered.items()]
            # Now all are asked for.
            await asyncio.sleep(0)
            while sum(call.done() for call in calls) < min(answers, len(calls)):
                await asyncio.wait([call for call in calls if not call.done()], return_when=asyncio.FIRST_COMPLETED)
            time.sleep(later)
            self.opened.crash()
            return await asyncio.gather(*calls, return_exceptions=True)

        results = self.runner.run(crash_between_answers())
        assert all(result is None or isinstance(result, KilledError) for result in results), results
        self.opened.unknown += sum(result is not None for result in results)
        self.forget_what_is_not_durable()
        acknowledged = [put for put, result in zip(numbered, results, strict=True) if result is None]
        self.take_over({put: value for put, value in numbered.items() if self.is_there(put, value)}, acknowledged)

    async def put(self, put: Put, value: Any) -> None:
        session, name, is_step = put
        method = self.store.put_step if is_step else self.store.put_stream
        await method(*self.key(session, name), value)

    def is_there(self, put: Put, value: Any) -> bool:
        session, name, is_step = put
        if not is_step:
            return self.run(self.store.get_stream(*self.key(session, name))) == value
        entry = self.run(self.store.get_step(*self.key(session, name)))
        return entry is not None and entry.value == value

    def take_over(self, survivors: dict[Put, Any], acknowledged: list[Put]) -> None:
        """Let the dict hold what survived; whatever did not, must still be as the dict has it."""
        assert not self.opened.durable or set(acknowledged) <= set(survivors)
        assert self.opened.durable or not survivors
        times: dict[Key, float] = {}
        for (session, name, is_step), value in survivors.items():
            key = self.key(session, name)
            if is_step:
                times[key] = self.run(self.store.get_step(*key)).created_at
            else:
                self.record("stream", key, value)
        for key in sorted(times, key=times.__getitem__):
            self.record("step", key, survivors[key[0].removeprefix(self.prefix), key[1], True])
        super().teardown()


def assert_no_difference(opened: Crashing, runs: int, figures: Figures) -> None:
    examples = count()
    with asyncio.Runner() as runner:
        try:
            run_state_machine_as_test(
                lambda: StoreAndDictThroughCrashes(runner, opened, f"example-{next(examples)}-"),
                settings=settings(max_examples=runs, stateful_step_count=30),
            )
        finally:
            figures.acknowledged, figures.unknown = opened.store.acknowledged, opened.unknown
            figures.others |= {"runs": next(examples), "crashes": opened.crashes}
            opened.store.stop()
    assert opened.crashes >= runs
    assert opened.unknown > 0


@pytest.fixture
def runs(long: bool) -> int:
    return 1_000 if long else 30


@pytest.mark.parametrize("url", ["memory://", "sqlite:///:memory:"])
def test_a_store_in_memory_and_a_dict_that_a_crash_empties_agree(url: str, figures: Figures, runs: int) -> None:
    assert_no_difference(Crashing(url, lambda: None, durable=False), runs, figures)


def test_a_sqlite_file_and_a_dict_agree_through_crashes(tmp_path: Path, figures: Figures, runs: int) -> None:
    assert_no_difference(Crashing(f"sqlite:///{tmp_path}/journal.db", lambda: None, durable=True), runs, figures)


def test_postgres_and_a_dict_agree_through_crashes(migrated_postgres_url: str, figures: Figures, runs: int) -> None:
    def wait_until_gone() -> None:
        # What a killed process had sent, its backend still does.
        while backends(migrated_postgres_url):
            time.sleep(0.002)

    assert_no_difference(Crashing(migrated_postgres_url, wait_until_gone, durable=True), runs, figures)
