"""Any value that a step may return, and the types of a user's program."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import msgspec
import pydantic
from hypothesis import strategies as st


class Text(str):  # as users write it
    """A text that is more than one."""


class Number(int):
    """A number that is more than one."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class Word(enum.StrEnum):
    YES = "yes"


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass
class Named(Point):
    name: str = "n"
    tags: list[Any] = field(default_factory=lambda: ["default"])
    hidden: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Order:
    id: UUID
    price: Decimal
    paid_at: datetime | None
    lines: tuple[Point, ...]
    counts: dict[int, float]


@dataclass
class Clamped:
    """Changes what it is given."""

    share: float

    def __post_init__(self) -> None:
        self.share = min(max(self.share, 0.0), 1.0)


@dataclass
class Loose:
    anything: Any


class Pair(NamedTuple):
    one: int
    two: Any


class Struct(msgspec.Struct):
    width: float
    anything: Any = None


@attrs.define
class Weight:
    grams: float
    note: Any = attrs.field(default=None, eq=False)


class Customer(pydantic.BaseModel):
    """Has aliases, and validators that change values."""

    model_config = pydantic.ConfigDict(extra="allow")
    name: str = pydantic.Field(alias="customerName")
    share: float = 0.0
    since: datetime | None = None
    best: Point | None = None
    anything: Any = None
    numbers: set[int] = set()

    @pydantic.field_validator("name")
    @classmethod
    def _stripped(cls, name: str) -> str:
        return name.strip()

    @pydantic.field_validator("share")
    @classmethod
    def _without_minus_zero(cls, share: float) -> float:
        return share + 0.0


TYPES = [
    *(Colour, Size, Access, Word, Point, Named, Order, Clamped, Loose, Pair, Struct, Weight, Customer),
    *(datetime, date, time, timedelta, UUID, Decimal, bytes, bytearray, tuple, set, frozenset),
]


def hides_a_point(point: Point) -> Point:
    """Return a point with an attribute beside its fields."""
    point.note = point.x  # type: ignore[attr-defined]
    return point


ZONES = st.none() | st.timezones() | st.builds(timezone, st.timedeltas(-timedelta(hours=23), timedelta(hours=23)))
NAMED_ZONES = st.builds(timezone, st.just(timedelta(hours=1)), st.text(max_size=3))
TIMES = st.datetimes(timezones=ZONES | NAMED_ZONES)
FLOATS = st.floats() | st.sampled_from([-0.0, math.nan, 5e-324, 1e16])
INTEGERS = st.integers() | st.integers(2**63 - 1, 2**200)
DECIMALS = st.decimals() | st.sampled_from([Decimal("sNaN"), Decimal("-0"), Decimal("1.00"), Decimal("1E+5")])
MEMBERS = st.sampled_from([*Colour, *Size, *Access, *Word, Access.READ | Access.WRITE, Access(0)])
HASHABLE = st.none() | st.booleans() | INTEGERS | FLOATS | st.text() | st.binary() | st.uuids() | MEMBERS
LEAVES = (
    HASHABLE
    | st.builds(bytearray, st.binary())
    | st.builds(Text, st.text())
    | st.builds(Number, INTEGERS)
    | st.complex_numbers()
    | DECIMALS
    | TIMES
    | st.builds(lambda at: at.replace(fold=1), TIMES)
    | st.dates()
    | st.times(timezones=ZONES | NAMED_ZONES)
    | st.timedeltas()
    | st.text(st.characters(categories=["Cs"]), min_size=1)
    | st.just("x" * 5_000)
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    points = st.builds(Point, INTEGERS | inner, FLOATS | inner)
    return (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.tuples(st.tuples(inner), inner)
        | st.sets(HASHABLE)
        | st.frozensets(HASHABLE | st.tuples(HASHABLE))
        | st.dictionaries(st.text() | st.sampled_from(["$type", "$value"]), inner)
        | st.dictionaries(HASHABLE | st.builds(Text, st.text()), inner)
        | st.dictionaries(st.text(), inner).map(OrderedDict)
        | st.dictionaries(st.text(), inner).map(lambda made: defaultdict(list, made))
        | points
        | points.map(hides_a_point)
        | st.builds(Named, INTEGERS, FLOATS, st.text() | inner, st.lists(inner), hidden=INTEGERS)
        | st.builds(
            Order,
            st.uuids(),
            DECIMALS,
            st.none() | TIMES,
            st.lists(points).map(tuple),
            st.dictionaries(INTEGERS, FLOATS | INTEGERS),
        )
        | st.builds(Clamped, FLOATS)
        | st.builds(Loose, inner)
        | st.builds(Pair, INTEGERS | inner, inner)
        | st.builds(Struct, FLOATS | INTEGERS, inner)
        | st.builds(Weight, FLOATS | INTEGERS, inner)
        | st.builds(
            Customer.model_construct,
            name=st.text() | inner,
            share=FLOATS | INTEGERS,
            since=st.none() | TIMES,
            best=st.none() | points,
            anything=inner,
            numbers=st.sets(INTEGERS | FLOATS),
            other=inner,
        )
        | st.builds(Customer, customerName=st.text(), anything=inner)
    )


VALUES = st.recursive(LEAVES, containers, max_leaves=12)
JSON_ONLY = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
HOURS = st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))


def without_fold(time: Any) -> Any:
    return time.replace(fold=0)


TYPED_ONLY = st.recursive(
    st.binary()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.datetimes(timezones=st.none() | HOURS).map(without_fold)
    | st.dates()
    | st.times(timezones=st.none() | HOURS).map(without_fold)
    | st.sampled_from([*Colour, *Size, *Word])
    | st.builds(Point, INTEGERS, FINITE)
    | st.builds(Named, INTEGERS, FINITE, st.text(), st.lists(st.text()), hidden=INTEGERS)
    | st.builds(Struct, FINITE, st.text())
    | st.builds(Weight, FINITE, st.none())
    | st.builds(Customer, customerName=st.text(), share=FINITE, best=st.none() | st.builds(Point, INTEGERS, FINITE)),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.just("$type"), inner)
        | st.frozensets(st.uuids() | st.text() | st.tuples(st.dates()))
    ),
    max_leaves=12,
)
