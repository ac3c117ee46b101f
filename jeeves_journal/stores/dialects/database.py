"""What a store needs of a database, whichever it is."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy import ColumnElement, Delete, Insert
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from jeeves_journal.errors import JournalError, StoreUnavailableError
from jeeves_journal.options import Settings
from jeeves_journal.records import Finding, Kind
from jeeves_journal.stores.dialects.errors import driver_error
from jeeves_journal.stores.dialects.rows import Key, Row, SchemaState, SessionRow, Size, Stored, Transaction


class Database(ABC):
    """One database, opened in one event loop at a time.

    Every method but the constructor and ``describe`` may raise what its driver raises; ``translate`` makes it ours.
    """

    reopens: bool = True
    """Whether it may be opened again in another event loop. A caller's engine belongs to its own."""
    reads_at_once: int = 1
    """How many batches of reads it works on at once without making one wait for another."""
    splits_reads: bool = True
    """Whether reads that wait are split among these."""
    writes_at_once: int = 1
    """How many batches of writes, likewise."""
    creates_tables: bool = False
    """Whether first use creates or upgrades the tables unless an option says otherwise."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; no I/O."""
        self.settings = settings
        self.is_ready = False
        """Whether it is open here and its schema was looked at. Set by who opened it."""
        self.is_upgrading = False
        """Whether its schema is being changed from here, for which callers may wait in vain."""
        self.only_looks = False
        """Whether nothing may be created, converted or upgraded by opening it. Set by who made it."""

    @abstractmethod
    def describe(self) -> str:
        """Return what the store's repr shows: never a password."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether ``open`` was called, and ``close`` not since."""

    @property
    def may_create(self) -> bool:
        """Whether first use may create or upgrade the tables."""
        asked = self.settings.create_tables
        return not self.only_looks and (self.creates_tables if asked is None else asked)

    @abstractmethod
    async def open(self, *, create: bool) -> None:
        """Get ready to connect.

        Args:
            create: Whether a file that is not there is made.

        Raises:
            SchemaError: It is not there, and must not be made.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close every connection that is the store's own. ``open`` may follow."""

    @abstractmethod
    def abandon(self) -> None:
        """Forget the connections of an event loop that was closed under them. ``open`` may follow."""

    @abstractmethod
    async def finish(self) -> None:
        """Give back what outlives an event loop. ``open`` must not follow."""

    @abstractmethod
    async def write(self, rows: Sequence[Row], deadline: float) -> None:
        """Commit these rows, each over an earlier one with its key, and return once they are durable.

        Args:
            rows: The last one of a key counts.
            deadline: When the caller gives up, in the event loop's time. Nothing may be written after it, whatever
                becomes of the connection: it would overwrite what is put next.
        """

    @abstractmethod
    async def read(self, keys: Sequence[Key]) -> list[Stored | None]:
        """Return what is recorded under each key."""

    @abstractmethod
    async def read_session(self, session_id: str, max_bytes: int | None) -> list[SessionRow]:
        """Return a session's steps in recorded order, or in any order as many of the first as fit the byte bound."""

    @abstractmethod
    async def schema_state(self) -> SchemaState:
        """Look into the catalogue."""

    @abstractmethod
    async def examine(self) -> list[Finding]:
        """Return whether what makes records durable is as it should be, and the clock."""

    @abstractmethod
    def looking(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection on one snapshot, which nobody waits for, to read what is not hot."""

    def by_bytes(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Return a key's column so that it is ordered and compared byte by byte."""
        return column

    def beside_index(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Return a key's column for what is only a filter where rows are found by another index."""
        return column

    async def has_keys_by_bytes(self, connection: AsyncConnection) -> bool:
        """Return whether the primary keys are ordered byte by byte too, so that they help to do so."""
        return True

    @abstractmethod
    async def estimated_size(self, connection: AsyncConnection, kind: Kind) -> Size:
        """Estimate, without reading all of it, how much the table of a kind holds, which is not little."""

    @abstractmethod
    def operating(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection in a durable transaction of its own, which is committed at the end, for what is not hot."""

    @abstractmethod
    async def together(self, connection: AsyncConnection, changes: Sequence[Delete | Insert]) -> list[int]:
        """Change tables on one snapshot, and return how many rows each change was made to.

        What somebody else commits meanwhile is seen by all of the changes or by none.
        """

    @abstractmethod
    async def lock_session(self, connection: AsyncConnection, session_id: str) -> None:
        """Keep others who ask for the same out until the transaction ends. Puts do not ask."""

    @abstractmethod
    async def transaction_of(self, connection: AsyncConnection) -> Transaction | None:
        """Return what ``was_committed`` knows the transaction by; None where the answer to a commit cannot be lost."""

    @abstractmethod
    async def was_committed(self, connection: AsyncConnection, transaction: Transaction) -> bool:
        """Return whether an earlier transaction was committed, once it has ended.

        Raises:
            StoreUnavailableError: The database is another one by now, which cannot know.
        """

    @abstractmethod
    def migrating(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection on which Alembic may work, under a lock that keeps every other upgrade out."""

    @abstractmethod
    def explain(self, error: BaseException) -> JournalError:
        """Return our error for a driver's."""

    @abstractmethod
    def is_passing(self, error: BaseException) -> bool:
        """Return whether the same call is likely to succeed at once: a lost connection, a deadlock."""

    def translate(self, error: BaseException) -> JournalError:
        """Return our error for whatever was raised, with the precise one as its cause."""
        if isinstance(error, JournalError):
            return error
        if isinstance(error, PoolTimeoutError):
            translated: JournalError = StoreUnavailableError(
                f"{self.describe()}: every connection of the engine's pool is in use", "try again, or enlarge the pool"
            )
        elif isinstance(error, TimeoutError) and self.is_upgrading:
            what = f"{self.describe()}: the journal's tables are being upgraded, for longer than this call may take"
            translated = StoreUnavailableError(what, "try again when it is done")
        elif isinstance(error, TimeoutError):
            translated = StoreUnavailableError(
                f"the database did not answer within {self.settings.timeout:g} s", "try again, or raise timeout"
            )
        else:
            translated = self.explain(driver_error(error))
        translated.__cause__ = error
        return translated

    @asynccontextmanager
    async def translating(self) -> AsyncGenerator[None]:
        """Turn what a driver raises inside into our errors."""
        try:
            yield
        except (JournalError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise self.translate(error) from error
