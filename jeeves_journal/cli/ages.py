"""Ages, as commands take them: 30s, 15m, 12h, 30d, 8w."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, TypeAlias

import typer

_AGE: Final = re.compile(r"([0-9]+)([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EXPECTED: Final = "write a whole number and its unit, such as 30s, 15m, 12h, 30d or 8w"


def read_age(text: str) -> timedelta:
    """Return an age.

    Raises:
        typer.BadParameter: It is none, or too large for any time to be so old.
    """
    found = _AGE.fullmatch(text)
    # Python refuses to read longer numbers, and nothing is so old.
    if found is None or len(found[1]) > 12:
        raise typer.BadParameter(f"{text!r} is not an age: {_EXPECTED}")
    try:
        age = timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        age = timedelta.max
    if age > _LONGEST:
        raise typer.BadParameter(f"{text!r} is longer than 10,000 years: {_EXPECTED}")
    return age


_LONGEST: Final = timedelta(days=3_652_425)

NewerThan: TypeAlias = Annotated[
    timedelta | None,
    typer.Option(
        "--newer-than", parser=read_age, metavar="AGE", show_default=False, help="Whose last record is at most so old."
    ),
]
OlderThan: TypeAlias = Annotated[
    timedelta | None,
    typer.Option(
        "--older-than", parser=read_age, metavar="AGE", show_default=False, help="Whose last record is at least so old."
    ),
]
