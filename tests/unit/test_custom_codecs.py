"""Codecs of the user's own: what they return wrong is refused at put, and what they forbid is not run."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from jeeves_journal import EncodeError, IntegrityError
from jeeves_journal.codecs import PickleCodec, RecordCodec

HERE = ("step", "run-1", "fetch", 1.5)


class OwnCodec:
    """JSON, as it is written in a hurry: what it makes of a value is the test's to say."""

    id = "own"

    def __init__(self, dumps: Callable[[Any], Any], loads: Callable[[Any], Any] = json.loads) -> None:
        self._dumps = dumps
        self._loads = loads

    def dumps(self, value: Any) -> bytes:
        made: bytes = self._dumps(value)
        return made

    def loads(self, payload: bytes | memoryview) -> Any:
        return self._loads(payload)


class Attack:
    """Runs code in whoever unpickles it."""

    ran = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _attack, ()


def _attack() -> None:
    Attack.ran = True


class _NoClasses(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is forbidden")


class RestrictedPickleCodec(PickleCodec):
    """Unpickles plain values only, as the documentation of pickle shows it."""

    def loads(self, payload: bytes | memoryview) -> Any:
        return _NoClasses(io.BytesIO(payload)).load()


@pytest.mark.parametrize("made", ["[1]", None, bytearray(b"[1]"), 1], ids=ascii)
def test_a_codec_that_makes_no_bytes_is_named(made: object) -> None:
    codec = RecordCodec(max_value_bytes=100, codec=OwnCodec(lambda _: made, lambda _: [1]))
    with pytest.raises(EncodeError, match="the own codec made .* let its dumps return bytes"):
        codec.encode(HERE, [1])


def test_a_codec_that_takes_no_view_is_refused_at_put_and_not_at_get() -> None:
    codec = RecordCodec(max_value_bytes=100, codec=OwnCodec(lambda value: json.dumps(value).encode()))
    with pytest.raises(EncodeError, match="can be encoded but not decoded again"):
        codec.encode(HERE, [1])


def test_what_a_restricted_pickle_codec_forbids_is_not_run_for_want_of_a_footer() -> None:
    codec = RecordCodec(max_value_bytes=100, codec=RestrictedPickleCodec())
    assert codec.decode(HERE, codec.encode(HERE, [1])) == [1]
    with pytest.raises(IntegrityError, match="footer is missing"):
        codec.decode(HERE, pickle.dumps(Attack()))
    assert not Attack.ran
