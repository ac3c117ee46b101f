"""What somebody who can write to the database may do to a row, without the keys."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import zstandard

from jeeves_journal import Keyring
from jeeves_journal.codecs import Place, record_codec
from jeeves_journal.codecs.footer import CHECKSUM_BYTES, FOOTER_BYTES, Tail, checksum
from jeeves_journal.options import Settings

AT: Final = 1.5
"""The time of the rows that are attacked."""
SESSION: Final = "run"
"""Their session."""


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


class Attacker:
    """Makes rows for a store with keys, whose other options are known. Whatever is unpickled of them makes a file."""

    def __init__(self, keys: Keyring, options: Mapping[str, Any], mark: Path, kind: str = "step") -> None:
        self._keys = keys
        self._options = options
        self._mark = mark
        self._kind = kind
        self._sealing = self._codec_with(keys)
        # Large enough to be compressed where that is asked for.
        self._text = "x" * (2_000 if options.get("compress") else 20)

    def rows(self) -> dict[str, bytes]:
        """Return the rows of all attacks, by the name of the attack, which is the name of the step too."""
        rows = {name: attack(self._place(name)) for name, attack in self._attacks().items()}
        rows.update(self._flipped_bits())
        self._mark.unlink(missing_ok=True)
        return rows

    def _attacks(self) -> dict[str, Callable[[Place], bytes]]:
        planted = pickle.dumps(Marking(self._mark))
        named = json.dumps({"$type": "subprocess.Popen", "$value": ["touch", str(self._mark)]}).encode()
        bomb = zstandard.ZstdCompressor().compress(planted + bytes(50_000_000))
        of_same_name = Keyring.from_text(f"{self._keys.first.id}:{Keyring.generate().to_text().partition(':')[2]}")
        moved = {
            "session_id": "other",
            "step_name": "other",
            "kind": "stream" if self._kind == "step" else "step",
            "created_at": AT + 1,
        }
        return {
            "old plain row": lambda _: pickle.dumps(["old"]),
            "old record without a seal": self._unsealed,
            "planted pickle": lambda _: planted,
            "planted pickle with a footer": lambda _: _with_footer(planted, Tail("pickle")),
            "planted pickle that says it is JSON": lambda _: _with_footer(planted, Tail("json")),
            "planted JSON that names a class": lambda _: _with_footer(named, Tail("json")),
            "planted compression bomb": lambda _: _with_footer(bomb, Tail(self._codec_id, compression=1)),
            "nothing": lambda _: b"",
            "footer cut off": lambda place: self._right(place)[:-FOOTER_BYTES],
            "footer of nothing but zeros": lambda place: self._right(place)[:-FOOTER_BYTES] + bytes(FOOTER_BYTES),
            "payload exchanged": lambda place: planted + self._right(place)[-FOOTER_BYTES:],
            "seal of nothing but zeros": lambda place: _without_mark(self._right(place)),
            "sealed by another key of this name": lambda place: self._right(place, of_same_name),
            "sealed by another key": lambda place: self._right(place, Keyring.generate()),
            **{
                f"{name} changed to {value!r}": partial(self._changed, **{name: value})
                for name, value in self._fields()
            },
            **{f"moved from another {name}": partial(self._moved, **{name: value}) for name, value in moved.items()},
        }

    def _fields(self) -> Iterator[tuple[str, Any]]:
        ours = {"codec_id": self._codec_id, "seal": 12 if self._options["seal"] == "encrypt" else 3}
        fields = {
            "codec_id": ["json", "pickle", "", "own"],
            "key_id": [b"", b"other"],
            "nonce": [b"\1" * 12],
            "version": [0, 2],
            "seal": [0, 3, 7, 12],
            "compression": [0 if self._options.get("compress") else 1, 2],
        }
        for name, values in fields.items():
            yield from ((name, value) for value in values if value != ours.get(name))

    def _flipped_bits(self) -> Iterator[tuple[str, bytes]]:
        """Return one row for each bit of a record: that bit flipped."""
        name = "bit {:06} flipped"
        for bit in range(8 * len(self._right(self._place(name.format(0))))):
            flipped = bytearray(self._right(self._place(name.format(bit))))
            flipped[bit // 8] ^= 1 << bit % 8
            yield name.format(bit), bytes(flipped)

    @property
    def _codec_id(self) -> str:
        return str(self._options.get("codec", "pickle"))

    def _codec_with(self, keys: Keyring) -> Any:
        return record_codec(Settings(**{**self._options, "keys": keys}))

    def _place(self, name: str) -> Place:
        return (self._kind, SESSION, name, AT)

    def _right(self, place: Place, keys: Keyring | None = None) -> bytes:
        """Return a record as the store itself writes it, or would with other keys."""
        sealing = self._sealing if keys is None else self._codec_with(keys)
        value = Marking(self._mark) if self._codec_id == "pickle" else "planted"
        record: bytes = sealing.encode(place, [value, self._text])
        return record

    def _unsealed(self, place: Place) -> bytes:
        return record_codec(Settings(**{**self._options, "seal": None})).encode(place, ["old"])

    def _moved(self, place: Place, **elsewhere: Any) -> bytes:
        fields = dict(zip(("kind", "session_id", "step_name", "created_at"), place, strict=True))
        return self._right(tuple({**fields, **elsewhere}.values()))

    def _changed(self, place: Place, **fields: Any) -> bytes:
        record = self._right(place)
        tail = Tail.read(record[-FOOTER_BYTES + CHECKSUM_BYTES :])
        return record[: -FOOTER_BYTES + CHECKSUM_BYTES] + tail._replace(**fields).pack()


def _with_footer(payload: bytes, tail: Tail) -> bytes:
    return payload + checksum(payload, tail.pack()) + tail.pack()


def _without_mark(record: bytes) -> bytes:
    return record[:-FOOTER_BYTES] + bytes(CHECKSUM_BYTES) + record[-FOOTER_BYTES + CHECKSUM_BYTES :]
