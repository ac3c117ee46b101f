"""One transaction for one operation, however often the connection is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.stores.dialects import Database, Transaction
from jeeves_journal.stores.lanes import Lanes

T = TypeVar("T")


async def in_one_transaction(lanes: Lanes, database: Database, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do work in a transaction, and return what it returned in the one that was committed.

    Whoever loses the connection at the commit does not know whether it happened, and asks before doing it again: what
    was deleted would not be found again, and what was recorded since would be deleted too.
    """
    ended = list[tuple[Transaction, T]]()

    async def attempt() -> T:
        async with database.operating() as connection:
            for transaction, result in ended:
                if await database.was_committed(connection, transaction):
                    return result
            # Asked before anything is locked.
            own = await database.transaction_of(connection)
            result = await work(connection)
            if own is not None:
                ended.append((own, result))
        return result

    return await lanes.attempt(attempt)
