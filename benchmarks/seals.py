"""What a seal adds to encoding and decoding, and what compression saves, without any database."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

from jeeves_journal import Keyring
from jeeves_journal.codecs import RecordCodec, record_codec
from jeeves_journal.options import Settings

_PLACE: Final = ("step", "run-2026-11-25", "fetch-prices", 1.5)
_SIZES: Final = {"1 KB": 1024, "1 MB": 1024 * 1024}


def seal_costs(rounds: int) -> dict[str, float]:
    """Return the seconds that a seal adds to one put or get, by what was measured."""
    keys = Keyring.generate()
    plain = record_codec(Settings())
    costs: dict[str, float] = {}
    for seal in ("sign", "encrypt"):
        sealed = record_codec(Settings(keys=keys, seal=seal))
        for name, size in _SIZES.items():
            value = os.urandom(size)
            calls = 2_000_000 // size + 5
            costs[f"{seal} at put, {name}"] = _added(
                lambda codec, value=value: codec.encode(_PLACE, value), plain, sealed, calls, rounds
            )
            records = {codec: codec.encode(_PLACE, value) for codec in (plain, sealed)}
            costs[f"{seal} at get, {name}"] = _added(
                lambda codec, records=records: codec.decode(_PLACE, records[codec]), plain, sealed, calls, rounds
            )
    return costs


def compression(rounds: int) -> tuple[float, float]:
    """Return how many times smaller zstd makes a tool's result of 100 KB, and the seconds that it takes."""
    shuffled = random.Random(7)
    rows = [
        {
            "id": number,
            "name": shuffled.choice(["flight", "train", "hotel"]),
            "price": round(shuffled.uniform(9, 999), 2),
        }
        for number in range(2_000)
    ]
    text = json.dumps({"rows": rows})[:100_000]
    plain, compressing = record_codec(Settings()), record_codec(Settings(compress="zstd"))
    seconds = _added(lambda codec: codec.encode(_PLACE, text), plain, compressing, 20, rounds)
    return len(plain.encode(_PLACE, text)) / len(compressing.encode(_PLACE, text)), seconds


def _added(
    call: Callable[[RecordCodec], Any], plain: RecordCodec, other: RecordCodec, calls: int, rounds: int
) -> float:
    """Return how many seconds more a call takes with the other codec: the median over rounds that take turns."""
    return median(_seconds(call, other, calls) - _seconds(call, plain, calls) for _ in range(rounds))


def _seconds(call: Callable[[RecordCodec], Any], codec: RecordCodec, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call(codec)
    return (time.perf_counter() - started) / calls
