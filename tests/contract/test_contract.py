"""Our own stores, and one that knows nothing of us, keep the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import (
    InMemoryJournalStore,
    JournalEntry,
    JournalStore,
    Keyring,
    OperableJournalStore,
    StoreClosedError,
)
from jeeves_journal.codecs import RecordCodec
from jeeves_journal.keys import check_keys
from jeeves_journal.stores.clock import timestamp
from jeeves_journal.testing import JournalStoreContract, OperableJournalStoreContract
from tests.servers.postgres import ExternalPostgres, PostgresServer, fresh_database


class StructuralStore:
    """A third party's store: the five methods, and no base class of ours."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, str], tuple[bytes, float]] = {}
        self.codec = RecordCodec(max_value_bytes=100_000_000)
        self.closed = False

    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None:
        record = self.find("step", session_id, step_name)
        return record and self.codec.decode_entry(("step", session_id, step_name, record[1]), record[0])

    async def put_step(self, session_id: str, step_name: str, value: Any) -> None:
        self.admit(session_id, step_name)
        place = ("step", session_id, step_name, created_at := timestamp())
        self.records["step", session_id, step_name] = self.codec.encode(place, value), created_at

    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None:
        record = self.find("stream", session_id, step_name)
        return record and self.codec.decode_chunks(("stream", session_id, step_name, record[1]), record[0])

    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None:
        self.admit(session_id, step_name)
        place = ("stream", session_id, step_name, created_at := timestamp())
        self.records["stream", session_id, step_name] = self.codec.encode_chunks(place, chunks), created_at

    async def aclose(self) -> None:
        self.closed = True

    def admit(self, session_id: str, step_name: str) -> None:
        check_keys(session_id, step_name)
        if self.closed:
            raise StoreClosedError("the store is closed")

    def find(self, kind: str, session_id: str, step_name: str) -> tuple[bytes, float] | None:
        self.admit(session_id, step_name)
        return self.records.get((kind, session_id, step_name))


class TestStructuralStore(JournalStoreContract):
    @pytest.fixture
    def store(self) -> JournalStore:
        return StructuralStore()


class TestInMemory(OperableJournalStoreContract):
    @pytest.fixture
    def store(self) -> OperableJournalStore:
        return InMemoryJournalStore()


class TestInMemoryOnTrio(TestInMemory):
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "trio"


class TestSqliteFile(OperableJournalStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[OperableJournalStore]:
        store = JournalStore.from_url(f"sqlite+aiosqlite:///{tmp_path}/journal.db")
        yield store
        await store.aclose()


class TestSqliteInMemory(OperableJournalStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[OperableJournalStore]:
        store = JournalStore.from_url("sqlite+aiosqlite:///:memory:")
        yield store
        await store.aclose()


@pytest.fixture(scope="class")
def shared_postgres_url(postgres_server: PostgresServer | ExternalPostgres, migrated_template: str) -> Iterator[str]:
    """A database for all tests of a class, as the contract lets them share one."""
    with fresh_database(postgres_server, template=migrated_template) as url:
        yield url


class TestPostgres(OperableJournalStoreContract):
    @pytest.fixture
    async def store(self, shared_postgres_url: str) -> AsyncIterator[OperableJournalStore]:
        store = JournalStore.from_url(shared_postgres_url)
        yield store
        await store.aclose()


class TestSignedPostgres(OperableJournalStoreContract):
    @pytest.fixture
    async def store(self, shared_postgres_url: str) -> AsyncIterator[OperableJournalStore]:
        store = JournalStore.from_url(shared_postgres_url, keys=Keyring.generate())
        yield store
        await store.aclose()


class TestEncryptedAndCompressedSqliteFile(OperableJournalStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[OperableJournalStore]:
        url = f"sqlite:///{tmp_path}/journal.db"
        store = JournalStore.from_url(url, keys=Keyring.generate(), seal="encrypt", compress="zstd", compress_over=0)
        yield store
        await store.aclose()


class TestEncryptedInMemory(OperableJournalStoreContract):
    @pytest.fixture
    def store(self) -> OperableJournalStore:
        return InMemoryJournalStore(keys=Keyring.generate(), seal="encrypt")
