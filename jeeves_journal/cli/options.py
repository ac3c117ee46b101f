"""The parameters that commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

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
