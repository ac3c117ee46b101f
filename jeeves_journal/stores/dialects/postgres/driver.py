"""asyncpg's connections: transactions on them, and when one is of no more use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from jeeves_journal.stores.dialects.postgres.errors import (
    is_connection_loss,
    is_refused_write,
)
from jeeves_journal.stores.dialects.postgres.protocols import Driver


@asynccontextmanager
async def transaction_on(driver: Driver, begin: str = "BEGIN") -> AsyncGenerator[None]:
    """Surround statements by a transaction, which ends with the connection if it is interrupted.

    asyncpg's own says ROLLBACK then, and waits without a bound where nobody answers.
    """
    await driver.execute(begin)
    try:
        yield
    except Exception:
        with suppress(Exception):
            await driver.execute("ROLLBACK")
        raise
    await driver.execute("COMMIT")


def seconds_until(deadline: float) -> float:
    """Return how much is left until then, in the event loop's time."""
    return deadline - asyncio.get_running_loop().time()


def terminated(driver: Driver, error: BaseException) -> bool:
    """Terminate a connection of no more use; return whether it was.

    It was lost or interrupted in the middle of a statement, or leads to a server that takes no writes.
    """
    is_useless = not isinstance(error, Exception) or is_connection_loss(error) or is_refused_write(error)
    if is_useless or driver.is_closed() or driver.is_in_transaction():
        driver.terminate()
        return True
    return False
