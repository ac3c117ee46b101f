"""Value to record bytes and back."""

from __future__ import annotations

import copyreg
import json
import pickle
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jeeves_journal import DecodeError, EncodeError, IntegrityError
from jeeves_journal.codecs import RecordCodec
from jeeves_journal.codecs.footer import CHECKSUM_BYTES, FOOTER_BYTES, Tail, checksum

SECRET = "hunter2"
VALUES = [
    pytest.param(value, id=name)
    for name, value in {
        "none": None,
        "empty-str": "",
        "empty-list": [],
        "empty-bytes": b"",
        "dict": {"rows": 3, "names": ["a", "b"]},
        "long": "lorem ipsum " * 40,
        "a-pickle": pickle.dumps([1, 2]),
        "full-stops": "." * 40,
    }.items()
]
HERE, THERE = ("step", "run-1", "fetch", 1.5), ("stream", "run-1", "answer", 1.5)
VERSION_OFFSET, SEAL_OFFSET = 60 - CHECKSUM_BYTES, 61 - CHECKSUM_BYTES


# Hashable, but read back as a bytearray.
BUFFER = pickle.PickleBuffer(bytearray(b"bytes"))


class Unloadable:
    def __reduce__(self) -> tuple[type, tuple[str]]:
        return Unloadable, ("takes nothing",)


@dataclass
class Gone:
    secret: str = SECRET


class JSONCodec:
    id = "json"

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, payload: bytes | memoryview) -> Any:
        return json.loads(bytes(payload))


@pytest.fixture
def codec() -> RecordCodec:
    return RecordCodec(max_value_bytes=100_000)


def encode(codec: RecordCodec, value: object) -> bytes:
    return codec.encode(HERE, value)


def decode(codec: RecordCodec, data: object) -> Any:
    return codec.decode(HERE, data)


def with_tail(payload: bytes, tail: bytes) -> bytes:
    """Return a record that another version could have written: its checksum is right."""
    return payload + checksum(payload, tail) + tail


class TestRoundTrip:
    @pytest.mark.parametrize("value", VALUES)
    def test_a_value_comes_back(self, codec: RecordCodec, value: object) -> None:
        assert decode(codec, encode(codec, value)) == value

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_any_value_comes_back(self, value: object) -> None:
        codec = RecordCodec(max_value_bytes=10_000_000)
        assert decode(codec, encode(codec, value)) == value

    @pytest.mark.parametrize("value", VALUES)
    def test_pickle_alone_reads_our_bytes(self, codec: RecordCodec, value: object) -> None:
        assert pickle.loads(encode(codec, value)) == value

    @pytest.mark.parametrize("value", VALUES)
    @pytest.mark.parametrize("protocol", range(6))
    def test_a_plain_pickle_of_jeevesagent_is_read(self, codec: RecordCodec, value: object, protocol: int) -> None:
        assert decode(codec, pickle.dumps(value, protocol=protocol)) == value

    def test_the_same_value_gives_the_same_bytes(self, codec: RecordCodec) -> None:
        assert encode(codec, {"rows": 3}) == encode(codec, {"rows": 3})

    def test_another_codec_may_be_configured(self) -> None:
        codec = RecordCodec(max_value_bytes=100, codec=JSONCodec())
        assert encode(codec, {"rows": 3}).startswith(b'{"rows": 3}')
        assert decode(codec, encode(codec, {"rows": 3})) == {"rows": 3}


class TestChunks:
    @pytest.mark.parametrize("chunks", [[], [None], ["Hel", "lo"], [[1], {}]])
    def test_chunks_come_back(self, codec: RecordCodec, chunks: list[Any]) -> None:
        assert codec.decode_chunks(THERE, codec.encode_chunks(THERE, chunks)) == chunks

    @pytest.mark.parametrize("chunks", [("Hel", "lo"), iter(["Hel", "lo"]), {"Hel": 1, "lo": 2}])
    def test_whatever_can_be_iterated_is_recorded_as_a_list(self, codec: RecordCodec, chunks: object) -> None:
        assert pickle.loads(codec.encode_chunks(THERE, chunks)) == ["Hel", "lo"]

    def test_what_cannot_be_iterated_is_refused(self, codec: RecordCodec) -> None:
        with pytest.raises(EncodeError, match="a int is not a list of chunks.*run-1.*answer.*pass a list"):
            codec.encode_chunks(THERE, 7)

    @pytest.mark.parametrize(("row", "chunks"), [(None, []), (("Hel", "lo"), ["Hel", "lo"])])
    def test_what_jeevesagent_takes_for_chunks_is_read_as_chunks(
        self, codec: RecordCodec, row: object, chunks: list[Any]
    ) -> None:
        assert codec.decode_chunks(THERE, pickle.dumps(row)) == chunks

    def test_a_record_that_holds_no_chunks_is_refused(self, codec: RecordCodec) -> None:
        with pytest.raises(DecodeError, match="run-1.*answer"):
            codec.decode_chunks(THERE, encode(codec, 7))


