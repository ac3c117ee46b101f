"""For every codec, compression and seal: what comes back is what went in, or the put was refused."""

from __future__ import annotations

import dataclasses
import enum
import struct
from collections.abc import Callable
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pydantic
import pytest
from hypothesis import example, given, settings

from jeeves_journal import EncodeError, JSONCodec, Keyring
from jeeves_journal.codecs import RecordCodec, record_codec
from jeeves_journal.options import Settings
from tests.unit.any_values import (
    JSON_ONLY,
    TYPED_ONLY,
    TYPES,
    VALUES,
    Customer,
    Loose,
    Named,
    Point,
    Text,
    Weight,
    Word,
    hides_a_point,
)

HERE = ("step", "run", "step", 1.5)


CODECS: dict[str, Any] = {"pickle": "pickle", "json": "json", "json with types": JSONCodec(TYPES)}
KEYS = Keyring.generate()
ENVELOPES: list[dict[str, Any]] = [
    {**sealed, **compressed}
    for sealed in ({}, {"keys": KEYS}, {"keys": KEYS, "seal": "encrypt"})
    for compressed in ({}, {"compress": "zstd", "compress_over": 0})
]


@pytest.fixture(scope="module", params=CODECS)
def codecs(request: pytest.FixtureRequest) -> list[RecordCodec]:
    """One codec in each of the envelopes."""
    return [record_codec(Settings(codec=CODECS[request.param], **options)) for options in ENVELOPES]


def is_the_same(one: Any, other: Any) -> bool:
    """Compare by types, order and bits, and never by what the values' classes hold for equal."""
    kind = type(one)
    if kind is not type(other):
        return False
    if issubclass(kind, enum.Enum):
        return one is other
    if isinstance(one, set | frozenset):
        # Whose order is by chance, and in which one NaN is not the other.
        rest = list(other)
        for each in one:
            rest = _without_first(rest, each)
        return len(one) == len(other) and rest == []
    for kinds, parts in _PARTS:
        if isinstance(one, kinds):
            return _are_the_same(parts(one), parts(other)) and _have_the_same_attributes(one, other)
    if fields := _fields(one):
        return _are_the_same(fields, _fields(other)) and _have_the_same_attributes(one, other)
    return repr(one) == repr(other)


def _without_first(values: list[Any], value: Any) -> list[Any]:
    for at, each in enumerate(values):
        if is_the_same(each, value):
            return values[:at] + values[at + 1 :]
    return values


def _are_the_same(some: list[Any], others: list[Any]) -> bool:
    return len(some) == len(others) and all(map(is_the_same, some, others))


def _have_the_same_attributes(one: Any, other: Any) -> bool:
    mine, others = getattr(one, "__dict__", {}), getattr(other, "__dict__", {})
    return mine.keys() == others.keys() and all(is_the_same(mine[name], others[name]) for name in mine)


def _fields(value: Any) -> list[Any]:
    kind: Any = type(value)
    if dataclasses.is_dataclass(kind):
        names = [each.name for each in dataclasses.fields(kind)]
    elif isinstance(value, pydantic.BaseModel):
        names = [*kind.model_fields, "__pydantic_extra__", "__pydantic_private__"]
    else:
        names = [*getattr(kind, "__struct_fields__", ()), *(each.name for each in getattr(kind, "__attrs_attrs__", ()))]
    return [getattr(value, name) for name in names]


def _zone(value: Any) -> Any:
    # An offset is of a class of Pydantic's once it was in a model; docs/security.md says so.
    zone = value.tzinfo
    if isinstance(zone, timezone) or type(zone).__module__.startswith("pydantic_core"):
        default = timezone(value.utcoffset()).tzname(None)
        return [value.utcoffset(), zone.tzname(None) in {default, default.removeprefix("UTC")} or zone.tzname(None)]
    return repr(zone)


_PARTS: list[tuple[Any, Callable[[Any], list[Any]]]] = [
    (float, lambda value: [struct.pack(">d", value)]),
    (complex, lambda value: [value.real, value.imag]),
    (Decimal, lambda value: [str(value)]),
    ((datetime, time), lambda value: [value.replace(tzinfo=None).isoformat(), value.fold, _zone(value)]),
    ((list, tuple), list),
    (dict, lambda value: [part for item in value.items() for part in item]),
]


@settings(max_examples=300)
@given(VALUES)
@example("\ud800")
@example(Customer.model_construct(name=" n "))
@example(Loose((1,)))
@example(Named(1, tags=[], hidden=1))
def test_any_value_comes_back_as_it_was_or_is_refused(codecs: list[RecordCodec], value: Any) -> None:
    for codec in codecs:
        try:
            record = codec.encode(HERE, value)
        except EncodeError:
            return
        assert is_the_same(value, codec.decode(HERE, record))


@given(JSON_ONLY)
def test_what_json_holds_comes_back_whatever_the_codec(codecs: list[RecordCodec], value: Any) -> None:
    for codec in codecs:
        assert is_the_same(value, codec.decode(HERE, codec.encode(HERE, value)))


@given(TYPED_ONLY)
def test_values_of_the_types_that_json_was_given_come_back(value: Any) -> None:
    codec = record_codec(Settings(codec=CODECS["json with types"]))
    assert is_the_same(value, codec.decode(HERE, codec.encode(HERE, value)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (Decimal("1.0"), Decimal("1.00")),
        ((1,), [1]),
        ([True], [1]),
        ({1}, {1.0}),
        ({1: 1}, {True: 1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Point(1), Point(True)),
        (Point(1), hides_a_point(Point(1))),
        (Named(1, hidden=1), Named(1, hidden=2)),
        (Weight(1.0, 1), Weight(1.0, 2)),
        (Customer.model_construct(name="n", other=1), Customer.model_construct(name="n", other=2)),
        (Word.YES, "yes"),
        ("a", Text("a")),
        (time(1, tzinfo=timezone(timedelta(0), "X")), time(1, tzinfo=timezone.utc)),  # noqa: UP017  # its usual name
    ],
    ids=ascii,
)
def test_the_comparison_of_these_tests_tells_apart_what_python_takes_for_equal(one: Any, other: Any) -> None:
    assert not is_the_same(one, other)
