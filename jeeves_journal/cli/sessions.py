"""``jeeves-journal sessions``: what sessions there are."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from jeeves_journal.cli.ages import NewerThan, OlderThan
from jeeves_journal.cli.exits import warn
from jeeves_journal.cli.journals import Journal, run
from jeeves_journal.cli.nearest import recorded_steps
from jeeves_journal.cli.options import Json, Schema, Url
from jeeves_journal.cli.output import is_terminal, print_json, print_lines, print_table
from jeeves_journal.cli.proposing import session_ids
from jeeves_journal.cli.text import clock, moment, size, span
from jeeves_journal.records import SessionSummary

_HEADINGS = ("*session", ">steps", ">streams", ">size", "last recorded, UTC", ">over")


def sessions(
    url: Url,
    *,
    prefix: Annotated[str | None, typer.Option(show_default=False, help="What their ids begin with.")] = None,
    recent: Annotated[
        bool, typer.Option("--recent", help="The latest record first; by default they go by id.")
    ] = False,
    newer_than: NewerThan = None,
    older_than: OlderThan = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="SESSION", show_default=False, help="Go on behind this session.", autocompletion=session_ids
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """List the sessions, with how much they recorded and when."""

    async def page() -> list[SessionSummary]:
        async with Journal(url, schema).to_look() as store:
            if recent and after is not None:
                # Where it stands by time, only its records tell.
                await recorded_steps(store, after)
            return await store.sessions(
                prefix,
                order="recent" if recent else "id",
                newer_than=newer_than,
                older_than=older_than,
                after=after,
                # One more, to know whether there are more.
                limit=limit + 1,
            )

    found = run(page())
    shown, has_more = found[:limit], len(found) > limit
    if json:
        print_json({"sessions": [_document(each) for each in shown], "next": shown[-1].id if has_more else None})
        return
    if is_terminal():
        print_table(_HEADINGS, map(_row, shown))
    else:
        print_lines(map(_fields, shown))
    if has_more:
        warn(f"there are more: go on with --after {shlex.quote(shown[-1].id)}, or raise --limit")


def _document(session: SessionSummary) -> dict[str, object]:
    return {
        "id": session.id,
        "steps": session.steps,
        "streams": session.streams,
        "first_recorded": moment(session.first_recorded),
        "last_recorded": moment(session.last_recorded),
        "bytes": session.bytes,
    }


def _row(each: SessionSummary) -> tuple[str, ...]:
    counts = f"{each.steps:,}", f"{each.streams:,}", size(each.bytes)
    return each.id, *counts, clock(each.last_recorded), span(each.last_recorded - each.first_recorded)


def _fields(each: SessionSummary) -> tuple[str, ...]:
    counts = str(each.steps), str(each.streams), str(each.bytes)
    return each.id, *counts, moment(each.first_recorded), moment(each.last_recorded)