class TestDamage:
    @pytest.mark.parametrize("value", VALUES)
    def test_every_flipped_bit_is_an_integrity_error(self, codec: RecordCodec, value: object) -> None:
        record = encode(codec, value)
        for position in range(len(record)):
            for bit in range(8):
                flipped = bytearray(record)
                flipped[position] ^= 1 << bit
                with pytest.raises(IntegrityError):
                    decode(codec, bytes(flipped))

    @pytest.mark.parametrize("value", VALUES)
    def test_every_cut_is_a_decode_error_unless_it_leaves_what_jeevesagent_writes(
        self, codec: RecordCodec, value: object
    ) -> None:
        record = encode(codec, value)
        for length in range(len(record)):
            if length == len(record) - FOOTER_BYTES:
                assert decode(codec, record[:length]) == value
            else:
                with pytest.raises(DecodeError):
                    decode(codec, record[:length])

    @pytest.mark.parametrize("value", VALUES)
    def test_every_cut_at_the_front_is_an_integrity_error(self, codec: RecordCodec, value: object) -> None:
        record = encode(codec, value)
        for start in range(1, len(record) + 1):
            with pytest.raises(IntegrityError):
                decode(codec, record[start:])

    def test_bytes_behind_a_record_are_an_integrity_error(self, codec: RecordCodec) -> None:
        for behind in (b"\0", b".", b"\xd1", b"JvJ\xd1"):
            with pytest.raises(IntegrityError):
                decode(codec, encode(codec, [1]) + behind)

    def test_another_records_footer_is_an_integrity_error(self, codec: RecordCodec) -> None:
        one, other = encode(codec, [1]), encode(codec, [2])
        with pytest.raises(IntegrityError):
            decode(codec, one[:-FOOTER_BYTES] + other[-FOOTER_BYTES:])

    def test_a_plain_pickle_with_bytes_behind_it_is_an_integrity_error(self, codec: RecordCodec) -> None:
        with pytest.raises(IntegrityError, match="footer is cut"):
            decode(codec, pickle.dumps([1]) + b"junk.")

    @pytest.mark.parametrize("data", [None, "text", 7, 1.5])
    def test_a_row_without_bytes_is_a_decode_error(self, codec: RecordCodec, data: object) -> None:
        with pytest.raises(DecodeError, match="run-1.*fetch"):
            decode(codec, data)

    def test_the_error_names_session_and_step_and_what_to_do_but_not_the_value(self, codec: RecordCodec) -> None:
        with pytest.raises(IntegrityError) as refusal:
            decode(codec, b"x" + encode(codec, SECRET)[1:])
        assert str(refusal.value) == (
            "the record's checksum does not match (session 'run-1', step 'fetch'): "
            "restore the row from a backup, or delete it so that the step runs again"
        )


class TestForeignRecords:
    def assert_refused(self, codec: RecordCodec, record: bytes, message: str) -> None:
        with pytest.raises(DecodeError, match=message) as refusal:
            decode(codec, record)
        assert type(refusal.value) is DecodeError
        assert (refusal.value.session_id, refusal.value.step_name) == ("run-1", "fetch")

    def test_a_record_of_another_codec_is_refused(self, codec: RecordCodec) -> None:
        record = encode(RecordCodec(max_value_bytes=100, codec=JSONCodec()), [1])
        self.assert_refused(codec, record, "codec 'json', this store is configured for 'pickle'")

    def test_a_pickle_is_refused_where_another_codec_is_configured(self, codec: RecordCodec) -> None:
        record = encode(codec, [1])
        self.assert_refused(RecordCodec(max_value_bytes=100, codec=JSONCodec()), record, "codec 'pickle'")

    def test_a_plain_pickle_is_refused_where_another_codec_is_configured(self) -> None:
        with pytest.raises(DecodeError):
            decode(RecordCodec(max_value_bytes=100, codec=JSONCodec()), pickle.dumps([1]))

    def test_a_record_of_a_newer_version_is_refused_by_its_number(self, codec: RecordCodec) -> None:
        tail = bytearray(Tail("pickle").pack())
        tail[VERSION_OFFSET] = 2
        self.assert_refused(codec, with_tail(pickle.dumps(1), bytes(tail)), "format version 2, this code reads 1")

    def test_a_sealed_record_is_refused(self, codec: RecordCodec) -> None:
        tail = bytearray(Tail("pickle").pack())
        tail[SEAL_OFFSET] = 1
        self.assert_refused(codec, with_tail(pickle.dumps(1), bytes(tail)), "sealed in an unknown way")

    def test_a_footer_is_not_believed_before_its_checksum_is_right(self, codec: RecordCodec) -> None:
        record = bytearray(encode(codec, [1]))
        record[VERSION_OFFSET + CHECKSUM_BYTES - FOOTER_BYTES] = 2
        with pytest.raises(IntegrityError):
            decode(codec, bytes(record))

    @pytest.mark.parametrize("footer", [True, False])
    def test_a_value_whose_class_is_gone_is_a_decode_error(
        self, codec: RecordCodec, monkeypatch: pytest.MonkeyPatch, footer: bool
    ) -> None:
        record = encode(codec, Gone()) if footer else pickle.dumps(Gone())
        monkeypatch.delattr(sys.modules[__name__], "Gone")
        self.assert_refused(codec, record, r"cannot be decoded \(AttributeError\)")

    def test_a_value_whose_module_is_gone_is_a_decode_error(self, codec: RecordCodec) -> None:
        record = encode(codec, Gone()).replace(__name__.encode(), b"x" * len(__name__))
        payload, tail = record[:-FOOTER_BYTES], Tail("pickle").pack()
        self.assert_refused(codec, with_tail(payload, tail), r"cannot be decoded \(ModuleNotFoundError\)")


