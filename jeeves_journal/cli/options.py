"""The parameters that commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from jeeves_journal.cli.proposing import session_ids

Url: TypeAlias = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="JEEVES_JOURNAL_URL",
        show_default=False,
        help="The journal, as JournalStore.from_url takes it. A password is safer in the environment variable.",
    ),
]
Schema: TypeAlias = Annotated[
    str | None, typer.Option("--schema", show_default=False, help="The Postgres schema that holds the tables.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
SessionId: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="SESSION", show_default=False, help="The session's id.", autocompletion=session_ids),
]
