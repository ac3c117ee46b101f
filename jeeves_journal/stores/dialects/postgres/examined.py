"""Whether a Postgres server is as it should be."""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.records import Finding

_SETTINGS: Final = (
    "SELECT current_setting('server_version'), current_setting('server_version_num')::integer, pg_is_in_recovery(), "
    "current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')"
)
_NOW: Final = "SELECT extract(epoch FROM clock_timestamp())::double precision"

# Seconds of difference that no order of steps suffers from: one run is rarely taken up elsewhere within them.
_MOST_SKEW: Final = 1.0
_SEES_THAT_CLIENTS_ARE_GONE: Final = 140_000
_SYNCED: Final = ("on", "remote_apply")


async def examine(connection: AsyncConnection) -> list[Finding]:
    """Return what was found in a transaction as a write has it."""
    row = (await connection.exec_driver_sql(_SETTINGS)).one()
    version, number, is_replica, fsync, full_page_writes, synchronous_commit = tuple[Any, ...](row)
    before = time.time()
    now = (await connection.exec_driver_sql(_NOW)).scalar_one()
    after = time.time()
    return [
        _server(version, number, is_replica=is_replica),
        *_durability(fsync, full_page_writes, synchronous_commit),
        clock_finding(now - (before + after) / 2, uncertain=(after - before) / 2),
    ]


def _server(version: str, number: int, *, is_replica: bool) -> Finding:
    if is_replica:
        return Finding("server", "wrong", "this is a replica, which takes no writes", "name the primary in the URL")
    if number < _SEES_THAT_CLIENTS_ARE_GONE:
        what = f"Postgres {version} does not notice that a client is gone: what a killed process put may come late"
        return Finding("server", "warning", what, "use Postgres 14 or later")
    return Finding("server", "ok", f"Postgres {version}")


def _durability(fsync: str, full_page_writes: str, synchronous_commit: str) -> list[Finding]:
    return [
        Finding("fsync", "ok", "on")
        if fsync == "on"
        else Finding("fsync", "wrong", "off: a crash damages the database", "set fsync = on in postgresql.conf"),
        Finding("full_page_writes", "ok", "on")
        if full_page_writes == "on"
        else Finding(
            "full_page_writes",
            "wrong",
            "off: a power cut may damage pages",
            "set full_page_writes = on in postgresql.conf, unless the file system writes whole pages",
        ),
        Finding("synchronous_commit", "ok", f"{synchronous_commit} for every write")
        if synchronous_commit in _SYNCED
        else Finding(
            "synchronous_commit",
            "wrong",
            f"{synchronous_commit}, though the store raises it: a crash loses records",
            "look for what sets it back, a pooler for one",
        ),
    ]


def clock_finding(skew: float, *, uncertain: float) -> Finding:
    """Return whether the server's clock is that of this machine.

    Args:
        skew: By how many seconds it is ahead.
        uncertain: By how many seconds that may be wrong, since the answer took its time.
    """
    direction = "ahead of" if skew > 0 else "behind"
    what = f"the server's is {abs(skew):.3f} s {direction} this machine's, give or take {uncertain:.3f} s"
    if abs(skew) - uncertain <= _MOST_SKEW:
        return Finding("clock", "ok", what)
    return Finding(
        "clock", "warning", what, "set both by NTP: records are ordered by the clocks of those that put them"
    )
