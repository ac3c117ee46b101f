"""``jeeves-journal export`` and ``import``: a journal, or some of its sessions, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jeeves_journal.bundles import Exported, Imported, export_bundle, import_bundle
from jeeves_journal.cli.exits import COULD_NOT, warn
from jeeves_journal.cli.journals import Journal, run
from jeeves_journal.cli.nearest import recorded_steps
from jeeves_journal.cli.options import Json, Schema, Url
from jeeves_journal.cli.output import print_json, progress, say
from jeeves_journal.cli.proposing import session_ids
from jeeves_journal.cli.text import count, size


def export(
    url: Url,
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The bundle to make.")],
    *,
    session: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            show_default=False,
            help="Only this session. May be repeated.",
            autocompletion=session_ids,
        ),
    ] = None,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Write sessions into a new file, which any journal can import. Sealed values travel sealed."""

    async def work() -> Exported:
        async with Journal(url, schema).to_look() as store:
            for each in session or []:
                await recorded_steps(store, each)
            with progress("records") as show:
                return await export_bundle(
                    store, file, session or None, progress=None if show is None else lambda done: show(done.records)
                )

    done = run(work())
    if json:
        print_json({"sessions": done.sessions, "records": done.records, "bytes": done.bytes})
    else:
        say(f"exported {count(done.sessions, 'session')} with {count(done.records, 'record')} ({size(done.bytes)})")


def import_(
    url: Url,
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="What export made.")],
    *,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Record the sessions of a bundle. Repeating it changes nothing.

    A damaged bundle is refused whole. A session that is there with other records is left as it is.
    """

    async def work() -> Imported:
        with progress("sessions") as show:
            async with Journal(url, schema).to_fill() as store:
                return await import_bundle(
                    store, file, progress=None if show is None else lambda done: show(_looked_at(done))
                )

    done = run(work())
    refused = [error.session_id for error in done.refused]
    if json:
        print_json(
            {"sessions": done.sessions, "records": done.records, "unchanged": done.unchanged, "refused": refused}
        )
    else:
        say(
            f"imported {count(done.sessions, 'session')} with {count(done.records, 'record')}, "
            f"{done.unchanged:,} unchanged, {len(refused):,} refused"
        )
    for error in done.refused:
        warn(str(error))
    if refused:
        raise typer.Exit(COULD_NOT)


def _looked_at(done: Imported) -> int:
    return done.sessions + done.unchanged + len(done.refused)
