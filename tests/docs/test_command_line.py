"""docs/command-line.md tells the truth: its commands are run in order, and print what it says."""

from __future__ import annotations

import datetime as dt
import os
import re
import shlex
from collections.abc import Iterator
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path
from typing import Final

import pytest

from jeeves_journal.cli import exits
from tests.cli.commands import on_terminal, run
from tests.cli.records import restore

PAGE: Final = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```console\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
COMMANDS: Final = [found for block in BLOCKS for found in _COMMAND.findall(block)]

# What differs from machine to machine, and from run to run.
VARYING: Final = {
    r"SQLite /\S*/journal\.db": "SQLite PATH",
    r"(ok|warning) +version: .*": "VERSION",
    r"(put|get|delete) [\d.]+ m?s": r"\1 TIME",
    r"\b[a-z2-7]{8}:[A-Za-z0-9+/]{43}=": "KEY",
}

AT: Final = 1_750_000_000.0
SENT: Final = dt.datetime(2025, 6, 15, 17, 6, 53, tzinfo=dt.UTC)


def make_example(folder: Path) -> None:
    """Make the journal that the page shows."""
    restore(
        f"sqlite:///{folder}/journal.db",
        {
            "order-7": [
                ("step", "charge", {"cents": 1999, "currency": "EUR", "items": ["book", "pen"]}, AT),
                ("step", "invoice", "invoice-7.pdf", AT + 0.84),
                ("stream", "letter", ["Dear ", "customer"], AT + 5.1),
                ("step", "send", {"to": "customer@example.org", "at": SENT}, AT + 12.5),
            ],
            "order-8": [("step", "charge", {"cents": 500, "currency": "EUR", "items": ["pen"]}, AT + 3_600)],
            "import-1": [("step", "read", 12_000, AT - 86_400)],
        },
    )


def printed(command: str, last_code: int) -> tuple[str, int]:
    """Return what a command shows on a terminal, and its exit code."""
    name, *arguments = shlex.split(command, comments=True)
    if name == "export":
        os.environ.update([arguments[0].split("=", 1)])
        return "", 0
    if name == "echo":
        return f"{last_code}\n", 0
    assert name == "jeeves-journal"
    with on_terminal(*arguments, kind="dumb") as terminal:
        code = terminal.end()
        return terminal.text, code


def shown() -> Iterator[tuple[str, str, str]]:
    """Run the page's commands in order; yield each with what the page says, and what was printed."""
    code = 0
    for command, expected in COMMANDS:
        text, code = printed(command, code)
        yield command, expected, re.sub(r" +$", "", text, flags=re.MULTILINE)


def test_the_commands_print_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("JEEVES_JOURNAL_URL", "JEEVES_JOURNAL_KEYS"):
        # So that what the page exports is gone afterwards.
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    make_example(tmp_path)
    for command, expected, text in shown():
        assert OutputChecker().check_output(_steady(expected), _steady(text), ELLIPSIS), f"$ {command}\n{text}"


def _steady(text: str) -> str:
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return text


def test_every_command_is_shown() -> None:
    listed = re.findall(r"^│ ([a-z]+) ", run("--help").stdout, flags=re.MULTILINE)
    commands = {command.split("#")[0].split()[1] for command, _ in COMMANDS if command.startswith("jeeves-journal ")}
    assert set(listed) <= commands
    groups = {" ".join(command.split()[1:3]) for command, _ in COMMANDS if command.split()[1] in ("db", "keys")}
    assert groups == {"db upgrade", "db current", "db check", "db sql", "keys new"}


def test_the_table_of_exit_codes_is_complete() -> None:
    table = re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE)
    assert [int(code) for code in table] == list(exits.MEANINGS)
