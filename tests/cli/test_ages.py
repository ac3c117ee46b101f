"""How old something is, as it is written on the command line."""

from __future__ import annotations

from datetime import timedelta

import pytest
import typer

from jeeves_journal.cli.ages import read_age
from tests.cli.commands import fail

NONSENSE = [
    "0x", "-1d", "1.5y", "", " ", "d", "30", "30 d", "30D", "1h30m", "+1d", "1e3s", "٣d", "1_000s", "1d\n", "99999w9",
    "9" * 12 + "w", "9" * 5_000 + "s", "600000w", "nan", "inf",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("0s", timedelta()),
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("8w", timedelta(weeks=8)),
    ],
)
def test_a_whole_number_and_a_unit(text: str, age: timedelta) -> None:
    assert read_age(text) == age


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 30s, 15m, 12h, 30d or 8w"):
        read_age(text)


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_on_the_command_line_is_one_line(text: str) -> None:
    assert "30d" in fail("prune", "--older-than", text, "--yes", "--url", "memory://", code=2)
