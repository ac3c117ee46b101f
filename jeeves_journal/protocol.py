"""The contracts: what a journal store is, and what it promises.

``JournalStore`` is all that a runtime needs. The protocols beyond it add to it and change nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from jeeves_journal.records import JournalEntry, StepsAhead
from jeeves_journal.tracebacks import without_locals

if TYPE_CHECKING:
    from abc import ABCMeta as _ProtocolMeta
    from typing import Unpack

    from jeeves_journal.options import StoreOptions
    from jeeves_journal.stores.memory import InMemoryJournalStore
    from jeeves_journal.stores.sql import SQLAlchemyJournalStore
else:
    _ProtocolMeta = type(Protocol)


class _OpenedByURL(_ProtocolMeta):
    """Gives the protocols ``from_url`` without making it a member that a third party's store would need."""

    @without_locals
    def from_url(cls, url: str, **options: Unpack[StoreOptions]) -> InMemoryJournalStore | SQLAlchemyJournalStore:
        """Return the store that a URL names. No I/O happens before the store is first used.

        Args:
            url: ``memory://``, ``sqlite:///path``, ``sqlite+aiosqlite:///:memory:``, ``postgresql://...`` or
                ``postgres://...``. Options may also stand in its query part.
            **options: See ``StoreOptions``. They win over the URL's.

        Raises:
            ConfigurationError: The scheme or an option is unknown, or the driver is not installed.
        """
        from jeeves_journal.factory import from_url

        return from_url(url, **options)

    def __dir__(cls) -> list[str]:
        return sorted({*super().__dir__(), "from_url"})


@runtime_checkable
class JournalStore(Protocol, metaclass=_OpenedByURL):
    """Keeps the results of steps under ``(session_id, step_name)``.

    Keys are non-empty ``str`` without NUL, at most 1,000 bytes of UTF-8 each, and compared byte by byte. Steps and
    streams are kept apart: one of each may have the same key.

    Every method raises ``InvalidKeyError`` before any I/O, ``StoreUnavailableError`` when the database is down, locked,
    full or did not answer within the store's timeout (whether a put was recorded is then unknown, as it is when a put
    is cancelled; putting again is always right), ``SchemaError`` when the tables are missing or of another major
    revision, and ``StoreClosedError`` after ``aclose``.
    """

    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None:
        """Return what was recorded last under this key, or ``None``.

        The entry's value is a new object each time.

        Raises:
            DecodeError: The record cannot be read here; ``IntegrityError`` if its bytes are not those written.
        """
        ...

    async def put_step(self, session_id: str, step_name: str, value: Any) -> None:
        """Record a step's result, over an earlier one; return once it is durable.

        What happens to ``value`` after the call has no effect on the record.

        Raises:
            EncodeError: The value cannot be recorded: it has no encoding, is too large, or would not decode again.
        """
        ...

    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None:
        """Return the chunks that were recorded last under this key, or ``None``.

        Raises:
            DecodeError: As for ``get_step``.
        """
        ...

    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None:
        """Record a stream's chunks as one record; otherwise as ``put_step``.

        Raises:
            EncodeError: As for ``put_step``.
        """
        ...

    async def aclose(self) -> None:
        """Wait for the calls in flight and give back what the store holds. Closing again does nothing."""
        ...


@runtime_checkable
class ManagedJournalStore(JournalStore, Protocol):
    """A store that closes itself at the end of ``async with`` and reads a session at once."""

    async def __aenter__(self) -> Self:
        """Return the store. No I/O happens."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store."""
        ...

    async def get_steps(self, session_id: str) -> dict[str, JournalEntry]:
        """Return a session's steps by name, in recorded order: by ``(created_at, step_name)``.

        An unknown session has none. Streams are not among them.

        Raises:
            DecodeError: One of the records cannot be read here.
        """
        ...


@runtime_checkable
class ReadAheadStore(Protocol):
    """A store that lends a session's records undecoded, so that a replay pays one query and decodes what it uses."""

    async def read_ahead(self, session_id: str, max_bytes: int) -> StepsAhead[Any]:
        """Return as many of a session's first steps as fit a bound, in any order.

        Args:
            session_id: Whose steps.
            max_bytes: Encoded size in bytes at which to stop; steps recorded later are left out.
        """
        ...
