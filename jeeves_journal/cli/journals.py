"""Opening the journal that a command names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union

from jeeves_journal.codecs import Keyring
from jeeves_journal.codecs.keyring import VARIABLE
from jeeves_journal.factory import from_url, open_to_look
from jeeves_journal.options import StoreOptions

if TYPE_CHECKING:
    from jeeves_journal.stores.memory import InMemoryJournalStore
    from jeeves_journal.stores.sql import SQLAlchemyJournalStore

T = TypeVar("T")

Store: TypeAlias = Union["InMemoryJournalStore", "SQLAlchemyJournalStore"]


@dataclass(frozen=True, repr=False)
class Journal:
    """Where a command works; no repr, since a URL may hold a password."""

    url: str
    schema: str | None

    def to_look(self) -> Store:
        """Return a store that creates, converts and upgrades nothing."""
        return open_to_look(self.url, **self.options())

    def to_change(self, sealing: StoreOptions | None = None) -> Store:
        """Return a store that changes records, and leaves the tables as they are."""
        options: StoreOptions = {"create_tables": False, **self.options(), **(sealing or {})}
        return from_url(self.url, **options)

    def to_fill(self) -> Store:
        """Return a store that also makes its tables where the library does so by default."""
        return from_url(self.url, **self.options())

    def options(self) -> StoreOptions:
        """Return what every store is opened with."""
        return {} if self.schema is None else {"schema": self.schema}


def keys_of_environment() -> Keyring | None:
    """Return the keys in JEEVES_JOURNAL_KEYS, or None where there are none.

    Raises:
        ConfigurationError: What it holds are no keys.
    """
    return Keyring.from_env() if os.environ.get(VARIABLE) else None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do a command's work in an event loop. Ctrl-C cancels it, and closes what is open."""
    return asyncio.run(work)
