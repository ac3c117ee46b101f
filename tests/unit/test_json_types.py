"""The JSON codec and what the types of users hold: models of their own making, and what hides in sets and keys."""

from __future__ import annotations

import enum
import json
import warnings
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from jeeves_journal import DecodeError, EncodeError, JSONCodec
from jeeves_journal.codecs import record_codec
from jeeves_journal.options import Settings
from jeeves_journal.tracebacks import without_locals
from tests.faults.showing import shown_of

HERE = ("step", "run", "step", 1.5)


@dataclass
class Prices:
    by_size: dict[float, int]


@dataclass
class Point:
    x: int

    @cached_property
    def double(self) -> int:
        return self.x * 2


class Measure(msgspec.Struct):
    width: float


@attrs.define
class Weight:
    grams: float
    note: str = attrs.field(default="", eq=False)


class Rounding(pydantic.BaseModel):
    price: Decimal
    change: float

    @pydantic.field_validator("price")
    @classmethod
    def _to_cents(cls, price: Decimal) -> Decimal:
        return price.quantize(Decimal("0.01"))

    @pydantic.field_validator("change")
    @classmethod
    def _without_minus_zero(cls, change: float) -> float:
        return change + 0.0


class Samples(pydantic.BaseModel):
    seen: set[float]
    _note: Any = pydantic.PrivateAttr(default=1)


class Aliased(pydantic.BaseModel):
    order_id: int = pydantic.Field(alias="orderId")


class SerialisedByAlias(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True)
    order_id: int = pydantic.Field(validation_alias="orderId", serialization_alias="order-id")


class Computing(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    x: int

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.x * 2

    @cached_property
    def triple(self) -> int:
        return self.x * 3


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    at: datetime


TYPES = [Prices, Point, Measure, Weight, Rounding, Samples, Aliased, SerialisedByAlias, Computing, Strict, set[float]]


def beside_its_fields() -> Point:
    point = Point(1)
    point.note = "kept?"  # type: ignore[attr-defined]
    return point


def with_a_note(note: object) -> Samples:
    samples = Samples(seen={1.0})
    samples._note = note
    return samples


def computed() -> list[Any]:
    values = [Point(1), Computing(x=1)]
    assert (values[0].double, values[1].triple) == (2, 3)  # type: ignore[union-attr]
    return values


@pytest.mark.parametrize(
    "value",
    [
        {1.0, 2.5},
        Prices({1.0: 2}),
        Measure(1.0),
        Weight(1.0, "n"),
        Rounding(price=Decimal("1.1"), change=-1.0),
        Samples(seen={1.0}),
        Aliased(orderId=1),
        SerialisedByAlias(orderId=1),
        Computing(x=1),
        computed(),
        Strict(at=datetime(2026, 11, 25)),  # noqa: DTZ001  # a time without a zone comes back without one
    ],
    ids=ascii,
)
def test_it_comes_back(value: Any) -> None:
    codec = JSONCodec(TYPES)
    back = codec.loads(codec.dumps(value))
    assert (back, repr(back)) == (value, repr(value))


@pytest.mark.parametrize(
    "value",
    [
        {1},
        Prices({1: 2}),
        Measure(1),
        Weight(1),
        Rounding.model_construct(price=Decimal("1.1"), change=1.0),
        Rounding.model_construct(price=Decimal("1.10"), change=-0.0),
        Samples.model_construct(seen={1}),
        with_a_note(1.0),
        with_a_note("n"),
        beside_its_fields(),
    ],
    ids=ascii,
)
def test_it_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="the value would come back different"):
        JSONCodec(TYPES).dumps(value)


def test_what_pydantic_has_to_say_of_a_value_is_not_said() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(TypeError, match="would come back different"):
            JSONCodec(TYPES).dumps(Aliased.model_construct(order_id=1.0))
    assert said == []


SECRET = "hunter2"


class Word(enum.Enum):
    YES = "yes"


@dataclass
class Said:
    word: Word


@pytest.mark.parametrize(
    "value",
    [
        Aliased.model_construct(order_id=SECRET),
        Said(SECRET),  # type: ignore[arg-type]
        f"{SECRET}\ud800",
        {SECRET: [float("nan")]},
        {SECRET: 1j},
    ],
    ids=["Pydantic's", "msgspec's", "Unicode's", "no number", "of no type that is known"],
)
def test_why_a_value_is_refused_does_not_show_it(value: Any) -> None:
    codec = record_codec(Settings(codec=JSONCodec([Aliased, Said])))
    with pytest.raises(EncodeError) as refusal:
        without_locals(codec.encode)(HERE, value)
    assert SECRET not in shown_of(refusal.value)


@pytest.mark.parametrize(
    "kind_and_value",
    [
        (Aliased, {"order_id": SECRET}),
        (Said, {"word": SECRET}),
        (Said, SECRET),
        ("no type", SECRET),
        (SECRET, {}),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("end", [b"", b"\xff", b"}"])
def test_why_a_record_cannot_be_read_does_not_show_it(kind_and_value: tuple[Any, Any], end: bytes) -> None:
    kind, value = kind_and_value
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    codec = record_codec(Settings(codec=JSONCodec([Aliased, Said])))
    record = codec.envelope.wrap(HERE, json.dumps({"$type": name, "$value": value}).encode() + end)
    with pytest.raises(DecodeError) as refusal:
        without_locals(codec.decode)(HERE, record)
    assert SECRET not in shown_of(refusal.value)


class OfAnOlderPydantic(pydantic.BaseModel):
    x: int

    @classmethod
    def model_validate(cls, obj: Any, *, strict: bool | None = None) -> Any:  # type: ignore[override]  # as before 2.11
        return super().model_validate(obj, strict=strict)


def test_a_model_of_an_older_pydantic_comes_back() -> None:
    codec = JSONCodec([OfAnOlderPydantic])
    assert codec.loads(codec.dumps(OfAnOlderPydantic(x=1))) == OfAnOlderPydantic(x=1)
