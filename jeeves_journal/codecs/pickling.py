"""The pickle codec, and the plain pickles that JeevesAgent wrote."""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, Final

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

_STACK_GLOBAL: Final = pickle.STACK_GLOBAL[0]
_EXT1: Final = pickle.EXT1[0]
_EXT2: Final = pickle.EXT2[0]
_EXT4: Final = pickle.EXT4[0]


def surely_loads(value: object, payload: bytes) -> bool:
    """Return whether a value's pickle, of ``PROTOCOL``, loads again whatever it is, so that nobody has to try.

    It does where it names nothing to import, for which there are these four opcodes: all others make values of built-in
    types. The same byte may stand for something else, and then this says no.
    """
    if type(value) in _PLAIN:
        return True
    # One by one: it takes a hundredth of the time that the pickle took.
    return not (_STACK_GLOBAL in payload or _EXT1 in payload or _EXT2 in payload or _EXT4 in payload)


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
