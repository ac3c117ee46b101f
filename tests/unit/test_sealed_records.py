"""Attacks on sealed records: none returns a value, and none runs a line of the attacker's."""

from __future__ import annotations

import os
import pickle
from decimal import Decimal
from typing import Any

import pytest

from jeeves_journal import DecodeError, IntegrityError, JSONCodec, Keyring
from jeeves_journal.codecs import Place, RecordCodec, record_codec
from jeeves_journal.codecs.footer import CHECKSUM_BYTES, FOOTER_BYTES, Tail, checksum
from jeeves_journal.codecs.wrapping import Signed
from jeeves_journal.options import Settings
from tests.stores.attacks import Attack

KEYS = Keyring.generate()
HERE = ("step", "run-1", "fetch", 1.5)
SEALS = ["sign", "encrypt"]


@pytest.fixture(params=SEALS)
def codec(request: pytest.FixtureRequest) -> RecordCodec:
    return sealing(request.param)


def sealing(seal: Any, **options: Any) -> RecordCodec:
    return record_codec(Settings(**{"keys": KEYS, "seal": seal, **options}))


def refused(codec: RecordCodec, data: bytes, place: Place = HERE) -> str:
    Attack.ran = False
    with pytest.raises(DecodeError) as refusal:
        codec.decode(place, data)
    assert not Attack.ran
    assert (refusal.value.session_id, refusal.value.step_name) == place[1:3]
    return str(refusal.value)


def with_tail(record: bytes, **fields: Any) -> bytes:
    """Return the record with fields of its footer changed, and all else as it was."""
    return record[: -FOOTER_BYTES + CHECKSUM_BYTES] + Tail.read(record[-36:])._replace(**fields).pack()


@pytest.mark.parametrize("value", [None, "", {"rows": [1, 2]}, b"\xd1" * 2_000, "x" * 100_000])
@pytest.mark.parametrize("compress", [None, "zstd"])
@pytest.mark.parametrize("seal", SEALS)
def test_a_sealed_value_comes_back(seal: str, compress: str | None, value: object) -> None:
    codec = sealing(seal, compress=compress)
    assert codec.decode(HERE, codec.encode(HERE, value)) == value


def test_every_flipped_bit_is_refused(codec: RecordCodec) -> None:
    record = codec.encode(HERE, {"rows": 3})
    for position in range(len(record)):
        for bit in range(8):
            flipped = bytearray(record)
            flipped[position] ^= 1 << bit
            refused(codec, bytes(flipped))


def test_every_cut_is_refused(codec: RecordCodec) -> None:
    record = codec.encode(HERE, {"rows": 3})
    for length in range(len(record)):
        refused(codec, record[:length])
        refused(codec, record[length + 1 :])


@pytest.mark.parametrize(
    "place",
    [
        ("stream", "run-1", "fetch", 1.5),
        ("step", "run-2", "fetch", 1.5),
        ("step", "run-1", "pay", 1.5),
        ("step", "run-1", "fetch", 1.5000000000000002),
        ("step", "run-1", "fetch", 2),
        ("step", "run-1", "fetch", None),
        # The same text in all, cut elsewhere.
        ("step", "run-1f", "etch", 1.5),
        ("step", "run-", "1fetch", 1.5),
        # As a damaged text is read from a SQLite file.
        ("step", "run-\udcff", "fetch", 1.5),
    ],
)
def test_a_record_that_was_moved_is_refused(codec: RecordCodec, place: Place) -> None:
    assert "seal does not match" in refused(codec, codec.encode(HERE, 1), place)


def test_a_planted_pickle_is_refused(codec: RecordCodec) -> None:
    assert "not sealed" in refused(codec, pickle.dumps(Attack()))


def test_a_planted_record_with_a_right_checksum_is_refused(codec: RecordCodec) -> None:
    payload, tail = pickle.dumps(Attack()), Tail("pickle").pack()
    assert "not sealed" in refused(codec, payload + checksum(payload, tail) + tail)


def test_a_footer_that_was_cut_off_is_refused(codec: RecordCodec) -> None:
    record = sealing("sign").encode(HERE, Attack())
    assert "not sealed" in refused(codec, record[:-FOOTER_BYTES])


@pytest.mark.parametrize(
    "fields",
    [
        {"codec_id": "json"},
        {"version": 0},
        {"version": 2},
        {"seal": 0},
        {"seal": 3},
        {"seal": 12},
        {"seal": 7},
        {"compression": 1},
        {"key_id": b""},
        {"key_id": b"other"},
        {"nonce": bytes(range(12))},
    ],
)
def test_a_footer_that_was_changed_is_refused(codec: RecordCodec, fields: dict[str, Any]) -> None:
    record = codec.encode(HERE, Attack())
    changed = with_tail(record, **fields)
    if changed != record:
        refused(codec, changed)


