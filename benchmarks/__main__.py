"""One command starts everything: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console

from benchmarks import report
from benchmarks.growth import growth
from benchmarks.imports import import_ratio
from benchmarks.seals import compression, seal_costs
from benchmarks.sides import Side, postgres_sides, sqlite_sides
from benchmarks.throughput import CASES, Result, compare
from tests.servers.postgres import PostgresServer, execute, fresh_database

_CHECKOUT: Final = Path(__file__).parents[1]


# As Postgres comes; the tests' servers are smaller, since many run side by side.
_SERVER: Final = {"shared_buffers": "128MB"}


class Effort(NamedTuple):
    """How long to measure, for figures or only to see that it works."""

    rounds: int
    seconds: float
    rows: int
    values: int
    imports: int


THOROUGH: Final = Effort(rounds=7, seconds=0.7, rows=1_000_000, values=100_000, imports=15)
QUICK: Final = Effort(rounds=3, seconds=0.12, rows=30_000, values=10_000, imports=3)


async def main() -> None:
    """Measure everything, show it, and write it down."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than two minutes; writes nothing into the checkout")
    parser.add_argument("--only", choices=["calls", "others"], help="a part of it; writes nothing into the checkout")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else THOROUGH
    # Off a terminal, wide enough for the whole table.
    console = Console(width=None if sys.stdout.isatty() else 120)
    # What was imported, mostly to draw the figure, is not to be searched for garbage while calls are measured.
    gc.collect()
    gc.freeze()
    results: list[Result] = []
    others: dict[str, float] = {}
    costs = seal_costs(effort.rounds)
    others["a JSON text of 100 KB over its zstd"], costs["compression of a JSON text of 100 KB"] = compression(
        effort.rounds
    )
    # One folder for the files of both: on the disk of the checkout, since a temporary folder may be in memory.
    with PostgresServer(_SERVER) as server, tempfile.TemporaryDirectory(dir=_CHECKOUT, prefix=".bench-") as name:
        folder = Path(name)
        if arguments.only != "others":
            async with sqlite_sides(folder) as sqlite, postgres_sides(server) as postgres:
                results = await _calls({"SQLite": sqlite, "Postgres": postgres}, effort, console)
        if arguments.only != "calls":
            others |= await _others(server, folder, effort, console)
        machine = _machine(server)
    report.show(console, results, others, costs)
    if arguments.quick or arguments.only:
        return
    report.write(_CHECKOUT / "benchmarks", results, others, costs, machine)
    report.publish(_CHECKOUT / "docs" / "performance.md", results, others, costs)


async def _calls(databases: Mapping[str, Mapping[str, Side]], effort: Effort, console: Console) -> list[Result]:
    results = []
    for database, sides in databases.items():
        for case in CASES:
            console.print(f"{database}: {case.call}, {case.callers} callers", style="dim")
            results.append(await compare(database, sides, case, rounds=effort.rounds, seconds=effort.seconds))
    return results


async def _others(server: PostgresServer, folder: Path, effort: Effort, console: Console) -> dict[str, float]:
    others: dict[str, float] = {}
    fresh_urls = {"SQLite": partial(_fresh_file, folder), "Postgres": partial(fresh_database, server)}
    for database, fresh_url in fresh_urls.items():
        console.print(f"{database}: growth and memory", style="dim")
        grown = await growth(fresh_url, effort.rows, rounds=effort.rounds, seconds=effort.seconds)
        for call, ratio in grown.items():
            others[f"{database}, {call}: {effort.rows:,} rows over 10,000"] = ratio
        with fresh_url() as url:
            command = [sys.executable, "-m", "benchmarks.memory", url, str(effort.values)]
            printed = subprocess.run(command, capture_output=True, check=True, cwd=_CHECKOUT).stdout.split()
        early, late = map(int, printed)
        others[f"{database}, memory: after {effort.values:,} puts over after {effort.values // 10:,}"] = late / early
    others["import jeeves_journal over import anyio, pickle, dataclasses, typing"] = import_ratio(effort.imports)
    return others


@contextmanager
def _fresh_file(folder: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield f"sqlite:///{name}/journal.db"


def _machine(server: PostgresServer) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgres": execute(server.url(), "SHOW server_version")[0][0],
        "versions": {name: version(name) for name in ("jeeves-journal", "jeevesagent", "sqlalchemy", "asyncpg")},
    }


if __name__ == "__main__":
    asyncio.run(main())
