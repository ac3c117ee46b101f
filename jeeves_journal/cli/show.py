"""``jeeves-journal show``: what a session recorded, or the value of one of its steps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from shutil import get_terminal_size
from typing import Annotated, Final

import typer

from jeeves_journal.cli.journals import Journal, run
from jeeves_journal.cli.nearest import recorded_steps
from jeeves_journal.cli.options import Json, Schema, SessionId, Url
from jeeves_journal.cli.output import is_terminal, print_json, print_lines, print_table, say
from jeeves_journal.cli.proposing import step_names
from jeeves_journal.cli.text import clock, count, moment, shown, size, span
from jeeves_journal.cli.values import print_values, values_of
from jeeves_journal.records import StepSummary

_HEADINGS = (">after", "", "*step", "kind", ">size", "codec")
# The longest and the shortest longest bar, and what stands beside it where names are of a usual length.
_WIDTH: Final = 20
_LEAST_WIDTH: Final = 4
_BESIDE: Final = 60


def show(
    url: Url,
    session: SessionId,
    step: Annotated[
        str | None,
        typer.Argument(metavar="STEP", show_default=False, help="Show its value.", autocompletion=step_names),
    ] = None,
    *,
    unpickle: Annotated[
        bool, typer.Option("--unpickle", help="Unpickle the value. That runs the code that it names: you trust it.")
    ] = False,
    allow_unsealed: Annotated[
        bool, typer.Option("--allow-unsealed", help="Show a value without a seal though there are keys.")
    ] = False,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Show the timeline of a run: its steps, and the time between them. With a step: the value.

    A pickled value is described without unpickling it. What is sealed is opened with JEEVES_JOURNAL_KEYS.
    """
    journal = Journal(url, schema)
    if step is None:
        timeline = run(_timeline(journal, session))
        if json:
            print_json({"id": session, "records": [document(each) for each in timeline]})
        else:
            _print_timeline(session, timeline)
    else:
        found = values_of(journal, session, step, unpickle=unpickle, allow_unsealed=allow_unsealed)
        print_values(run(found), json=json)


def document(step: StepSummary) -> dict[str, object]:
    """Return a step's summary for JSON."""
    return {
        "name": step.name,
        "kind": step.kind,
        "recorded_at": moment(step.recorded_at),
        "bytes": step.bytes,
        "codec": step.codec,
        "sealed_by": step.sealed_by,
    }


async def _timeline(journal: Journal, session_id: str) -> list[StepSummary]:
    async with journal.to_look() as store:
        return await recorded_steps(store, session_id)


def _print_timeline(session_id: str, steps: Sequence[StepSummary]) -> None:
    gaps = [0.0, *(later.recorded_at - earlier.recorded_at for earlier, later in pairwise(steps))]
    width, longest = _bar_width(), max(gaps)
    bars = [_bar(gap, longest, width) for gap in gaps]
    rows = zip(steps, gaps, bars, strict=True)
    if is_terminal():
        say(_title(session_id, steps))
        print_table(_HEADINGS, (_row(*row) for row in rows))
    else:
        print_lines(_fields(*row) for row in rows)


def _row(step: StepSummary, gap: float, bar: str) -> tuple[str, ...]:
    codec = f"{step.codec}, key {step.sealed_by}" if step.sealed_by else step.codec
    return span(gap), bar, step.name, step.kind, size(step.bytes), codec


def _fields(step: StepSummary, gap: float, bar: str) -> tuple[str, ...]:
    plain = moment(step.recorded_at), f"{gap:.6f}", step.name, step.kind, str(step.bytes), step.codec
    return *plain, step.sealed_by or "-", bar


def _title(session_id: str, steps: Sequence[StepSummary]) -> str:
    kinds = [step.kind for step in steps]
    first, last = steps[0].recorded_at, steps[-1].recorded_at
    what = f"{count(kinds.count('step'), 'step')} and {count(kinds.count('stream'), 'stream')}"
    return (
        f"{shown(session_id)}: {what}, {size(sum(step.bytes for step in steps))}, "
        f"recorded from {clock(first)} UTC on over {span(last - first)}"
    )


def _bar_width() -> int:
    if not is_terminal():
        return _WIDTH
    return min(_WIDTH, max(_LEAST_WIDTH, get_terminal_size().columns - _BESIDE))


def _bar(gap: float, longest: float, width: int) -> str:
    if not gap > 0:
        return ""
    block = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    return block * max(1, round(width * gap / longest))
