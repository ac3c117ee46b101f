"""A database with its connections, while it is open."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic

from jeeves_journal.errors import StoreClosedError
from jeeves_journal.options import Settings
from jeeves_journal.stores.dialects.connections import Connections, Driver
from jeeves_journal.stores.dialects.database import Database


class ConnectedDatabase(Database, Generic[Driver]):
    """A database with its connections, while it is open."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._connections: Connections[Driver] | None = None

    @property
    def connections(self) -> Connections[Driver]:
        """Where connections come from.

        Raises:
            StoreClosedError: The database is not open.
        """
        if self._connections is None:
            raise StoreClosedError("the database was closed during the call", "make the call again")
        return self._connections

    @property
    def is_open(self) -> bool:
        return self._connections is not None

    async def open(self, *, create: bool) -> None:
        self._connections = await self._connect(create=create)

    async def close(self) -> None:
        self.is_ready = False
        connections, self._connections = self._connections, None
        if connections is None:
            return
        try:
            await connections.close()
        except BaseException:
            # The end of an event loop interrupts every task in it, this one and those that it waits for.
            self._abandon(connections)
            raise

    def abandon(self) -> None:
        self.is_ready = False
        connections, self._connections = self._connections, None
        if connections is not None:
            self._abandon(connections)

    async def finish(self) -> None:
        """Do nothing: connections do not outlive an event loop."""

    @abstractmethod
    async def _connect(self, *, create: bool) -> Connections[Driver]:
        """Return where connections come from; see ``open``."""

    def _abandon(self, connections: Connections[Driver]) -> None:
        for driver in connections.forget():
            self._abandon_driver(driver)

    def _abandon_driver(self, driver: Driver) -> None:
        """Let go of a connection whose event loop is gone."""
