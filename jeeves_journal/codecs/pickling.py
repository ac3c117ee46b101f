"""The pickle codec, and the plain pickles that JeevesAgent wrote."""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, Final, cast

# The highest protocol of Python 3.11, the oldest that JeevesAgent runs on.
PROTOCOL: Final = 5


class PickleCodec:
    """Records any value that pickles. Whoever can write to the database can run code in whoever reads it."""

    id = "pickle"

    def dumps(self, value: Any) -> bytes:
        """Return the value's pickle."""
        return pickle.dumps(value, protocol=PROTOCOL)

    def loads(self, payload: bytes | memoryview) -> Any:
        """Return the value of a pickle."""
        return pickle.loads(payload)


_PLAIN: Final = frozenset({str, bytes, int, float, bool, type(None)})

# Of the opcodes that a pickler writes by PROTOCOL, these may fail at loading: those that import a name, those that make
# an instance of what was imported, and the one that makes a bytearray, which it does also of a PickleBuffer that is the
# key of a dict.
_MAY_FAIL: Final = b"".join((
    pickle.STACK_GLOBAL, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.BYTEARRAY8
))  # fmt: skip


def surely_loads(value: object, payload: bytes) -> bool:
    """Return whether a value's pickle, written by ``PROTOCOL``, loads again whatever it is, so that nobody has to try.

    It does where none of the opcodes is in it that may fail. Their bytes may stand for something else, a letter that is
    not ASCII for one; what is plain by its types loads all the same.
    """
    kind = type(value)
    if kind in _PLAIN or not any(map(payload.__contains__, _MAY_FAIL)):
        return True
    return kind is list and _PLAIN.issuperset(map(type, cast("list[object]", value)))


def ends_like_a_pickle(data: bytes) -> bool:
    """Return whether the last byte is pickle's STOP, as it is in every row that JeevesAgent wrote."""
    return data.endswith(pickle.STOP)


def load_whole_pickle(data: bytes) -> tuple[Any, bool]:
    """Return the value of a plain pickle, and whether the pickle reaches to the last byte."""
    stream = io.BytesIO(data)
    value = pickle.Unpickler(stream).load()
    return value, stream.tell() == len(data)


def is_whole_pickle(data: bytes) -> bool:
    """Return whether these bytes are one plain pickle and nothing else. Nothing is unpickled for it.

    Raises:
        Exception: They are no pickle.
    """
    *_, (_, _, stop) = pickletools.genops(data)
    return stop is not None and stop + 1 == len(data)
