"""What is told of a pickle without unpickling it."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import pickle
import re
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as some

from jeeves_journal.cli.outlines import printed
from jeeves_journal.cli.pickles import MOST_OPCODES, Outline, UnclearError


class Colour(enum.Enum):
    RED = 1


class Slotted:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = 1


class Listing(list[Any]):
    pass


class Named(dict[str, Any]):
    pass


class Keyworded:
    def __getnewargs_ex__(self) -> tuple[tuple[int], dict[str, int]]:
        return (1,), {"two": 2}

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)


def told(value: Any, protocol: int = 5) -> str:
    return printed(Outline(pickle.dumps(value, protocol=protocol)).value)


NUMBERS = some.integers() | some.floats(allow_nan=False, allow_infinity=False)
PLAIN = some.recursive(
    some.none() | some.booleans() | NUMBERS | some.text() | some.binary(),
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(some.text() | some.integers(), inner, max_size=4)
        | some.tuples(inner, inner)
        | some.sets(some.integers(), max_size=4)
        | some.frozensets(some.text(), max_size=4)
    ),
    max_leaves=20,
)


@given(value=PLAIN, protocol=some.sampled_from([4, 5]))
def test_plain_data_is_told_whole(value: Any, protocol: int) -> None:
    assert eval(told(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [{"rows": [1, 2.5, None, True, "é", ("x",), {}, [], ()]}, [2**70, -1, "x" * 300]])
def test_every_protocol_is_told(value: Any, protocol: int) -> None:
    assert eval(told(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    ("value", "part"),
    [
        (Colour.RED, f"{__name__}.Colour(1)"),
        (Slotted(), "'left': 1"),
        (Listing([1, 2]), "1, 2"),
        (Named(a=1), "'a': 1"),
        (Keyworded(), "'two': 2"),
        (decimal.Decimal("1.5"), "decimal.Decimal('1.5')"),
        (collections.OrderedDict(a=1), "'a': 1"),
        # Python 3.13 pickles it as one text, earlier ones as its parts.
        (PurePosixPath("a/b"), "PurePosixPath('a"),
        (dt.timedelta(days=1), "datetime.timedelta(1, 0, 0)"),
        (ValueError("no"), "ValueError('no')"),
        (bytearray(b"abc"), "abc"),
        (print, "print"),
    ],
)
def test_objects_are_told_by_what_makes_them(value: Any, part: str, protocol: int) -> None:
    assert part in re.sub(r"\s+", " ", told(value, protocol))


@pytest.mark.parametrize("protocol", [0, 1])
def test_objects_of_old_protocols_are_told(protocol: int) -> None:
    assert "cents" in told(Old(), protocol)


class Old:
    def __init__(self) -> None:
        self.cents = 5


def test_what_would_be_imported_is_listed_once() -> None:
    outline = Outline(pickle.dumps([Colour.RED, Slotted(), Colour.RED]))
    assert [name.rpartition(".")[2] for name in outline.imports if name.startswith(__name__)] == ["Colour", "Slotted"]


def test_nothing_is_imported_or_called() -> None:
    outline = Outline(b"cos\nsystem\n(S'touch ran'\ntR.")
    assert printed(outline.value) == "os.system('touch ran')"
    outline = Outline(b"cjeeves_journal_nowhere\nevil\n.")
    assert list(outline.imports) == ["jeeves_journal_nowhere.evil"]


def test_a_name_that_commands_a_terminal_is_shown_harmless() -> None:
    assert "\x1b" not in printed(Outline(b"\x80\x04\x8c\x01\x1b\x8c\x01\x1b\x93.").value)


def test_a_value_that_holds_itself_is_cut() -> None:
    value: list[Any] = [1]
    value.append(value)
    assert told(value) == "[1, ...]"


def test_a_small_pickle_of_an_enormous_value_is_cut() -> None:
    value: list[Any] = ["lol"]
    for _ in range(60):
        value = [value, value]
    assert len(told(value)) < 500_000


def test_a_deep_value_is_cut() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value]
    assert "..." in told(value)


@pytest.mark.parametrize("depth", [5_000])
def test_a_deeper_one_than_python_takes_is_cut(depth: int) -> None:
    assert "..." in printed(Outline(b"\x80\x05" + b"]" * depth + b"a" * (depth - 1) + b".").value)


def test_a_long_text_is_cut_and_says_how_long_it_is() -> None:
    assert told("x" * 20_000).endswith("... of 20,000 characters")


def test_a_number_that_python_does_not_print_is_measured() -> None:
    assert told(1 << 100_000) == "a number of 100,001 bits"


def test_more_opcodes_than_are_looked_at_are_unclear() -> None:
    with pytest.raises(UnclearError, match="opcodes"):
        Outline(b"N0" * MOST_OPCODES + b"N.")


@pytest.mark.parametrize(
    "payload",
    [
        b"", b".", b"x", b"a.", b"(.", b"N", b"t.", b"]Na", b"h\x00.", b"Nb.", b"NNu.", b"K\x01K\x02\x93.", b"0.",
        # What is added to a dict and is no pair.
        b"}(K\x01e.", b"}K\x01a.", b"}(K\x01\x90.",
    ],
)  # fmt: skip
def test_what_is_no_pickle_is_unclear(payload: bytes) -> None:
    with pytest.raises(UnclearError):
        Outline(payload)


@given(payload=some.binary(max_size=60))
def test_whatever_the_bytes_are_they_are_told_or_unclear(payload: bytes) -> None:
    with suppress(UnclearError):
        printed(Outline(payload + b".").value)
