"""The clock that gives records their order."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jeeves_journal.stores.clock import timestamp


def test_it_tells_the_time() -> None:
    before = time.time()
    assert timestamp() == pytest.approx(before, abs=1.0)


def test_no_time_is_given_twice_nor_an_earlier_one() -> None:
    times = [timestamp() for _ in range(10_000)]
    assert times == sorted(set(times))


def test_threads_share_the_guarantee() -> None:
    def take(_: int) -> list[float]:
        return [timestamp() for _ in range(2_000)]

    with ThreadPoolExecutor(8) as executor:
        taken = list(executor.map(take, range(8)))
    assert all(times == sorted(times) for times in taken)
    assert len({moment for times in taken for moment in times}) == 16_000


def test_a_clock_that_was_set_back_does_not_take_the_order_along(monkeypatch: pytest.MonkeyPatch) -> None:
    before = timestamp()
    monkeypatch.setattr(time, "time", lambda: before - 3_600)
    times = [before, *(timestamp() for _ in range(1_000))]
    assert times == sorted(set(times))
    assert times[-1] - before < 1.0
