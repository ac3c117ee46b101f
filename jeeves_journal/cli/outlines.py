"""What a pickle holds, printed within bounds."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from jeeves_journal.cli.pickles import Group, Made, Name, Pairs
from jeeves_journal.cli.text import shown

_MOST_PIECES: Final = 5_000
_MOST_CHARACTERS: Final = 10_000
_DEEPEST: Final = 20
_WIDTH: Final = 100

_BRACKETS: Final = {"list": ("[", "]"), "tuple": ("(", ")"), "set": ("{", "}"), "frozenset": ("frozenset({", "})")}
_CUT: Final = "..."

_Piece: TypeAlias = "str | tuple[str, list[_Piece], str]"


def printed(value: Any) -> str:
    """Return what an ``Outline`` found, as lines in Python's notation; ``...`` stands where it is cut."""
    return "\n".join(_lines("", _Printer().piece(value, 0), ""))


class _Printer:
    """Turns a value into pieces, each at most once on the way to another, and not too many."""

    def __init__(self) -> None:
        self._pieces = 0
        self._way: list[int] = []

    def piece(self, value: Any, depth: int) -> _Piece:
        self._pieces += 1
        if self._pieces > _MOST_PIECES or depth > _DEEPEST or id(value) in self._way:
            return _CUT
        if not isinstance(value, Group | Pairs | Made):
            return shown(value.path) if isinstance(value, Name) else _scalar(value)
        self._way.append(id(value))
        try:
            return self._compound(value, depth + 1)
        finally:
            self._way.pop()

    def _compound(self, value: Group | Pairs | Made, depth: int) -> _Piece:
        if isinstance(value, Pairs):
            return "{", self._pairs(value.items, depth), "}"
        if isinstance(value, Group):
            if not value.items and value.kind in ("set", "frozenset"):
                return f"{value.kind}()"
            opening, closing = _BRACKETS[value.kind]
            return opening, self._items(value.items, depth), ",)" if _is_single(value) else closing
        maker = self.piece(value.maker, depth)
        pieces = self._items(value.arguments, depth)
        if value.later:
            pieces.append((f"{_CUT} then ", self._items(value.later, depth), ""))
        return f"{maker if isinstance(maker, str) else _flat(maker)}(", pieces, ")"

    def _items(self, items: list[Any], depth: int) -> list[_Piece]:
        pieces = list[_Piece]()
        for item in items:
            if self._pieces > _MOST_PIECES:
                pieces.append(_CUT)
                break
            if isinstance(item, tuple):
                pieces += self._pairs([item], depth)  # pyright: ignore[reportUnknownArgumentType]  # added to an object
            else:
                pieces.append(self.piece(item, depth))
        return pieces

    def _pairs(self, pairs: list[tuple[Any, Any]], depth: int) -> list[_Piece]:
        pieces = list[_Piece]()
        for key, value in pairs:
            if self._pieces > _MOST_PIECES:
                pieces.append(_CUT)
                break
            pieces.append((f"{_flat(self.piece(key, depth))}: ", [self.piece(value, depth)], ""))
        return pieces


def _is_single(value: Group) -> bool:
    return value.kind == "tuple" and len(value.items) == 1


def _scalar(value: Any) -> str:
    if isinstance(value, str | bytes | bytearray) and len(value) > _MOST_CHARACTERS:
        unit = "characters" if isinstance(value, str) else "bytes"
        return f"{value[:_MOST_CHARACTERS]!r}{_CUT} of {len(value):,} {unit}"
    try:
        return repr(value)
    except ValueError:
        # Python refuses to print very long numbers.
        return f"a number of {int(value).bit_length():,} bits"


def _flat(piece: _Piece) -> str:
    if isinstance(piece, str):
        return piece
    opening, parts, closing = piece
    return f"{opening}{', '.join(map(_flat, parts))}{closing}"


def _lines(before: str, piece: _Piece, after: str, indent: str = "") -> list[str]:
    whole = f"{indent}{before}{_flat(piece)}{after}"
    if isinstance(piece, str) or len(whole) <= _WIDTH:
        return [whole]
    opening, parts, closing = piece
    if len(parts) == 1 and not closing:
        # A key and its value.
        return _lines(before + opening, parts[0], after, indent)
    lines = [f"{indent}{before}{opening}".rstrip()]
    for part in parts:
        lines += _lines("", part, ",", indent + "    ")
    return [*lines, f"{indent}{closing.lstrip(',')}{after}"]
