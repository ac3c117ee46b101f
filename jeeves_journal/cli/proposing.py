"""What a shell proposes where a session or a step is named."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from typing import Any, Final

import typer

from jeeves_journal.cli.journals import Journal, Store, run
from jeeves_journal.factory import open_to_look
from jeeves_journal.options import StoreOptions

_MOST: Final = 50
# Seconds. Somebody waits with a finger on the key.
_TIMEOUT: Final = 2.0


def session_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Return sessions whose ids begin so."""

    async def found(store: Store) -> list[str]:
        return [each.id for each in await store.sessions(incomplete, limit=_MOST)]

    return _proposed(context, found)


def step_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return steps, of the session that was named already, whose names begin so."""
    given = context.params
    # Behind an option that lacks its value, which is what is completed here, arguments are left unparsed.
    session_id = given.get("session") or given.get("source") or next(iter(context.args), "")

    async def found(store: Store) -> list[str]:
        # A step and a stream may have the same name.
        names = dict.fromkeys(each.name for each in await store.steps(session_id))
        return [name for name in names if name.startswith(incomplete)]

    return _proposed(context, found)


def _proposed(context: typer.Context, find: Callable[[Store], Awaitable[list[str]]]) -> list[str]:
    """Look into the journal that was named; whatever is wrong, there is no proposal, and the command will say so."""
    try:
        names = run(_found(context.params, find))
    except Exception:
        return []
    # What shells are given they read again, and would split, expand or run what is no plain word.
    return [name for name in names if shlex.quote(name) == name and not name.startswith("-")][:_MOST]


async def _found(given: dict[str, Any], find: Callable[[Store], Awaitable[list[str]]]) -> list[str]:
    options: StoreOptions = {"timeout": _TIMEOUT, **Journal(given["url"], given.get("schema")).options()}
    async with open_to_look(given["url"], **options) as store:
        return await find(store)
