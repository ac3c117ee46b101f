"""Postgres on a caller's engine."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import BorrowedConnections, Connections
from jeeves_journal.stores.dialects.postgres.database import PostgresDatabase
from jeeves_journal.stores.dialects.postgres.driver import terminated
from jeeves_journal.stores.dialects.postgres.protocols import Driver


class BorrowedPostgres(PostgresDatabase):
    """Postgres on a caller's engine."""

    reopens = False

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        """Borrow the engine; its connections are taken for one batch each."""
        super().__init__(settings)
        self._engine = engine

    def describe(self) -> str:
        return f"Postgres {self._engine.url.host or ''}/{self._engine.url.database or ''} of the caller's engine"

    async def _connect(self, *, create: bool) -> Connections[Driver]:
        return BorrowedConnections(self._engine, terminated)
