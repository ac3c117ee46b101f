"""``jeeves-journal usage``: how much the journal holds."""

from __future__ import annotations

from jeeves_journal.cli.journals import Journal, run
from jeeves_journal.cli.options import Json, Schema, Url
from jeeves_journal.cli.output import is_terminal, print_json, print_lines, print_table
from jeeves_journal.cli.text import clock, moment, size
from jeeves_journal.records import KindUsage, Usage


def usage(url: Url, *, json: Json = False, schema: Schema = None) -> None:
    """Print how much the journal holds. Of a large one, rows and bytes are what the database estimates."""

    async def asked() -> Usage:
        async with Journal(url, schema).to_look() as store:
            return await store.usage()

    found = run(asked())
    if json:
        print_json({"steps": _document(found.steps), "streams": _document(found.streams), "is_exact": found.is_exact})
        return
    kinds = (("steps", found.steps), ("streams", found.streams))
    how = "counted" if found.is_exact else "estimated"
    if is_terminal():
        print_table(("kind", ">rows", ">size", "oldest, UTC", ""), [(*_row(*each), how) for each in kinds])
    else:
        print_lines((*_fields(*each), how) for each in kinds)


def _document(of_kind: KindUsage) -> dict[str, object]:
    oldest = None if of_kind.oldest is None else moment(of_kind.oldest)
    return {"rows": of_kind.rows, "bytes": of_kind.bytes, "oldest": oldest}


def _row(kind: str, found: KindUsage) -> tuple[str, ...]:
    return kind, f"{found.rows:,}", size(found.bytes), "-" if found.oldest is None else clock(found.oldest)


def _fields(kind: str, found: KindUsage) -> tuple[str, ...]:
    return kind, str(found.rows), str(found.bytes), "-" if found.oldest is None else moment(found.oldest)
