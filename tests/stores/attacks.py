"""What somebody who can write to the database may do to a row, without the keys."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import zstandard

from jeeves_journal import Keyring
from jeeves_journal.codecs import Place, record_codec
from jeeves_journal.codecs.footer import CHECKSUM_BYTES, FOOTER_BYTES, Tail, checksum
from jeeves_journal.options import Settings

AT: Final = 1.5
"""The time of the row that is attacked."""


class Marking:
    """A value that makes a file in whoever unpickles it, in whatever process."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._mark,)


class Attack:
    """Runs code in whoever unpickles it, which notes it."""

    ran = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _attack, ()


def _attack() -> None:
    Attack.ran = True


def rows_of(keys: Keyring, mark: Path, seal: Any, step_name: str = "attacked") -> Mapping[str, bytes]:
    """Return what is put in place of a step of the session ``run``, by the attack's name.

    Whatever is unpickled of it makes the file ``mark``.
    """
    here = Place("step", "run", step_name, AT)
    planted = pickle.dumps(Marking(mark))
    sealed = record_codec(Settings(keys=keys, seal=seal))
    right = sealed.encode(here, Marking(mark))
    mark.unlink(missing_ok=True)
    of_same_name = Keyring.from_text(f"{keys.first.id}:{Keyring.generate().to_text().partition(':')[2]}")
    other = record_codec(Settings(keys=of_same_name, seal=seal)).encode(here, Marking(mark))
    strange = record_codec(Settings(keys=Keyring.generate(), seal=seal)).encode(here, Marking(mark))
    mark.unlink(missing_ok=True)
    bomb = zstandard.ZstdCompressor().compress(planted + bytes(50_000_000))
    rows = {
        "planted pickle": planted,
        "planted pickle with a footer": planted + _footer(planted, Tail("pickle")),
        "planted compression bomb": bomb + _footer(bomb, Tail("pickle", compression=1)),
        "footer cut off": right[:-FOOTER_BYTES],
        "footer of nothing but zeros": right[:-FOOTER_BYTES] + bytes(FOOTER_BYTES),
        "codec changed": _changed(right, codec_id="json"),
        "key changed": _changed(right, key_id=b"other"),
        "key removed": _changed(right, key_id=b""),
        "seal removed": _changed(right, seal=0, key_id=b""),
        "seal exchanged": _changed(right, seal=3 if seal == "encrypt" else 12),
        "version downgraded": _changed(right, version=0),
        "compression claimed": _changed(right, compression=1),
        "sealed by another key of this name": other,
        "sealed by another key": strange,
    }
    moved = {
        "session": here._replace(session_id="other"),
        "step": here._replace(step_name="other"),
        "table": here._replace(kind="stream"),
        "time": here._replace(created_at=AT + 1),
    }
    for name, place in moved.items():
        rows[f"moved from another {name}"] = sealed.encode(place, Marking(mark))
    for position in range(0, len(right), 7):
        rows[f"bit of byte {position} flipped"] = _flipped(right, position)
    mark.unlink(missing_ok=True)
    return rows


def _footer(payload: bytes, tail: Tail) -> bytes:
    return checksum(payload, tail.pack()) + tail.pack()


def _changed(record: bytes, **fields: Any) -> bytes:
    tail = Tail.read(record[-FOOTER_BYTES + CHECKSUM_BYTES :])
    return record[: -FOOTER_BYTES + CHECKSUM_BYTES] + tail._replace(**fields).pack()


def _flipped(record: bytes, position: int) -> bytes:
    flipped = bytearray(record)
    flipped[position] ^= 1 << position % 8
    return bytes(flipped)
