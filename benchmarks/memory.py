"""How much a process grows that puts value after value: ``python -m benchmarks.memory URL COUNT``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

from jeeves_journal import JournalStore

_CALLERS: Final = 64


def resident_bytes() -> int:
    """Return the memory of this process that is resident, in bytes; Linux only."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kilobytes) * 1024


async def growth(url: str, count: int) -> tuple[int, int]:
    """Put ``count`` values of 1 KB; return the resident bytes after a tenth of them and after all."""
    async with JournalStore.from_url(url, create_tables=True) as store:

        async def put(first: int, last: int) -> None:
            for number in range(first, last, _CALLERS):
                await store.put_step(f"session-{number // 100}", f"step-{number % 100}", bytes(1024))

        await asyncio.gather(*(put(caller, count // 10) for caller in range(_CALLERS)))
        early = resident_bytes()
        await asyncio.gather(*(put(count // 10 + caller, count) for caller in range(_CALLERS)))
        return early, resident_bytes()


if __name__ == "__main__":
    print(*asyncio.run(growth(sys.argv[1], int(sys.argv[2]))))
