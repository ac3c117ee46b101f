"""What the errors of both databases have in common."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import PendingRollbackError, SQLAlchemyError

from jeeves_journal.errors import SchemaError, StoreError

MISSING_TABLES: Final = (
    "create them with `alembic upgrade head`, `jeeves-journal db upgrade`, `await store.init_schema()` "
    "or create_tables=True"
)

OTHER_TABLES: Final = "compare them with `jeeves-journal db sql`; they may belong to another application"


def driver_error(error: BaseException) -> BaseException:
    """Return the error of the driver itself under SQLAlchemy's wrappings."""
    while True:
        inner = getattr(error, "orig", None) if isinstance(error, SQLAlchemyError) else None
        if isinstance(error, PendingRollbackError):
            # It hides what was under way when the connection was lost: Alembic commits after an error too.
            inner = error.__context__
        elif inner is None and type(error).__module__.startswith("sqlalchemy."):
            inner = error.__cause__
        if not isinstance(inner, BaseException):
            return error
        error = inner


def unforeseen(error: BaseException) -> StoreError:
    """Return the error for what no rule knows. It names the type only: a driver's message may quote a value."""
    return StoreError(f"the database call failed with {type(error).__name__}", "see the error's __cause__")


def missing_tables(where: str) -> SchemaError:
    """Return the error for a database without the journal's tables."""
    return SchemaError(f"{where}: the journal's tables are missing", MISSING_TABLES)
