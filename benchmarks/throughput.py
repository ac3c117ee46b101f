"""The table: what a call costs on each side, and how many times as much it costs on the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.load import Load
from benchmarks.sides import Side


class Case(NamedTuple):
    """A call, how many make it at once, and what is wanted: at least so many times as fast as JeevesAgent's."""

    call: str
    callers: int
    wanted: Mapping[str, float]


CASES: Final = (
    Case("put_step", 1, {"SQLite": 4, "Postgres": 1.3}),
    Case("put_step", 16, {"SQLite": 25, "Postgres": 3}),
    Case("put_step", 64, {"SQLite": 50, "Postgres": 8}),
    Case("get_step", 1, {"SQLite": 3, "Postgres": 1.5}),
    Case("get_step", 64, {"SQLite": 15, "Postgres": 10}),
    Case("put_stream", 16, {"SQLite": 10, "Postgres": 3}),
    Case("replay", 1, {"SQLite": 30, "Postgres": 30}),
)


@dataclass(frozen=True)
class Result:
    """What was measured of one case on one database; medians over the rounds.

    Attributes:
        seconds: For each side, of one call.
        ratio: How many times as long a call of JeevesAgent's takes.
        signed_ratio: How many times as long a call of ours takes where records are signed, if that was measured.
        index_ratio: How many times as long a call of ours takes with the indexes by time as without, likewise.
        limit_ratio: How many times as long a call takes at the limit, where there is one.
        median: Seconds from one of our calls to its answer, the median.
        p99: The same, the 99th percentile.
    """

    database: str
    call: str
    callers: int
    wanted: float
    seconds: dict[str, float]
    ratio: float
    signed_ratio: float | None
    index_ratio: float | None
    limit_ratio: float | None
    median: float
    p99: float

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


async def compare(database: str, sides: Mapping[str, Side], case: Case, *, rounds: int, seconds: float) -> Result:
    """Let all sides do a case in turn, several times."""
    loads: dict[str, list[Load]] = {name: [] for name in sides}
    for turn in range(rounds):
        # Back and forth, since each may leave something to the one after it: dirty pages, or a warm disk.
        for name in list(sides) if turn % 2 else reversed(sides):
            load = await sides[name].measure(case.call, case.callers, seconds)
            if load is not None:
                loads[name].append(load)
    ours = loads["ours"]
    return Result(
        database,
        case.call,
        case.callers,
        case.wanted[database],
        {name: median(load.per_call for load in measured) for name, measured in loads.items() if measured},
        _ratio(loads["jeevesagent"], ours),
        _ratio(loads["signed"], ours) if loads["signed"] else None,
        _ratio(ours, loads["unindexed"]) if loads["unindexed"] else None,
        _ratio(loads["limit"], ours) if loads["limit"] else None,
        median(load.median for load in ours),
        median(load.p99 for load in ours),
    )


def _ratio(others: list[Load], ours: list[Load]) -> float:
    """Return the median of the ratios of each round, since a machine's speed changes from one to the next."""
    return median(theirs.per_call / mine.per_call for theirs, mine in zip(others, ours, strict=True))
