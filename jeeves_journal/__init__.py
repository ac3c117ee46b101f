"""Jeeves Journal: the durable step journal for async Python.

A run records the result of every side effect under ``(session_id, step_name)``; when its process dies, a restarted run
replays what is recorded and does only what is left.

Names are imported when they are first used, so that importing this package loads neither SQLAlchemy nor Alembic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jeeves_journal.bundles import Exported, Imported, export_bundle, import_bundle
    from jeeves_journal.codecs import Codec, JSONCodec, Keyring
    from jeeves_journal.errors import (
        AlreadyRecordedError,
        BundleError,
        CodecError,
        ConfigurationError,
        DecodeError,
        EncodeError,
        IntegrityError,
        InvalidKeyError,
        JournalError,
        NotRecordedError,
        SchemaError,
        StoreClosedError,
        StoreError,
        StoreUnavailableError,
    )
    from jeeves_journal.migrations import include_name
    from jeeves_journal.named_runtimes import PostgresRuntime, SqliteRuntime
    from jeeves_journal.operable import OperableJournalStore
    from jeeves_journal.options import StoreOptions
    from jeeves_journal.protocol import JournalStore, ManagedJournalStore
    from jeeves_journal.records import (
        JournalEntry,
        KindUsage,
        Pruned,
        Resealed,
        SessionSummary,
        StepSummary,
        StoredRecord,
        Usage,
    )
    from jeeves_journal.runtime import JournaledRuntime
    from jeeves_journal.sessions import JournaledSession
    from jeeves_journal.stores.memory import InMemoryJournalStore
    from jeeves_journal.stores.models import StepRecord, StreamRecord, metadata
    from jeeves_journal.stores.named import PostgresJournalStore, SqliteJournalStore
    from jeeves_journal.stores.sql import SQLAlchemyJournalStore

__all__ = [
    "AlreadyRecordedError",
    "BundleError",
    "Codec",
    "CodecError",
    "ConfigurationError",
    "DecodeError",
    "EncodeError",
    "Exported",
    "Imported",
    "InMemoryJournalStore",
    "IntegrityError",
    "InvalidKeyError",
    "JSONCodec",
    "JournalEntry",
    "JournalError",
    "JournalStore",
    "JournaledRuntime",
    "JournaledSession",
    "Keyring",
    "KindUsage",
    "ManagedJournalStore",
    "NotRecordedError",
    "OperableJournalStore",
    "PostgresJournalStore",
    "PostgresRuntime",
    "Pruned",
    "Resealed",
    "SQLAlchemyJournalStore",
    "SchemaError",
    "SessionSummary",
    "SqliteJournalStore",
    "SqliteRuntime",
    "StepRecord",
    "StepSummary",
    "StoreClosedError",
    "StoreError",
    "StoreOptions",
    "StoreUnavailableError",
    "StoredRecord",
    "StreamRecord",
    "Usage",
    "export_bundle",
    "import_bundle",
    "include_name",
    "metadata",
]

_ROOMS = {
    "bundles": "Exported Imported export_bundle import_bundle",
    "codecs": "Codec JSONCodec Keyring",
    "errors": (
        "AlreadyRecordedError BundleError CodecError ConfigurationError DecodeError EncodeError IntegrityError "
        "InvalidKeyError JournalError NotRecordedError SchemaError StoreClosedError StoreError StoreUnavailableError"
    ),
    "migrations": "include_name",
    "named_runtimes": "PostgresRuntime SqliteRuntime",
    "operable": "OperableJournalStore",
    "options": "StoreOptions",
    "protocol": "JournalStore ManagedJournalStore",
    "records": "JournalEntry KindUsage Pruned Resealed SessionSummary StepSummary StoredRecord Usage",
    "runtime": "JournaledRuntime",
    "sessions": "JournaledSession",
    "stores.memory": "InMemoryJournalStore",
    "stores.models": "StepRecord StreamRecord metadata",
    "stores.named": "PostgresJournalStore SqliteJournalStore",
    "stores.sql": "SQLAlchemyJournalStore",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{room}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
