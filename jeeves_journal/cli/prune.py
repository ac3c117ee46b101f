"""``jeeves-journal prune``: delete whole sessions that nobody has added to for long."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from jeeves_journal.cli.ages import read_age
from jeeves_journal.cli.asking import confirm
from jeeves_journal.cli.journals import Journal, run
from jeeves_journal.cli.options import Json, Schema, Url, Yes
from jeeves_journal.cli.output import print_json, progress, say
from jeeves_journal.cli.text import count, size
from jeeves_journal.records import Pruned


def prune(
    url: Url,
    older_than: Annotated[
        timedelta,
        typer.Option(
            "--older-than",
            parser=read_age,
            metavar="AGE",
            show_default=False,
            help="How old the last record has to be.",
        ),
    ],
    *,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX", show_default=False, help="Leave sessions whose ids begin so. May be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Yes = False,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Delete whole sessions whose last record is older, in short transactions while others use the journal.

    Interrupt it when you like: pruning again goes on with it.
    """
    journal, kept = Journal(url, schema), keep or []

    async def counted() -> Pruned:
        async with journal.to_look() as store:
            return await store.prune(older_than, keep=kept, dry_run=True)

    planned = run(counted())
    if dry_run or not planned.sessions:
        _report(planned, "would delete" if dry_run else "deleted", dry_run=dry_run, json=json)
        return
    confirm(f"Delete {_described(planned)}?", yes=yes)

    async def pruned() -> Pruned:
        with progress("pruning", planned.records) as show:
            async with journal.to_change() as store:
                return await store.prune(
                    older_than, keep=kept, progress=None if show is None else lambda done: show(done.records)
                )

    _report(run(pruned()), "deleted", dry_run=False, json=json)


def _described(pruned: Pruned) -> str:
    return f"{count(pruned.sessions, 'session')} with {count(pruned.records, 'record')} ({size(pruned.bytes)})"


def _report(pruned: Pruned, verb: str, *, dry_run: bool, json: bool) -> None:
    if json:
        print_json({"sessions": pruned.sessions, "records": pruned.records, "bytes": pruned.bytes, "dry_run": dry_run})
    else:
        say(f"{verb} {_described(pruned)}")
