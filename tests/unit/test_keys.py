"""What a key may be."""

from __future__ import annotations

from enum import Enum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jeeves_journal import InvalidKeyError
from jeeves_journal.keys import MAX_KEY_BYTES, check_key, check_keys


class Step(StrEnum):
    FETCH = "fetch"


class OlderStep(str, Enum):
    FETCH = "fetch"


class Loud(str):
    def __str__(self) -> str:
        return "SOMETHING ELSE"


@pytest.mark.parametrize("key", ["a", " ", "k" * 1_000, "é" * 500, "\N{PILE OF POO}" * 250, "\x01", "\uffff", "a\nb"])
def test_a_good_key_is_returned_as_it_is(key: str) -> None:
    assert check_key("step_name", key) == key


@pytest.mark.parametrize("key", [Step.FETCH, OlderStep.FETCH, Loud("fetch")])
def test_a_subclass_of_str_becomes_the_text_that_a_database_would_store(key: str) -> None:
    checked = check_key("step_name", key)
    assert type(checked) is str
    assert checked == "fetch"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "is not a str but NoneType"),
        (7, "is not a str but int"),
        (b"run", "is not a str but bytes"),
        ("", "is empty"),
        (Loud(""), "is empty"),
        ("a\0b", "holds a NUL character"),
        ("é\0", "holds a NUL character"),
        ("ab\ud800", "holds a lone surrogate at index 2"),
        ("k" * 1_001, "has 1,001 bytes of UTF-8"),
        ("é" * 501, "has 1,002 bytes of UTF-8"),
    ],
)
def test_a_refusal_says_which_key_and_why_and_what_to_pass(key: object, reason: str) -> None:
    with pytest.raises(InvalidKeyError) as refusal:
        check_key("step_name", key)
    assert str(refusal.value) == (f"step_name {reason}: pass a non-empty str without NUL, at most 1,000 bytes of UTF-8")


def test_a_refusal_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match="session_id"):
        check_key("session_id", "")


def test_a_refusal_does_not_repeat_the_key() -> None:
    with pytest.raises(InvalidKeyError) as refusal:
        check_key("session_id", "hunter2\0")
    assert "hunter2" not in str(refusal.value) + repr(refusal.value)


@pytest.mark.parametrize(("session_id", "step_name", "named"), [("", "b", "session_id"), ("a", "", "step_name")])
def test_of_two_keys_the_bad_one_is_named(session_id: str, step_name: str, named: str) -> None:
    with pytest.raises(InvalidKeyError, match=named):
        check_keys(session_id, step_name)


def test_two_good_keys_are_returned_as_plain_text() -> None:
    assert check_keys(Loud("a"), "b") == ("a", "b")


@given(st.text(alphabet=st.characters()))
def test_a_key_is_accepted_exactly_if_both_databases_can_store_it(key: str) -> None:
    storable = bool(key) and "\0" not in key
    try:
        storable = storable and len(key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        storable = False
    try:
        accepted = check_key("step_name", key) == key
    except InvalidKeyError:
        accepted = False
    assert accepted == storable
