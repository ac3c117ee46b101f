"""All that a program shows of an error, also where its tools print tracebacks with locals."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from rich.console import Console
from rich.traceback import Traceback

from jeeves_journal import JournalStore
from tests.faults.figures import Figures

_TESTS = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class Secret:
    """Something that may be shown in no form."""

    text: str

    def seen_in(self, shown: str) -> list[str]:
        """Return the forms of it that stand in a text."""
        raw = self.text.encode()
        forms = {
            "plain": self.text,
            "repr": repr(self.text)[1:-1],
            "percent": quote(self.text, safe=""),
            "plus": quote_plus(self.text),
            # Postgres cuts what it quotes.
            "hex": raw[:8].hex(),
            # Whatever stands before it, one of three shifts is how it looks inside.
            **{f"base64-{shift}": base64.b64encode(b"\0" * shift + raw).decode()[4:-4] for shift in range(3)},
            # Half of it would do for guessing the rest.
            "first half": self.text[: len(self.text) // 2],
            "second half": self.text[len(self.text) // 2 :],
        }
        return [name for name, form in forms.items() if form.lower() in shown.lower()]


# Both hold what a URL, a repr and a pickle each write in another way.
PASSWORD = Secret(f"k7Qz%+{secrets.token_hex(12)}/@é")
VALUE = Secret(f"v4Lu3'{secrets.token_hex(12)}\\")


class _Showing(logging.Handler):
    """Formats what is logged as the most talkative of handlers does."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.getMessage()} {record.args!r}")
        if record.exc_info and record.exc_info[1] is not None:
            self.lines.append(shown_of(record.exc_info[1]))


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """What every logger says, at DEBUG."""
    handler, root = _Showing(), logging.getLogger()
    loggers = [root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))]
    before = [(each, each.level, each.propagate, each.disabled) for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
        each.propagate, each.disabled = True, False
    root.addHandler(handler)
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
        for each, level, propagate, disabled in before:
            each.setLevel(level)
            each.propagate, each.disabled = propagate, disabled


def shown_of(error: BaseException) -> str:
    """Return an error with its causes, contexts and notes, in every way in which tools print it.

    The frames of the tests are left out: they are the caller's, and hold the secrets.
    """
    for each in chain(error):
        each.__traceback__ = _below_the_tests(each.__traceback__)
    parts = [f"{each!s}\n{each!r}\n{getattr(each, '__notes__', '')}" for each in chain(error)]
    parts += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    # Tools cut what is long; here nothing is.
    parts += [repr(frame.f_locals) for each in chain(error) for frame, _ in traceback.walk_tb(each.__traceback__)]
    return "\n".join(parts)


def rendered_by_tools(error: BaseException) -> str:
    """Return an error as rich and pytest print it, with locals; it takes them seconds."""
    printed = io.StringIO()
    console = Console(file=printed, width=1_000)
    parts = (type(error), error, error.__traceback__)
    console.print(Traceback.from_exception(*parts, show_locals=True, locals_max_string=None, locals_max_length=None))
    by_pytest = pytest.ExceptionInfo.from_exception(error).getrepr(showlocals=True, style="long")
    return f"{printed.getvalue()}\n{by_pytest}"


def chain(error: BaseException) -> list[BaseException]:
    """Return an error and all that led to it."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and each not in found:
            found.append(each)
            left += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return found


def shown_by(provoke: Callable[[], Awaitable[Any]], *expected: type[BaseException]) -> str:
    """Return all that is shown while a call fails, in a loop of its own in debug mode; the call must fail."""
    return shown_while(lambda: asyncio.run(_made(provoke), debug=True), *expected)


def shown_while(
    provoke: Callable[[], object], *expected: type[BaseException], show: Callable[[BaseException], str] | None = None
) -> str:
    """Return all that is shown while a function fails, as it must; ``show`` adds to it."""
    with everything_logged() as logged:
        with pytest.raises(expected) as failed:
            provoke()
        return "\n".join([*logged, shown_of(failed.value), show(failed.value) if show else ""])


async def _made(provoke: Callable[[], Awaitable[Any]]) -> None:
    await provoke()


def _below_the_tests(entry: TracebackType | None) -> TracebackType | None:
    while entry is not None and not _is_ours(entry):
        entry = entry.tb_next
    return entry


def _is_ours(entry: TracebackType) -> bool:
    name = entry.tb_frame.f_code.co_filename
    return not name.startswith(_TESTS) and not name.endswith(("asyncio/runners.py", "asyncio/base_events.py"))


def check(figures: Figures, shown: str) -> None:
    """Look for both secrets."""
    figures.refused += 1
    figures.others["characters looked through"] = figures.others.get("characters looked through", 0) + len(shown)
    assert len(shown) > 500, shown
    for secret in (PASSWORD, VALUE):
        seen = secret.seen_in(shown)
        figures.wrong += bool(seen)
        assert not seen, "\n".join(line for line in shown.splitlines() if secret.seen_in(line))


def put(url: str, value: Any = VALUE.text, *, timeout: float = 2, **options: Any) -> Callable[[], Awaitable[None]]:
    """Return a call that puts a step and closes the store."""

    async def run() -> None:
        async with JournalStore.from_url(url, timeout=timeout, **options) as store:
            await store.put_step("s", "n", value)

    return run
