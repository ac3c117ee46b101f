"""What commands print: a table on a terminal, lines with tabs between fields elsewhere, or one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final

from jeeves_journal.cli.text import shown

_RIGHT: Final = ">"


def say(text: str) -> None:
    """Print lines. What is in them that came from elsewhere has to be ``shown``."""
    sys.stdout.write(f"{text}\n")


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
        headings: One for each column; ``>`` in front of it puts the column to the right.
        rows: The cells, which are escaped.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        justify: Any = "right" if heading.startswith(_RIGHT) else "left"
        table.add_column(heading.removeprefix(_RIGHT), justify=justify, overflow="fold")
    for row in rows:
        # As Text, in which brackets are no markup.
        table.add_row(*(Text(shown(cell)) for cell in row))
    Console(highlight=False).print(table)


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
