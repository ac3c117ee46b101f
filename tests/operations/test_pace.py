"""How much is done at once, as it turns out how long that takes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import pytest

from jeeves_journal.stores.operations.pace import Pace


@dataclass
class Thing:
    records: int = 1
    bytes: int = 0


def after(pace: Pace, parts: int, *, overhead: float, each: float, thing: Thing) -> int:
    """Return how many things are done at once after some parts."""
    done = 0
    for _ in range(parts):
        part = list(pace.fitting(repeat(thing, 1_000_000))) or [thing]
        pace.took(overhead + each * len(part), part)
        done = len(part)
    return done


@pytest.mark.parametrize("overhead", [0.0, 0.001, 0.08, 2.0])
@pytest.mark.parametrize("each", [1e-5, 1e-4, 5e-4])
@pytest.mark.parametrize("size", [0, 100_000])
def test_a_part_takes_the_time_that_it_should_beside_its_overhead(overhead: float, each: float, size: int) -> None:
    done = after(Pace(0.03, 1_000_000), 30, overhead=overhead, each=each, thing=Thing(1, size))
    assert 0.008 <= each * done <= 0.06


def test_there_are_never_more_records_than_allowed() -> None:
    assert after(Pace(0.03, 7), 30, overhead=0.001, each=1e-6, thing=Thing()) == 7


def test_one_that_takes_too_long_is_left_to_go_alone() -> None:
    assert list(Pace(0.03, 7).fitting([Thing(8)])) == []
    assert list(Pace(0.03, 1_000).fitting([Thing(1, 1 << 30)])) == []


def test_a_machine_that_stood_still_is_soon_forgotten() -> None:
    pace = Pace(0.03, 1_000_000)
    usual = after(pace, 30, overhead=0.01, each=1e-5, thing=Thing())
    after(pace, 1, overhead=5.0, each=1e-5, thing=Thing())
    assert after(pace, 3, overhead=0.01, each=1e-5, thing=Thing()) >= usual / 2
