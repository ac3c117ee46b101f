"""``jeeves-journal doctor``: what is right with a journal, and what to do about what is not."""

from __future__ import annotations

from secrets import token_hex
from time import perf_counter
from typing import TYPE_CHECKING, Final

import typer

from jeeves_journal.cli.exits import COULD_NOT
from jeeves_journal.cli.journals import Journal, Store, keys_of_environment, run
from jeeves_journal.cli.options import Json, Schema, Url
from jeeves_journal.cli.output import print_json, say
from jeeves_journal.cli.text import shown, span
from jeeves_journal.errors import JournalError
from jeeves_journal.records import Finding

if TYPE_CHECKING:
    from jeeves_journal.options import StoreOptions

_SLOW: Final = 1.0
_VALUE: Final = "written by jeeves-journal doctor"


def doctor(url: Url, *, json: Json = False, schema: Schema = None) -> None:
    """Look at the connection, the tables, what makes records durable, the clock, and a put, get and delete.

    Each line is ok or says what to do. The put goes into a session of its own, which is deleted again.
    """
    findings = run(_findings(Journal(url, schema)))
    is_well = all(each.state != "wrong" for each in findings)
    if json:
        print_json({"is_well": is_well, "findings": [_document(each) for each in findings]})
    else:
        for each in findings:
            say(_line(each))
    if not is_well:
        raise typer.Exit(COULD_NOT)


def _document(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "state": finding.state, "what": finding.what, "remedy": finding.remedy}


def _line(finding: Finding) -> str:
    remedy = f": {finding.remedy}" if finding.remedy else ""
    return f"{finding.state:<7}  {finding.name}: {shown(finding.what)}{shown(remedy)}"


async def _findings(journal: Journal) -> list[Finding]:
    try:
        async with journal.to_look() as store:
            findings = await store.examine()
    except JournalError as error:
        return [_wrong("connection", error)]
    # A put into tables that cannot be used tells nothing new.
    if all(each.state != "wrong" for each in findings):
        findings.append(await _round_trip(journal))
    return findings


async def _round_trip(journal: Journal) -> Finding:
    session_id = f"jeeves-journal-doctor-{token_hex(8)}"
    try:
        keys = keys_of_environment()
        options: StoreOptions = {} if keys is None else {"keys": keys}
        async with journal.to_change(options) as store:
            try:
                return await _timed(store, session_id)
            finally:
                await store.delete_session(session_id)
    except JournalError as error:
        return _wrong("round trip", error)


async def _timed(store: Store, session_id: str) -> Finding:
    await store.steps(session_id)
    started = perf_counter()
    await store.put_step(session_id, "step", _VALUE)
    put = perf_counter()
    entry = await store.get_step(session_id, "step")
    got = perf_counter()
    deleted = await store.delete_session(session_id)
    ended = perf_counter()
    if entry is None or entry.value != _VALUE or deleted != 1:
        return Finding(
            "round trip", "wrong", "what was put is not what was found", "restore the database from a backup"
        )
    what = f"put {span(put - started)}, get {span(got - put)}, delete {span(ended - got)}"
    if ended - started > _SLOW:
        return Finding("round trip", "warning", what, "look for a slow disk, a slow network or a busy database")
    return Finding("round trip", "ok", what)


def _wrong(name: str, error: JournalError) -> Finding:
    return Finding(name, "wrong", error.what, error.remedy)
