"""What commands print: a table on a terminal, lines with tabs between fields elsewhere, or one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final

from jeeves_journal.cli.exits import NotWritten
from jeeves_journal.cli.text import shown

_RIGHT: Final = ">"
_NAME: Final = "*"
_MARKS: Final = _RIGHT + _NAME
_NARROWEST: Final = 12
# Between columns.
_GAP: Final = 2


def say(text: str) -> None:
    """Print lines. What is in them that came from elsewhere has to be ``shown``."""
    with _room():
        sys.stdout.write(f"{text}\n")


def flush() -> None:
    """Let all that was printed go out."""
    with _room():
        sys.stdout.flush()


@contextmanager
def _room() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise NotWritten(error.strerror) from error


def print_json(document: Any) -> None:
    """Print a JSON document. It is ASCII, so that nothing in it commands a terminal."""
    say(json.dumps(document, indent=2))


def is_terminal() -> bool:
    """Return whether a person reads what is printed."""
    return sys.stdout.isatty()


def print_lines(rows: Iterable[Sequence[str]]) -> None:
    """Print a line for each row, with tabs between its fields, which are escaped."""
    for row in rows:
        say("\t".join(map(shown, row)))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, for a terminal.

    Args:
        headings: One for each column; ``>`` in front of it puts the column to the right, and ``*`` says that its cells
            may be divided where the terminal is narrow.
        rows: The cells, which are escaped.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[shown(cell) for cell in row] for row in rows]
    console = Console(highlight=False)
    widths = _widths(headings, cells, console.width)
    # What is wider all the same is divided by the terminal: no number is cut here.
    console.width = max(console.width, _total(widths))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in zip(headings, widths, strict=True):
        justify: Any = "right" if heading.startswith(_RIGHT) else "left"
        table.add_column(heading.lstrip(_MARKS), justify=justify, overflow="fold", width=width)
    for row in cells:
        # As Text, in which brackets are no markup.
        table.add_row(*map(Text, row))
    console.print(table)


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return how wide the columns are: names give way to the others, down to a width that still tells something."""
    from rich.cells import cell_len

    titles = [heading.lstrip(_MARKS) for heading in headings]
    widths = [max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)]
    missing = max(0, _total(widths) - room)
    return [
        max(min(width, _NARROWEST), width - missing) if heading.startswith(_NAME) else width
        for heading, width in zip(headings, widths, strict=True)
    ]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


@contextmanager
def progress(label: str, total: int | None = None) -> Generator[Callable[[int], None] | None]:
    """Show how far something has come, on a terminal only.

    Yields:
        What to call with the number done so far, or None where nobody looks.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False)
    if console.is_dumb_terminal:
        # It cannot write over what it shows.
        yield None
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)
