"""From a URL to a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack, cast
from urllib.parse import parse_qsl

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import StoreOptions

if TYPE_CHECKING:
    from jeeves_journal.stores.memory import InMemoryJournalStore
    from jeeves_journal.stores.sql import SQLAlchemyJournalStore


def from_url(url: str, **options: Unpack[StoreOptions]) -> InMemoryJournalStore | SQLAlchemyJournalStore:
    """Return the store that a URL names; see ``JournalStore.from_url``."""
    return _store(url, options, only_looks=False)


def open_to_look(url: str, **options: Unpack[StoreOptions]) -> InMemoryJournalStore | SQLAlchemyJournalStore:
    """Return the store that a URL names, for those who only read: its use creates, converts and upgrades nothing.

    A SQLite file has to be there, and the tables in it; they may be older ones. What is wrong is an error of the first
    call. Nothing is left beside a file that was not there before, and a file in a folder where this process may write
    nothing can be read too.

    Raises:
        ConfigurationError: See ``JournalStore.from_url``.
    """
    return _store(url, options, only_looks=True)


def _store(url: str, options: StoreOptions, *, only_looks: bool) -> InMemoryJournalStore | SQLAlchemyJournalStore:
    if str(url).startswith("memory:"):
        return _memory_store(url, options)
    from jeeves_journal.stores.dialects import database_for_url
    from jeeves_journal.stores.sql import SQLAlchemyJournalStore

    database = database_for_url(url, options)
    database.only_looks = only_looks
    return SQLAlchemyJournalStore(database)


def _memory_store(url: str, options: StoreOptions) -> InMemoryJournalStore:
    from jeeves_journal.stores.memory import InMemoryJournalStore

    location, _, query = url.partition("?")
    if location not in ("memory://", "memory:///"):
        raise ConfigurationError("a memory URL has neither host nor path", "write memory://")
    return InMemoryJournalStore(**cast("StoreOptions", {**dict(parse_qsl(query, keep_blank_values=True)), **options}))
