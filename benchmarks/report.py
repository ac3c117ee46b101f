"""What was measured, on the terminal, as JSON, and as a picture and a table that the docs show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from benchmarks.throughput import Result

_MARKS: Final = "<!-- measured: begin -->", "<!-- measured: end -->"
_COLUMNS: Final = (
    "database",
    "call",
    "callers",
    "ours",
    "JeevesAgent",
    "ratio",
    "wanted",
    "signed",
    "indexed",
    "limit",
    "p99 / p50",
)


def cells(result: Result) -> list[str]:
    """Return a row of the table."""
    parts = result.signed_ratio, result.index_ratio, result.limit_ratio
    signed, indexed, limit = ("" if each is None else f"{each:.2f}x" for each in parts)
    return [
        result.database,
        result.call,
        str(result.callers),
        _microseconds(result.seconds["ours"]),
        _microseconds(result.seconds["jeevesagent"]),
        f"{result.ratio:.1f}x",
        f"{result.wanted:g}x",
        signed,
        indexed,
        limit,
        f"{result.p99 / result.median:.1f}",
    ]


def lines(others: Mapping[str, float], costs: Mapping[str, float]) -> list[str]:
    """Return a line for each of the other figures: ratios, and seconds that something adds."""
    ratios = [f"{name}: {ratio:.2f}x" for name, ratio in others.items()]
    return ratios + [f"{name}: {_microseconds(seconds)} more" for name, seconds in costs.items()]


def show(console: Console, results: Iterable[Result], others: Mapping[str, float], costs: Mapping[str, float]) -> None:
    """Print the table and the other figures."""
    table = Table(*_COLUMNS, title="Cost of a call; ratios are how many times as long the others take")
    for result in results:
        met = result.ratio >= result.wanted
        table.add_row(*cells(result), style=None if met else "yellow")
    console.print(table)
    for line in lines(others, costs):
        console.print(line)


def write(
    folder: Path,
    results: list[Result],
    others: Mapping[str, float],
    costs: Mapping[str, float],
    machine: Mapping[str, Any],
) -> None:
    """Write ``results.json`` and ``benchmarks.svg`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = {"machine": machine, "calls": [result.as_json() for result in results], "others": others, "costs": costs}
    (folder / "results.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    _draw(folder / "benchmarks.svg", results)


def publish(page: Path, results: Iterable[Result], others: Mapping[str, float], costs: Mapping[str, float]) -> None:
    """Put the figures between the marks of a page."""
    table = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    table += ["| " + " | ".join(cells(result)) + " |" for result in results]
    table += ["", *(f"- {line}" for line in lines(others, costs))]
    before, _, rest = page.read_text(encoding="utf-8").partition(_MARKS[0])
    _, _, after = rest.partition(_MARKS[1])
    page.write_text("\n".join([before + _MARKS[0], *table, _MARKS[1] + after]), encoding="utf-8")


def _draw(path: Path, results: list[Result]) -> None:
    figure = Figure(figsize=(9, 0.45 * len(results) + 1), layout="constrained")
    axes = figure.subplots()
    labels = [f"{result.database}, {result.call}, {result.callers}" for result in results]
    bars = axes.barh(labels, [result.ratio for result in results], color="#3b6ea5")
    axes.bar_label(bars, [f"{result.ratio:.1f}x" for result in results], padding=3)
    axes.plot([result.wanted for result in results], labels, "|", color="#c0392b", markersize=14, label="wanted")
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("how many times as long JeevesAgent 0.9.7 takes (call, callers)")
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None})


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} us"
