"""The JSON codec: what comes back equals what went in, or the put was refused."""

from __future__ import annotations

import enum
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jeeves_journal import ConfigurationError, JSONCodec

BERLIN = ZoneInfo("Europe/Berlin")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    id: UUID
    price: Decimal
    paid_at: datetime | None
    lines: tuple[Point, ...]
    receipt: bytes = b""
    tags: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Loose:
    anything: Any


class Customer(pydantic.BaseModel):
    name: str
    since: datetime
    points: list[Point] = []


@dataclass
class Sale:
    customer: Customer


class Strange:
    def __repr__(self) -> str:
        return "Strange()"


Pair = namedtuple("Pair", "one two")  # noqa: PYI024  # without types, as users write it

TYPES = [Colour, Point, Order, Loose, Customer, Sale, datetime, date, time, timedelta, UUID, Decimal, bytes]
COLLECTIONS = [tuple, set, frozenset]
UTC_NOW = datetime(2026, 11, 25, 1, 2, 3, 456, tzinfo=timezone.utc)  # noqa: UP017  # as Python 3.10's users write it
SOME_ID = UUID(int=7)

PLAIN: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**80,
    1.5,
    -0.0,
    1e300,
    "",
    "text",
    "\0",
    "naïve \N{PILE OF POO}",
    [],
    {},
    [1, [2.0, None]],
    {"": {"a": [1]}},
    {"$type": "dict"},
    {"$type": None, "$value": 1},
    {"$value": [1]},
    {"$type": {"$type": 3}},
]
TYPED: list[Any] = [
    Colour.RED,
    Point(1, 2.5),
    Order(SOME_ID, Decimal("1.10"), UTC_NOW, (Point(1), Point(2)), b"\xff\0", {"a": ["b"]}),
    Loose([1, {"a": None}]),
    Customer(name="n", since=UTC_NOW, points=[Point(1)]),
    Sale(Customer(name="n", since=UTC_NOW)),
    UTC_NOW,
    UTC_NOW.replace(tzinfo=None),
    UTC_NOW.astimezone(timezone(timedelta(hours=-3, minutes=-30))),
    date(2026, 1, 2),
    time(1, 2, 3),
    time(1, 2, 3, tzinfo=timezone(timedelta(hours=5))),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5))),
    Customer.model_validate_json('{"name": "n", "since": "2026-01-01T00:00:00+05:00"}'),
    Customer.model_validate_json('{"name": "n", "since": "2026-01-01T00:00:00+05:00"}').since,
    timedelta(days=2, microseconds=1),
    SOME_ID,
    Decimal("1E+3"),
    b"",
    b"\x80\xff",
    (),
    (1, (2, Point(1))),
    {1, 2},
    frozenset({"a"}),
    [Point(1), {"deep": (UTC_NOW, [SOME_ID])}],
    {"$type": Point(1)},
]
DIFFERENT: list[Any] = [
    (1, 2),
    {1},
    {1: 2},
    {None: 1},
    {True: 1},
    float("nan"),
    float("inf"),
    "\udcff",
    b"bytes",
    Point(1),
    Colour.RED,
    UTC_NOW,
    [Strange()],
    Pair(1, 2),
    {"a": {"b": (1,)}},
    type("Text", (str,), {})("a"),
    type("Number", (int,), {})(1),
    1j,
]
DIFFERENT_THOUGH_TYPED: list[Any] = [
    Point(1, 2),
    Point(1.5, 2.0),
    Point("1"),
    Point(True),
    Loose((1, 2)),
    Loose(Point(1)),
    Loose({1: 2}),
    Loose(b"a"),  # type: ignore[arg-type]
    Strange(),
    Decimal("NaN"),
    Decimal("sNaN"),
    datetime(2026, 1, 1, tzinfo=BERLIN),
    datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
    datetime(2026, 1, 1, tzinfo=ZoneInfo("Etc/GMT+5")),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=30))),
    UTC_NOW.replace(tzinfo=None, fold=1),
    time(1, 2, 3, tzinfo=ZoneInfo("UTC")),
    time(1, 2, 3, tzinfo=timezone(timedelta(0), "GMT")),
    time(1, 2, 3, fold=1),
    Customer(name="n", since=datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))),
    Customer(name="n", since=UTC_NOW.replace(tzinfo=None, fold=1)),
    Loose(UTC_NOW),
    Pair(1, 2),
    Order,
    {"a": {1: Point(1)}},
    type("Point3", (Point,), {})(1),
    Point(float("nan")),  # type: ignore[arg-type]
]


def came_back(codec: JSONCodec, value: Any) -> Any:
    payload = codec.dumps(value)
    assert isinstance(payload, bytes)
    back = codec.loads(memoryview(payload))
    assert type(back) is type(value)
    return back


@pytest.mark.parametrize("value", PLAIN, ids=ascii)
def test_what_json_holds_comes_back(value: Any) -> None:
    assert came_back(JSONCodec(), value) == value


@pytest.mark.parametrize("value", [*PLAIN, *TYPED], ids=ascii)
def test_values_of_the_types_given_come_back_as_what_they_were(value: Any) -> None:
    assert came_back(JSONCodec([*TYPES, *COLLECTIONS]), value) == value


@pytest.mark.parametrize("value", DIFFERENT, ids=ascii)
def test_what_would_come_back_different_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        JSONCodec().dumps(value)


@pytest.mark.parametrize("value", DIFFERENT_THOUGH_TYPED, ids=ascii)
def test_what_would_come_back_different_in_spite_of_its_type_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        JSONCodec(TYPES).dumps(value)


def test_a_generic_type_says_what_stands_inside() -> None:
    codec = JSONCodec([tuple[UUID, ...]])
    assert came_back(codec, (SOME_ID, SOME_ID)) == (SOME_ID, SOME_ID)


def test_what_refers_to_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        JSONCodec().dumps(circle)


def test_a_name_that_was_not_given_is_not_looked_up() -> None:
    with pytest.raises(ValueError, match="not given the type that the record names"):
        JSONCodec([Point]).loads(b'{"$type":"subprocess.Popen","$value":["true"]}')


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"\xff", b'{"$type":"dict"}', b'{"$type":[],"$value":1}', b"[" * 100_000]
)
def test_what_is_not_ours_is_an_error(payload: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017  # whatever it is, the store makes a DecodeError of it
        JSONCodec([Point]).loads(payload)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Strange, "msgspec does not know .*Strange"),
        (3, "3 is not a type"),
        (int, "known to JSONCodec already"),
        (list, "known to JSONCodec already"),
        (dict[str, Point], "known to JSONCodec already"),
    ],
)
def test_a_type_that_cannot_be_used_is_refused(kind: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        JSONCodec([kind])


def test_two_types_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="known to JSONCodec already"):
        JSONCodec([Point, Point])


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(ANY_JSON)
def test_whatever_json_can_hold_comes_back(value: Any) -> None:
    assert came_back(JSONCodec(), value) == value
