"""Values, keys and key pairs that put a store to the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NoReturn

import pytest

SECRET: Final = "hunter2"
LARGEST_KEY: Final = 1_000


@dataclass(frozen=True)
class Point:
    """A value of a class of one's own."""

    x: int
    y: float


class Colour(Enum):
    """A value that is compared by identity in its own process."""

    RED = "red"


class Unencodable:
    """Cannot be pickled, and shows the secret when it is printed."""

    def __repr__(self) -> str:
        return SECRET

    def __reduce__(self) -> NoReturn:
        raise LookupError(SECRET)


class Undecodable(Exception):
    """Pickles, and then cannot be made again: ``__init__`` takes more than what the base class keeps."""

    def __init__(self, code: int, secret: str) -> None:
        super().__init__(f"{code} {secret}")


def nested(depth: int) -> list[Any]:
    """Return lists in lists."""
    outer: list[Any] = [SECRET]
    for _ in range(depth):
        outer = [outer]
    return outer


def secret_generator() -> Iterator[str]:
    """Return a value that no process could take up again."""
    yield SECRET


def instance_of_a_local_class() -> object:
    """Return an instance of a class that cannot be imported."""

    class Local:
        password = SECRET

    return Local()


VALUES: Final = [
    pytest.param(value, id=name)
    for name, value in {
        "none": None,
        "true": True,
        "zero": 0,
        "huge-int": 2**200,
        "float": 0.1,
        "infinity": float("inf"),
        "empty-str": "",
        "nul-and-emoji": "a\0b \N{PILE OF POO}",
        "lone-surrogate": "\ud800",
        "empty-bytes": b"",
        "every-byte": bytes(range(256)),
        "ends-like-a-pickle": b"\x80\x05N.",
        "tuple": (1, (2, [3])),
        "dict": {"rows": 3, ("a", 1): None},
        "set": {1, 2, 3},
        "datetime": datetime(2026, 1, 2, tzinfo=UTC),
        "decimal": Decimal("1.10"),
        "dataclass": Point(1, 2.5),
        "enum": Colour.RED,
        "class": Point,
        "unwrapped-entry": [None],
    }.items()
]

UNRECORDABLE: Final = [
    pytest.param(make, id=name)
    for name, make in {
        "raises-in-dumps": Unencodable,
        "raises-in-loads": lambda: Undecodable(1, SECRET),
        "too-deep": lambda: nested(100_000),
        "generator": secret_generator,
        "lock": threading.Lock,
        "lambda": lambda: lambda: SECRET,
        "local-class": instance_of_a_local_class,
        "inside-a-value": lambda: {"answer": [SECRET, Unencodable()]},
    }.items()
]
"""Functions, because one test's value must not outlive it."""

BAD_KEYS: Final = [
    pytest.param(key, id=name)
    for name, key in {
        "none": None,
        "int": 7,
        "bytes": b"run",
        "tuple": ("run",),
        "empty": "",
        "nul": "\0",
        "nul-inside": "a\0b",
        "lone-surrogate": "a\ud800b",
        "surrogate-escape": b"\xff".decode("utf-8", "surrogateescape"),
        "too-long": "k" * (LARGEST_KEY + 1),
        "too-long-in-bytes": "\N{LATIN SMALL LETTER E WITH ACUTE}" * (LARGEST_KEY // 2) + "k",
    }.items()
]

GOOD_KEYS: Final = [
    pytest.param(key, id=name)
    for name, key in {
        "space": " ",
        "newline": "a\r\nb",
        "quotes": """'"`; --""",
        "wildcards": "%_*?[a]",
        "backslash": "a\\b\\\\n",
        "placeholders": ":a $1 ? %(a)s {a}",
        "path": "../a/b",
        "control": "\x01\x1f\x7f\x85",
        "emoji": "\N{PILE OF POO}\N{ZERO WIDTH JOINER}\N{FACE PALM}",
        "right-to-left": "\N{HEBREW LETTER ALEF}\N{RIGHT-TO-LEFT OVERRIDE}b",
        "noncharacter": "\uffff\U0010ffff",
        "byte-order-mark": "\ufeffa",
    }.items()
]

# Equal to one or another collation, normal form or careless comparison.
DIFFERENT_KEYS: Final = [
    pytest.param(one, other, id=name)
    for name, (one, other) in {
        "case": ("step", "STEP"),
        "case-beyond-ascii": ("\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{LATIN CAPITAL LETTER E WITH ACUTE}"),
        "normal-form": ("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}"),
        "accent": ("e", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
        "trailing-space": ("step", "step "),
        "leading-space": ("step", " step"),
        "trailing-newline": ("step", "step\n"),
        "prefix": ("step", "step2"),
        "zero-width": ("step", "ste\N{ZERO WIDTH SPACE}p"),
        "full-width": ("a", "\N{FULLWIDTH LATIN SMALL LETTER A}"),
        "percent": ("a%", "ab"),
        "underscore": ("a_", "ab"),
        "digits": ("1", "01"),
        "number": ("1", "1.0"),
        "sharp-s": ("\N{LATIN SMALL LETTER SHARP S}", "ss"),
    }.items()
]


def plain(parameters: Iterable[Any]) -> list[Any]:
    """Return pytest's parameters as what a loop goes over, where a test for each would take long for what it shows."""
    return [each.values[0] if len(each.values) == 1 else each.values for each in parameters]


def longest_keys(session_id: str) -> list[str]:
    """Return keys of exactly 1,000 bytes: of one byte, of two and of four bytes a character."""
    widths = {1: "k", 2: "\N{LATIN SMALL LETTER E WITH ACUTE}", 4: "\N{PILE OF POO}"}
    room = LARGEST_KEY - len(session_id.encode())
    return [session_id + character * (room // width) + "k" * (room % width) for width, character in widths.items()]


Factory = Callable[[], Any]
