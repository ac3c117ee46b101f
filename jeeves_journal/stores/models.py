"""The two tables, as declarative models.

They are JeevesAgent's tables, so that its databases open as they are. Use the models to query a journal with your own
SQLAlchemy session; ``value`` and ``chunks`` hold encoded bytes.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import DDL, REAL, Double, Index, LargeBinary, MetaData, Text, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

NAMING_CONVENTION: Final = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    # As Postgres named JeevesAgent's.
    "pk": "%(table_name)s_pkey",
}

VERSION_TABLE: Final = "journal_alembic_version"
"""Alembic's own, apart from that of an application in the same database."""

metadata = MetaData(naming_convention=NAMING_CONVENTION)

# "C" orders and compares by bytes, as SQLite does, and no upgrade of the operating system's collations can break it.
KEY_TYPE: Final[TypeEngine[str]] = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
TIME_TYPE: Final[TypeEngine[float]] = Double[float]().with_variant(REAL(), "sqlite")


def _by_time() -> Index:
    """Return the index by which the latest sessions are listed and old ones are pruned.

    Time leads it, so that new records go to its end: one that leads with the session costs a put five times as much.
    """
    return Index(None, "created_at", "session_id")


class Base(DeclarativeBase):
    """The declarative base of the journal's tables."""

    metadata = metadata


class StepRecord(Base):
    """One recorded step."""

    __tablename__ = "journal_steps"
    __table_args__ = (_by_time(),)

    session_id: Mapped[str] = mapped_column(KEY_TYPE, primary_key=True)
    step_name: Mapped[str] = mapped_column(KEY_TYPE, primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[float] = mapped_column(TIME_TYPE)
    """Seconds since the epoch, UTC."""


class StreamRecord(Base):
    """One recorded stream."""

    __tablename__ = "journal_streams"
    __table_args__ = (_by_time(),)

    session_id: Mapped[str] = mapped_column(KEY_TYPE, primary_key=True)
    step_name: Mapped[str] = mapped_column(KEY_TYPE, primary_key=True)
    chunks: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[float] = mapped_column(TIME_TYPE)
    """Seconds since the epoch, UTC."""


KEEP_INLINE: Final = DDL("ALTER TABLE %(fullname)s SET (toast_tuple_target = 8160)")  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
"""Keeps values of up to 8 KB in their rows as they are: to compress them takes longer than to write them.

SQLAlchemy knows an option of a table only since 2.1, as ``postgresql_with``.
"""

for _table in metadata.sorted_tables:
    event.listen(_table, "after_create", KEEP_INLINE.execute_if(dialect="postgresql"))
