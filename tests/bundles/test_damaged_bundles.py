"""What is no whole bundle is refused before anything is recorded."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jeeves_journal import (
    BundleError,
    ConfigurationError,
    InMemoryJournalStore,
    OperableJournalStore,
    export_bundle,
    import_bundle,
)
from tests.bundles import forging
from tests.bundles.forging import HEADER, end, line, record

pytestmark = pytest.mark.anyio


async def is_refused(path: Path, bundle: bytes, match: str = "no bundle that can be imported") -> None:
    """See that a bundle is refused whole."""
    path.write_bytes(bundle)
    async with InMemoryJournalStore() as store:
        with pytest.raises(BundleError, match=match) as caught:
            await import_bundle(store, path)
        assert caught.value.remedy
        assert await store.sessions() == []


@pytest.fixture
async def small(tmp_path: Path) -> bytes:
    """A bundle of two sessions."""
    async with InMemoryJournalStore() as store:
        await store.put_step("run-1", "fetch", 1)
        await store.put_stream("run-1", "answer", [2])
        await store.put_step("run-2", "fetch", 3)
        await export_bundle(store, tmp_path / "small")
    return (tmp_path / "small").read_bytes()


async def test_what_is_made_from_the_documentation_is_taken(elsewhere: OperableJournalStore, path: Path) -> None:
    records = [record("a", "x", at=-1.5), record("a", "x", kind="stream"), record("b", '\u00e9\u2028"', data=b"")]
    path.write_bytes(forging.of_records(*records))
    assert (await import_bundle(elsewhere, path)).records == 3


async def test_what_the_documentation_says_is_made(small: bytes) -> None:
    lines = forging.lines_of(small)
    fields = [json.loads(each) for each in lines]
    assert [line({name: value for name, value in each.items() if name != "sha256"}) for each in fields] == lines
    assert fields[0].items() > HEADER.items()
    assert fields[-1].items() > end(2, 3).items()
    assert small == forging.sealed(small[: -len(forging.last_member("0" * 64))])


async def test_every_flipped_bit_is_noticed(small: bytes, path: Path) -> None:
    for place in range(len(small)):
        for bit in range(8):
            damaged = bytearray(small)
            damaged[place] ^= 1 << bit
            await is_refused(path, bytes(damaged))


async def test_every_cut_is_noticed(small: bytes, path: Path) -> None:
    for size in range(len(small)):
        await is_refused(path, small[:size])


@pytest.mark.parametrize("more", [b"\0", b"\n", b"more", gzip.compress(b"", mtime=0), forging.last_member("0" * 64)])
async def test_what_comes_behind_it_is_noticed(small: bytes, path: Path, more: bytes) -> None:
    await is_refused(path, small + more)
    await is_refused(path, more + small)
    await is_refused(path, small + small)


async def test_a_newer_format_is_said_to_be_newer(path: Path) -> None:
    header = {**HEADER, "version": 2, "more": [1]}
    await is_refused(path, forging.whole(header, {"what": "newer"}), "of version 2")
    await is_refused(path, forging.packed([line(header)]), "newer jeeves-journal")


@pytest.mark.parametrize(
    "version", ["0", "-1", "1.0", "2.0", '"2"', "true", "null", "[2]", "1" + "0" * 5000, "NaN", "1e999", ""]
)
async def test_a_version_is_a_whole_number(path: Path, version: str) -> None:
    text = f'{{"format":"jeeves-journal bundle","version":{version}'.encode()
    await is_refused(path, forging.whole(text, end(0, 0)), "not that of a bundle")


BAD_FIELDS: list[dict[str, Any]] = [
    *({"session_id": bad} for bad in (None, 7, "", "nul\0", "\ud800", "x" * 1001, ["run"], {})),
    *({"step_name": bad} for bad in (None, 7, "", "nul\0", "\udfff", "\u00e9" * 501, ["run"], {})),
    *({"kind": bad} for bad in (None, 7, "", "Step", "signal", ["step"], {})),
    *({"created_at": bad} for bad in (None, 7, True, "1.0", float("nan"), float("inf"), -float("inf"), [1.0])),
    *({"data": bad} for bad in (None, 7, "=", "QQ", "QQ=", "QR==", "Q Q=", "QQ==\n", "QQ==QQ==", "\u00e9", "_-8=", [])),
    {"more": 1},
]


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=repr)
async def test_a_record_that_no_store_would_take_is_noticed(path: Path, fields: dict[str, Any]) -> None:
    await is_refused(path, forging.whole(HEADER, record("a"), record("b") | fields, end(2, 2)))


GOOD = forging.text_of(record())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{" + b'"data":"QQ=="',
        GOOD.replace(b"1.0", b"1e999"),
        GOOD.replace(b"1.0", b"1.00"),
        GOOD.replace(b"1.0", b"1e0"),
        GOOD.replace(b"1.0", b"1" * 5_000),
        GOOD.replace(b"1.0", b"NaN"),
        GOOD.replace(b"run", b"r\\u0075n"),
        GOOD.replace(b"run", b"r\xffn"),
        GOOD.replace(b"run", b"\\ud800"),
        GOOD.replace(b",", b", "),
        GOOD.replace(b'"kind"', b'"kind":"step","kind"'),
        GOOD + b',"more":1',
        GOOD + b" ",
        b" " + GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
    ],
    ids=lambda text: repr(text[:60]),
)
async def test_a_record_that_is_written_in_another_way_is_noticed(path: Path, text: bytes) -> None:
    await is_refused(path, forging.whole(HEADER, text, end(1, 1)))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [HEADER],
        [HEADER, record()],
        [record(), end(1, 1)],
        [end(0, 0)],
        [HEADER, HEADER, end(0, 0)],
        [{"format": "another", "version": 1}, end(0, 0)],
        [HEADER, end(0, 0), end(0, 0)],
        [HEADER, end(0, 0), record()],
        [HEADER, record(), end(1, 2)],
        [HEADER, record(), end(2, 1)],
        [HEADER, record(), end(0, 0)],
        [HEADER, record(), record(), end(1, 2)],
        [HEADER, record(), record(data=b"other"), end(1, 2)],
        [HEADER, record(at=1.0), record(at=2.0), end(1, 2)],
        [HEADER, record(at=2.0), record(step_name="x", at=1.0), end(1, 2)],
        [HEADER, record(step_name="b"), record(step_name="a"), end(1, 2)],
        [HEADER, record("b"), record("a"), end(2, 2)],
        [HEADER, record("a"), record("b"), record("a", "more"), end(2, 3)],
    ],
    ids=lambda lines: f"{len(lines)} lines",
)
async def test_lines_stand_in_their_order_and_once(path: Path, lines: list[Any]) -> None:
    await is_refused(path, forging.whole(*lines))


async def test_what_inflates_without_end_is_noticed_early(elsewhere: OperableJournalStore, path: Path) -> None:
    path.write_bytes(forging.packed([line(HEADER), b'{"session_id":"' + b"a" * 100_000_000]))
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match="longer than a record"):
            await import_bundle(elsewhere, path, max_value_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


async def test_how_large_a_value_may_be_can_be_said(elsewhere: OperableJournalStore, path: Path) -> None:
    path.write_bytes(forging.of_records(record(data=os.urandom(200_000))))
    with pytest.raises(BundleError, match="longer than a record"):
        await import_bundle(elsewhere, path, max_value_bytes=100_000)
    assert (await import_bundle(elsewhere, path, max_value_bytes=200_000)).records == 1
    with pytest.raises(ConfigurationError, match="max_value_bytes"):
        await import_bundle(elsewhere, path, max_value_bytes=0)


async def test_no_message_shows_a_value(path: Path) -> None:
    text = forging.text_of(record(data=b"hunter2")).replace(b'"kind"', b'"kin"')
    path.write_bytes(forging.whole(HEADER, text, end(1, 1)))
    async with InMemoryJournalStore() as store:
        with pytest.raises(BundleError) as caught:
            await import_bundle(store, path)
    assert "aHVudGVyMg" not in str(caught.value) + repr(caught.value.__cause__)


edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "swap", "repeat", "drop"]),
        st.integers(0, 10_000),
        st.integers(0, 10_000),
    ),
    min_size=1,
    max_size=4,
)


@given(edits=edits, resum=st.booleans(), byte=st.integers(0, 255))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_edited_in_a_bundle_is_refused_or_means_the_same(
    small: bytes, path: Path, edits: list[tuple[str, int, int]], resum: bool, byte: int
) -> None:
    """With all checksums made anew, as by somebody who means it."""
    texts = [each[: each.rindex(b',"sha256"')] for each in forging.lines_of(small)]
    for kind, first, second in edits:
        _edit(texts, kind, first, second, byte)
    bundle = forging.whole(*texts) if resum else forging.packed([each + b"\n" for each in texts])
    path.write_bytes(bundle)
    async with InMemoryJournalStore() as store:
        try:
            done = await import_bundle(store, path)
        except BundleError:
            assert await store.sessions() == []
            return
        # It is a bundle, of other records maybe: then it is the very one that these make.
        assert done.refused == ()
        again = path.with_name("again")
        again.unlink(missing_ok=True)
        await export_bundle(store, again)
        assert forging.lines_of(again.read_bytes()) == [line(text) for text in texts]


def _edit(texts: list[bytes], kind: str, first: int, second: int, byte: int) -> None:
    if not texts:
        return
    one, other = first % len(texts), second % len(texts)
    text = texts[one]
    place = second % (len(text) + 1)
    if kind == "flip" and text:
        place %= len(text)
        texts[one] = text[:place] + bytes([text[place] ^ (byte or 1)]) + text[place + 1 :]
    elif kind == "cut":
        texts[one] = text[:place]
    elif kind == "insert":
        texts[one] = text[:place] + bytes([byte]) + text[place:]
    elif kind == "swap":
        texts[one], texts[other] = texts[other], texts[one]
    elif kind == "repeat":
        texts.insert(other, text)
    elif kind == "drop":
        del texts[one]


@given(garbage=st.binary(max_size=300))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_bytes_are_refused(path: Path, garbage: bytes) -> None:
    await is_refused(path, garbage)
    await is_refused(path, forging.sealed(garbage))
    await is_refused(path, forging.packed([garbage]))
    await is_refused(path, forging.packed([line(HEADER), garbage]))
