"""What Postgres knows of transactions: how one makes several changes at once, and what became of an earlier one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Delete, Insert, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

# "jeeves" as a number: it seeds the hash, so that no other application's lock is likely to be the same.
_SEED: Final = 0x6A6565766573

_LOCK_SESSION: Final = text(f"SELECT pg_advisory_xact_lock(hashtextextended(:session_id, {_SEED}))")

# Under the names that every version since 10 has.
_XID: Final = text("SELECT txid_current()")
# One that the server has not given out yet is not known to a standby that was promoted without it, and an error.
_STATUS: Final = text(
    "SELECT CASE WHEN CAST(:xid AS bigint) < txid_snapshot_xmax(txid_current_snapshot()) "
    "THEN txid_status(CAST(:xid AS bigint)) END"
)

# Seconds.
_BETWEEN_LOOKS: Final = 0.01


async def change_together(connection: AsyncConnection, changes: Sequence[Delete | Insert]) -> list[int]:
    """Make changes in one statement, and return how many rows each was made to.

    https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING
    """
    made = [
        change.returning(change.table.c.session_id).cte(f"change_{number}") for number, change in enumerate(changes)
    ]
    counts = select(*(select(func.count()).select_from(each).scalar_subquery() for each in made))
    return list((await connection.execute(counts)).one())


async def lock_session(connection: AsyncConnection, session_id: str) -> None:
    """Wait until no other transaction has this lock, and keep it until the transaction ends."""
    await connection.execute(_LOCK_SESSION, {"session_id": session_id})


async def xid(connection: AsyncConnection) -> int:
    """Return the transaction's id."""
    return int((await connection.execute(_XID)).scalar_one())


async def was_committed(connection: AsyncConnection, earlier: int) -> bool:
    """Return whether an earlier transaction was committed.

    The server may still be at it, or not know yet that its client has gone.
    """
    while (status := await connection.scalar(_STATUS, {"xid": earlier})) == "in progress":
        await asyncio.sleep(_BETWEEN_LOOKS)
    return bool(status == "committed")
