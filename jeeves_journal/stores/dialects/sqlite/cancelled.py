"""What becomes of a connection to SQLite when a statement on it is cancelled."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection


@contextmanager
def left_open(connection: AsyncConnection) -> Generator[None]:
    """Keep SQLAlchemy from closing a connection when a statement on it is cancelled.

    There is nothing wrong with it: the statement ends on its thread. With the one connection of a database in memory,
    the database would be gone. And where the closing is cancelled too, as AnyIO does, a task is left that never ends.
    """
    kept = connection.sync_connection

    def keep(context: ExceptionContext) -> None:
        if context.connection is kept and not isinstance(context.original_exception, Exception):
            context.is_disconnect = False

    engine = connection.engine.sync_engine
    event.listen(engine, "handle_error", keep)
    try:
        yield
    finally:
        event.remove(engine, "handle_error", keep)
