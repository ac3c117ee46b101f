"""Marks by HMAC-SHA256, beside those of Python's own module."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jeeves_journal.codecs.signing import Signing


@given(key=st.binary(max_size=64), bound=st.binary(max_size=300), payload=st.binary(max_size=300))
def test_a_mark_is_the_one_that_hmac_makes(key: bytes, bound: bytes, payload: bytes) -> None:
    assert Signing(key).mark(bound, payload) == hmac.digest(key, bound + payload, "sha256")


def test_a_mark_does_not_depend_on_those_made_before() -> None:
    signing = Signing(b"key")
    assert signing.mark(b"one", b"value") != signing.mark(b"two", b"value")
    assert signing.mark(b"one", b"value") == signing.mark(b"one", memoryview(b"value"))


@pytest.mark.parametrize(
    ("key", "data", "mark"),
    [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    ],
)
def test_marks_are_those_of_rfc_4231(key: bytes, data: bytes, mark: str) -> None:
    assert Signing(key).mark(b"", data).hex() == mark
