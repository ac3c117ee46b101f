"""The JSON codec: values that no reader has to trust, since nothing but data comes of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import cache, cached_property
from importlib.util import find_spec
from inspect import signature
from typing import Any, Final, ParamSpec, TypeVar, cast, get_origin

from jeeves_journal.errors import ConfigurationError

P = ParamSpec("P")
T = TypeVar("T")

_TAG: Final = "$type"
_VALUE: Final = "$value"
# Whose elements may be anything.
_COLLECTIONS: Final[Mapping[Any, Callable[[Iterable[Any]], Any]]] = {tuple: tuple, set: set, frozenset: frozenset}
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class JSONCodec:
    """Records what JSON holds, and values of the types that it was given, as JSON.

    A value of such a type may stand anywhere inside another, and is tagged with the type's name. What would come back
    different (a tuple as a list, a key 1 as "1", a type that is not among those given) is refused.
    """

    id = "json"

    def __init__(self, types: Iterable[Any] = ()) -> None:
        """Allow types.

        Args:
            types: Classes (dataclasses, Pydantic models, enums, ``datetime``, ``UUID``, ``Decimal``, ``bytes``,
                ``tuple`` and others that msgspec knows), or generic ones such as ``tuple[UUID, ...]``. Records name
                each by its module and name: move it, and they are not read any more.

        Raises:
            ConfigurationError: msgspec is not installed, does not know a type, or two have the same name.
        """
        self._types: dict[str, Any] = {}
        self._names: dict[type, str] = {}
        for each in types:
            self._allow(each)

    def dumps(self, value: Any) -> bytes:
        """Return a value's JSON.

        Raises:
            TypeError: It would come back different.
            ValueError: It has no JSON, or would not come back.
        """
        payload = _quietly(_json_of, self._tagged(value))
        if not _quietly(lambda: _is_same(value, self.loads(payload))):
            raise TypeError("the value would come back different")
        return payload

    def loads(self, payload: bytes | memoryview) -> Any:
        """Return the value of a JSON text.

        Raises:
            ValueError: It is none, or names a type that is not among those given.
        """
        return self._untagged(_quietly(json.loads, bytes(payload)))

    def _allow(self, kind: Any) -> None:
        if find_spec("msgspec") is None:
            raise ConfigurationError("JSONCodec needs msgspec for types", "run `pip install 'jeeves-journal[json]'`")
        from msgspec.inspect import CustomType, type_info

        origin = get_origin(kind) or kind
        if not isinstance(origin, type):
            raise ConfigurationError(f"{kind!r} is not a type", "pass classes to JSONCodec")
        name = f"{origin.__module__}.{origin.__qualname__}"
        if name in self._types or origin in _PLAIN or origin in (list, dict):
            raise ConfigurationError(f"{name} is known to JSONCodec already", "leave it out")
        try:
            is_known = _is_model(origin) or not isinstance(type_info(kind), CustomType)
        except Exception as error:
            raise ConfigurationError(f"msgspec cannot read {name}", "see its documentation for why") from error
        if not is_known:
            raise ConfigurationError(f"msgspec does not know {name}", "make it a dataclass or a Pydantic model")
        self._types[name] = kind
        self._names[origin] = name

    def _tagged(self, value: Any) -> Any:
        kind = _kind(value)
        if kind in _PLAIN:
            return value
        if kind is list:
            return [self._tagged(each) for each in value]
        if kind is dict:
            fields = {_text(key): self._tagged(each) for key, each in value.items()}
            return {_TAG: "dict", _VALUE: fields} if _TAG in fields else fields
        name = self._names.get(kind)
        if name is None:
            raise TypeError(f"JSONCodec was not given the type {kind.__module__}.{kind.__qualname__}")
        if self._types[name] in _COLLECTIONS:
            return {_TAG: name, _VALUE: [self._tagged(each) for each in value]}
        from msgspec import to_builtins

        return {_TAG: name, _VALUE: _quietly(to_builtins, value, str_keys=True, enc_hook=_dump_model)}

    def _untagged(self, value: Any) -> Any:
        kind = _kind(value)
        if kind is list:
            return [self._untagged(each) for each in value]
        if kind is not dict:
            return value
        name = value.get(_TAG)
        if name is None:
            return {key: self._untagged(each) for key, each in value.items()}
        if name == "dict":
            return {key: self._untagged(each) for key, each in value[_VALUE].items()}
        allowed = self._types.get(name)
        if allowed is None:
            raise ValueError("JSONCodec was not given the type that the record names")
        collect = cast("Any", _COLLECTIONS.get(allowed))
        if collect is not None:
            return collect(map(self._untagged, value[_VALUE]))
        from msgspec import convert

        return _quietly(convert, value[_VALUE], allowed, str_keys=True, dec_hook=_load_model)


def _json_of(tagged: Any) -> bytes:
    made = json.dumps(tagged, ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)
    return made.encode()


def _quietly(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function and pass on only the kind of what it raises: Pydantic, msgspec and Unicode's errors show values.

    Raises:
        ValueError: It raised something.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:
        kind = type(error).__name__
    # Out here, so that the other one is not its context.
    raise ValueError(kind)


def _kind(value: object) -> type[Any]:
    return type(value)


def _is_model(kind: Any) -> bool:
    return callable(getattr(kind, "model_dump", None)) and callable(getattr(kind, "model_validate", None))


def _dump_model(value: Any) -> Any:
    if not _is_model(type(value)):
        raise TypeError(f"msgspec does not know {type(value).__qualname__}")
    # By the fields' own names, and without what is computed of them: that is what comes back. Its warnings show values.
    return value.model_dump(mode="json", by_alias=False, round_trip=True, warnings=False)


def _load_model(kind: Any, fields: Any) -> Any:
    if not _is_model(kind):
        raise TypeError(f"msgspec does not know {kind.__qualname__}")
    # A strict model too takes a datetime from a text here.
    return kind.model_validate(fields, strict=False, **_by_name(kind))


@cache
def _by_name(kind: Any) -> dict[str, bool]:
    # Before 2.11, Pydantic finds fields by their aliases only, and what has some is refused at put.
    knows = "by_name" in signature(kind.model_validate).parameters
    return {"by_alias": False, "by_name": True} if knows else {}


def _text(key: object) -> str:
    if type(key) is not str:
        raise TypeError("a key that is not a str would come back as one")
    return key


def _is_same(value: Any, other: Any) -> bool:
    """Return whether two values are equal and of the same types through and through, as far as one can look inside."""
    kind = _kind(value)
    if kind is not type(other):
        return False
    if issubclass(kind, list | tuple):
        return len(value) == len(other) and all(map(_is_same, value, other))
    if issubclass(kind, set | frozenset):
        # By the other's own elements: 1 is found in {1.0}, and is not the same.
        theirs = {each: each for each in other}
        return len(value) == len(other) and all(each in theirs and _is_same(each, theirs[each]) for each in value)
    if issubclass(kind, Mapping):
        return _is_same(list(value), list(other)) and all(_is_same(value[key], other[key]) for key in value)
    if issubclass(kind, datetime | time):
        return (value.isoformat(), value.fold) == (other.isoformat(), other.fold) and _is_only_an_offset(value.tzinfo)
    # By their texts too: 0.0 equals -0.0, and Decimal("1.0") equals Decimal("1.00").
    if issubclass(kind, float | Decimal):
        return bool(value == other) and repr(value) == repr(other)
    return bool(value == other) and _is_same(_fields(value), _fields(other))


def _is_only_an_offset(zone: tzinfo | None) -> bool:
    """Return whether a zone has neither a name nor rules, which would be lost: ``ZoneInfo`` has them, UTC's too."""
    if zone is None:
        return True
    # Pydantic makes offsets of a class of its own.
    if _kind(zone).__module__.partition(".")[0] == "pydantic_core":
        return True
    return _kind(zone) is timezone and zone.tzname(None) == timezone(zone.utcoffset(None) or timedelta()).tzname(None)


def _fields(value: Any) -> list[tuple[str, Any]]:
    """Return what an object holds, as far as it can be told."""
    kind = _kind(value)
    names: set[str] = set(getattr(kind, "__struct_fields__", ()))
    names.update(field.name for field in getattr(kind, "__attrs_attrs__", ()))
    if dataclasses.is_dataclass(value):
        names.update(field.name for field in dataclasses.fields(value))
    if _is_model(kind):
        names.update(("__pydantic_extra__", "__pydantic_private__"))
    if names:
        # Also what was set beside the fields. A cached property is computed again.
        attributes = getattr(value, "__dict__", {})
        names.update(name for name in attributes if not isinstance(getattr(kind, name, None), cached_property))
    return [(name, getattr(value, name, None)) for name in sorted(names)]
