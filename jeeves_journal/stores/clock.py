"""The clock that gives records their order."""

from __future__ import annotations

import math
import threading
import time

_lock = threading.Lock()
_latest = 0.0


def timestamp() -> float:
    """Return the time in seconds since the epoch, UTC, later than every one that this process was given before.

    Two calls within the system clock's resolution, or a clock that was set back, would otherwise leave a session's
    steps without their order. Threads share the guarantee, processes do not.
    """
    global _latest
    with _lock:
        now = time.time()
        _latest = now if now > _latest else math.nextafter(_latest, math.inf)
        return _latest
