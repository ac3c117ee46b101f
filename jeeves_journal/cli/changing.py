"""``jeeves-journal rewind``, ``fork`` and ``delete``: what changes one session."""

from __future__ import annotations

from typing import Annotated

import typer

from jeeves_journal.cli.asking import confirm
from jeeves_journal.cli.journals import Journal, keys_of_environment, run
from jeeves_journal.cli.nearest import recorded_steps
from jeeves_journal.cli.options import Json, Schema, SessionId, Url, Yes
from jeeves_journal.cli.output import print_json, say
from jeeves_journal.cli.proposing import session_ids, step_names
from jeeves_journal.cli.text import count, shown, size
from jeeves_journal.errors import DecodeError
from jeeves_journal.options import StoreOptions
from jeeves_journal.records import StepSummary


def rewind(
    url: Url,
    session: SessionId,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="STEP",
            show_default=False,
            help="The first step that is forgotten.",
            autocompletion=step_names,
        ),
    ],
    *,
    yes: Yes = False,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Forget a step and all that was recorded with it or after it, so that the run goes on from there."""
    journal = Journal(url, schema)
    steps = run(_look(journal, session, to))
    first = next(index for index, step in enumerate(steps) if step.name == to)
    forgotten = [step for step in steps if step.recorded_at >= steps[first].recorded_at]
    what = f"{_records(forgotten)} of the {len(steps):,} of session {session!r}"
    confirm(f"Forget {what}, from {to!r} on?", yes=yes)

    async def work() -> int:
        async with journal.to_change() as store:
            return await store.rewind(session, to)

    deleted = run(work())
    if json:
        print_json({"id": session, "to": to, "deleted": deleted})
    else:
        say(f"forgot {count(deleted, 'record')} of {shown(session)}: it goes on with {shown(to)}")


def delete(
    url: Url,
    session: SessionId,
    *,
    step: Annotated[
        str | None,
        typer.Option(
            "--step", metavar="STEP", show_default=False, help="Delete only this step.", autocompletion=step_names
        ),
    ] = None,
    yes: Yes = False,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Delete all that a session recorded, or one step of it."""
    journal = Journal(url, schema)
    steps = run(_look(journal, session, step))
    if step is None:
        confirm(f"Delete session {session!r} with its {_records(steps)}?", yes=yes)
    else:
        confirm(f"Delete step {step!r} of session {session!r}?", yes=yes)

    async def work() -> int:
        async with journal.to_change() as store:
            return await (store.delete_session(session) if step is None else store.delete_step(session, step))

    deleted = run(work())
    if json:
        print_json({"id": session, "step": step, "deleted": deleted})
    else:
        say(f"deleted {count(deleted, 'record')} of {shown(session)}")


def fork(
    url: Url,
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", show_default=False, help="The session to copy.", autocompletion=session_ids),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", show_default=False, help="The new session.")],
    *,
    before: Annotated[
        str | None,
        typer.Option(
            "--before",
            metavar="STEP",
            show_default=False,
            help="Copy only what was recorded before it.",
            autocompletion=step_names,
        ),
    ] = None,
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Copy a session into a new one, up to a step. Sealed records are sealed anew with JEEVES_JOURNAL_KEYS."""
    journal = Journal(url, schema)
    steps = run(_look(journal, source, before))
    keys = keys_of_environment()
    sealing: StoreOptions = {} if keys is None else {"keys": keys}

    async def work() -> int:
        async with journal.to_change(sealing) as store:
            try:
                return await store.fork_session(source, target, before=before)
            except DecodeError as error:
                raise error if keys is not None else _without_keys(source, steps) from error

    copied = run(work())
    if json:
        print_json({"source": source, "target": target, "before": before, "copied": copied})
    else:
        say(f"copied {count(copied, 'record')} of {shown(source)} into {shown(target)}")


def _without_keys(session_id: str, steps: list[StepSummary]) -> DecodeError:
    """Say what to do on the command line, where the codec speaks of arguments."""
    key_ids = sorted({step.sealed_by for step in steps if step.sealed_by is not None})
    return DecodeError(f"records are sealed by key {', '.join(key_ids)}", "put it in JEEVES_JOURNAL_KEYS", session_id)


async def _look(journal: Journal, session_id: str, step_name: str | None) -> list[StepSummary]:
    async with journal.to_look() as store:
        return await recorded_steps(store, session_id, step_name)


def _records(steps: list[StepSummary]) -> str:
    return f"{count(len(steps), 'record')} ({size(sum(step.bytes for step in steps))})"