class TestRefusedValues:
    def test_a_value_of_exactly_the_limit_is_accepted(self) -> None:
        codec = RecordCodec(max_value_bytes=len(pickle.dumps(b"x" * 100, protocol=5)))
        assert decode(codec, encode(codec, b"x" * 100)) == b"x" * 100

    def test_a_value_over_the_limit_is_refused_with_its_size_and_the_option(self) -> None:
        codec = RecordCodec(max_value_bytes=1_000)
        with pytest.raises(EncodeError) as refusal:
            encode(codec, SECRET * 1_000)
        assert "a value of type str takes 7,0" in str(refusal.value)
        assert "raise max_value_bytes (now 1,000)" in str(refusal.value)
        assert SECRET not in str(refusal.value)

    def test_the_limit_holds_for_the_chunks_of_a_stream_together(self) -> None:
        codec = RecordCodec(max_value_bytes=1_000)
        with pytest.raises(EncodeError, match="takes"):
            codec.encode_chunks(THERE, ["x" * 600, "y" * 600])

    def test_what_cannot_be_pickled_is_named_by_its_type(self, codec: RecordCodec) -> None:
        with pytest.raises(EncodeError) as refusal:
            encode(codec, lambda: SECRET)
        assert str(refusal.value) == (
            "a value of type function cannot be encoded by the pickle codec (session 'run-1', step 'fetch'): "
            "return something that can be"
        )
        assert refusal.value.__cause__ is not None

    def test_what_would_not_load_again_is_refused(self, codec: RecordCodec) -> None:
        error = UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, "reason")
        error.args = ()
        with pytest.raises(EncodeError, match="UnicodeDecodeError can be encoded but not decoded again"):
            encode(codec, error)

    @pytest.mark.parametrize("code", [0x7F, 0x7F7F, 0x7F7F7F])
    def test_what_would_not_load_again_is_refused_also_if_a_number_stands_for_its_class(
        self, codec: RecordCodec, code: int
    ) -> None:
        copyreg.add_extension(__name__, "Unloadable", code)
        try:
            with pytest.raises(EncodeError, match="dict can be encoded but not decoded again"):
                encode(codec, {"rows": [1, (Unloadable(),)]})
        finally:
            copyreg.remove_extension(__name__, "Unloadable", code)

    @pytest.mark.parametrize(
        "value", [{BUFFER: 1}, {BUFFER}, frozenset([BUFFER]), {(BUFFER,): 1}, [1, {"rows": (Unloadable(),)}]]
    )
    def test_what_would_not_load_again_is_refused_wherever_it_stands(self, codec: RecordCodec, value: Any) -> None:
        with pytest.raises(EncodeError, match="can be encoded but not decoded again"):
            encode(codec, value)

    @pytest.mark.parametrize(
        "value", [{"texts": ["é", "Ёлка", "日本"], "numbers": [0.1, -1e300, 2**70]}, [bytearray(b"a"), {1: {2, None}}]]
    )
    def test_what_holds_values_of_plain_types_comes_back(self, codec: RecordCodec, value: Any) -> None:
        assert decode(codec, encode(codec, value)) == value

    def test_an_interrupt_while_encoding_is_not_swallowed(self, codec: RecordCodec) -> None:
        with pytest.raises(KeyboardInterrupt):
            encode(codec, Interrupted())


class Interrupted:
    def __reduce__(self) -> str:
        raise KeyboardInterrupt
