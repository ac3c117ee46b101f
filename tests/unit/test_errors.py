"""The error tree."""

from __future__ import annotations

import copy
import pickle

import pytest

import jeeves_journal
from jeeves_journal import (
    AlreadyRecordedError,
    BundleError,
    CodecError,
    ConfigurationError,
    DecodeError,
    EncodeError,
    IntegrityError,
    InvalidKeyError,
    JournalError,
    NotRecordedError,
    SchemaError,
    StoreClosedError,
    StoreError,
    StoreUnavailableError,
)

TREE = {
    JournalError: Exception,
    ConfigurationError: JournalError,
    InvalidKeyError: JournalError,
    NotRecordedError: JournalError,
    AlreadyRecordedError: JournalError,
    BundleError: JournalError,
    CodecError: JournalError,
    EncodeError: CodecError,
    DecodeError: CodecError,
    IntegrityError: DecodeError,
    StoreError: JournalError,
    StoreUnavailableError: StoreError,
    SchemaError: StoreError,
    StoreClosedError: StoreError,
}
every_error = pytest.mark.parametrize("error_type", TREE, ids=lambda error_type: error_type.__name__)


@every_error
def test_the_tree_is_as_drawn(error_type: type[JournalError]) -> None:
    assert TREE[error_type] in error_type.__bases__


@pytest.mark.parametrize("error_type", [ConfigurationError, InvalidKeyError])
def test_a_callers_mistake_is_a_value_error(error_type: type[JournalError]) -> None:
    assert issubclass(error_type, ValueError)


def test_every_error_is_a_public_name() -> None:
    public = {name for name in jeeves_journal.__all__ if name.endswith("Error")}
    assert public == {error_type.__name__ for error_type in TREE}


@every_error
def test_a_message_says_what_happened_where_and_what_to_do(error_type: type[JournalError]) -> None:
    error = error_type("it broke", "mend it", "run-1", "fetch")
    assert str(error) == "it broke (session 'run-1', step 'fetch'): mend it"
    assert (error.what, error.remedy, error.session_id, error.step_name) == ("it broke", "mend it", "run-1", "fetch")


def test_a_message_leaves_out_what_is_not_known() -> None:
    assert str(StoreError("it broke")) == "it broke"
    assert str(StoreError("it broke", "mend it")) == "it broke: mend it"
    assert str(StoreError("it broke", session_id="run-1")) == "it broke (session 'run-1')"
    assert str(StoreError("it broke", "mend it", "run-1")) == "it broke (session 'run-1'): mend it"


def test_a_key_is_shown_so_that_it_keeps_to_one_line() -> None:
    assert "\n" not in str(StoreError("it broke", session_id="a\nb"))


@every_error
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling(error_type: type[JournalError], protocol: int) -> None:
    error = pickle.loads(pickle.dumps(error_type("it broke", "mend it", "run-1", "fetch"), protocol))
    assert type(error) is error_type
    assert str(error) == "it broke (session 'run-1', step 'fetch'): mend it"
    assert error.step_name == "fetch"


def test_an_error_survives_copying() -> None:
    error = copy.copy(StoreError("it broke", "mend it"))
    assert str(error) == "it broke: mend it"


def test_each_caller_of_a_batch_gets_an_error_of_its_own() -> None:
    shared = StoreUnavailableError("the database is locked", "try again")
    shared.__cause__ = TimeoutError()
    one, other = shared.about("run-1", "fetch"), shared.about("run-2")
    assert str(one) == "the database is locked (session 'run-1', step 'fetch'): try again"
    assert str(other) == "the database is locked (session 'run-2'): try again"
    assert str(shared) == "the database is locked: try again"
    assert one.__cause__ is other.__cause__ is shared.__cause__
    assert type(one) is StoreUnavailableError