@pytest.mark.parametrize("seal", SEALS)
def test_a_seal_by_another_key_of_the_same_name_is_refused(codec: RecordCodec, seal: str) -> None:
    other = Keyring.from_text(f"{KEYS.first.id}:{Keyring.generate().to_text().partition(':')[2]}")
    forged = sealing(seal, keys=other).encode(HERE, Attack())
    assert "seal does not match" in refused(codec, forged)


def test_a_key_that_is_not_there_is_named(codec: RecordCodec) -> None:
    other = Keyring.generate()
    record = sealing("sign", keys=other).encode(HERE, 1)
    assert f"sealed by key '{other.first.id}', which the keyring does not have" in refused(codec, record)


def test_a_sealed_record_needs_the_keys() -> None:
    for seal in SEALS:
        assert "the record is sealed" in refused(record_codec(Settings()), sealing(seal).encode(HERE, Attack()))


def test_a_record_that_says_it_is_small_when_inflated_is_held_to_it(codec: RecordCodec) -> None:
    import zstandard

    bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    small = sealing("sign", compress="zstd", max_value_bytes=1_000_000)
    assert len(bomb) < 10_000
    assert "inflate to more" in refused(small, compressed(bomb))
    without_size = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(50_000_000))
    assert "inflate to more" in refused(small, compressed(without_size))


def compressed(body: bytes) -> bytes:
    """Return a record that says that its payload is compressed, well sealed: the attacker got hold of the key."""
    tail = Tail("pickle", KEYS.first.in_footer, seal=3, compression=1).pack()
    return Signed(KEYS.first, tail).wrap(HERE, body)


@pytest.mark.parametrize(
    "payload",
    [
        pickle.dumps(Attack()),
        b'{"$type":"subprocess.Popen","$value":["true"]}',
        b'{"$type":"tests.stores.attacks.Attack","$value":{}}',
        b'[{"$type":"tests.stores.attacks._attack","$value":[]}]',
    ],
)
@pytest.mark.parametrize("types", [[], [Decimal, bytes]])
def test_who_got_hold_of_the_key_runs_nothing_where_the_codec_is_json(payload: bytes, types: list[Any]) -> None:
    tail = Tail("json", KEYS.first.in_footer, seal=3).pack()
    record = Signed(KEYS.first, tail).wrap(HERE, payload)
    refused(sealing("sign", codec=JSONCodec(types)), record)


def test_what_is_no_compressed_payload_is_an_integrity_error() -> None:
    assert "cannot be read" in refused(sealing("sign", compress="zstd"), compressed(b"\x28\xb5\x2f\xfd\x20\x05junk"))


def test_a_compressed_record_is_refused_where_compression_is_not_configured() -> None:
    record = sealing("sign", compress="zstd").encode(HERE, "x" * 5_000)
    assert "open the store with compress='zstd'" in refused(sealing("sign"), record)


def test_the_first_key_seals_and_all_open() -> None:
    new = Keyring.from_text(f"{Keyring.generate().to_text()},{KEYS.to_text()}")
    for seal in SEALS:
        rotated = sealing(seal, keys=new)
        assert rotated.decode(HERE, sealing("sign").encode(HERE, 1)) == 1
        assert rotated.decode(HERE, sealing("encrypt").encode(HERE, 1)) == 1
        refused(sealing(seal), rotated.encode(HERE, 1))


def test_unsealed_records_are_opened_on_request_and_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    codec = sealing("sign", allow_unsealed=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert codec.decode(HERE, record_codec(Settings()).encode(HERE, 1)) == 1
    assert codec.decode(HERE, pickle.dumps(1)) == 1
    assert len(caplog.records) == 1


def test_a_signed_record_is_read_by_pickle_alone_and_an_encrypted_one_shows_nothing() -> None:
    assert pickle.loads(sealing("sign").encode(HERE, ["secret"])) == ["secret"]
    assert b"secret" not in sealing("encrypt").encode(HERE, ["secret" * 100])


def test_the_same_value_encrypted_twice_has_two_nonces() -> None:
    codec = sealing("encrypt")
    nonces = {Tail.read(codec.encode(HERE, 1)[-36:]).nonce for _ in range(1_000)}
    assert len(nonces) == 1_000


def test_nothing_is_unpickled_where_the_codec_is_json() -> None:
    codec = record_codec(Settings(codec="json"))
    refused(codec, pickle.dumps(Attack()))
    refused(codec, record_codec(Settings()).encode(HERE, Attack()))


def test_random_bytes_are_refused(codec: RecordCodec) -> None:
    for length in range(0, 400, 7):
        refused(codec, os.urandom(length))
        refused(codec, os.urandom(length) + codec.encode(HERE, 1)[-4:])


def test_the_errors_of_integrity_are_integrity_errors(codec: RecordCodec) -> None:
    record = codec.encode(HERE, 1)
    damaged = bytes([record[0] ^ 1]) + record[1:]
    with pytest.raises(IntegrityError, match="restore the row from a backup"):
        codec.decode(HERE, damaged)
