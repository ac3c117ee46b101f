"""What must type-check, and what must be rejected. Checked by mypy and pyright in their strict modes, never run.

A line that must be rejected carries an ignore for each checker. Both report an ignore that nothing needs, so that a
line which is accepted fails the check. pyright does so only if it leaves mypy's alone: enableTypeIgnoreComments.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from jeeves_journal import (
    ConfigurationError,
    InMemoryJournalStore,
    InvalidKeyError,
    JournaledRuntime,
    JournaledSession,
    JournalEntry,
    JournalStore,
    ManagedJournalStore,
    OperableJournalStore,
    PostgresJournalStore,
    PostgresRuntime,
    Pruned,
    SessionSummary,
    SQLAlchemyJournalStore,
    SqliteJournalStore,
    SqliteRuntime,
    StepRecord,
    StepSummary,
    StoredRecord,
    StoreOptions,
    StreamRecord,
    Usage,
    metadata,
)
from jeeves_journal.testing import JournalStoreContract, ManagedJournalStoreContract, OperableJournalStoreContract

# -- stores of third parties


class Theirs:
    """The five methods, and no base class."""

    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None: ...

    async def put_step(self, session_id: str, step_name: str, value: Any) -> None: ...

    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None: ...

    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None: ...

    async def aclose(self) -> None: ...


class Lacking:
    """One method is missing."""

    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None: ...

    async def put_step(self, session_id: str, step_name: str, value: Any) -> None: ...

    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None: ...

    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None: ...


class Blocking(Theirs):
    """One method is not async."""

    def get_step(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, session_id: str, step_name: str
    ) -> JournalEntry | None: ...


class Inheriting(JournalStore):
    """The protocol as a base class, with all of its methods."""

    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None:
        return None

    async def put_step(self, session_id: str, step_name: str, value: Any) -> None:
        return None

    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None:
        return None

    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None:
        return None

    async def aclose(self) -> None:
        return None


their_store: JournalStore = Theirs()
inherited_store: JournalStore = Inheriting()
lacking_store: JournalStore = Lacking()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
blocking_store: JournalStore = Blocking()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
unmanaged_store: ManagedJournalStore = Theirs()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
unoperated_store: OperableJournalStore = Theirs()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
their_runtime = JournaledRuntime(Theirs())
lacking_runtime = JournaledRuntime(Lacking())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def narrowed(candidate: object) -> JournalStore | None:
    return candidate if isinstance(candidate, JournalStore) else None


class TestTheirs(JournalStoreContract):
    def check(self, store: JournalStore) -> None:
        contracts: list[type[JournalStoreContract]] = [
            TestTheirs,
            ManagedJournalStoreContract,
            OperableJournalStoreContract,
        ]
        assert contracts


# -- our stores


def ours_are_stores(path: Path, engine: AsyncEngine, postgres: PostgresJournalStore) -> list[OperableJournalStore]:
    return [
        JournalStore.from_url("sqlite:///journal.db"),
        InMemoryJournalStore(),
        SQLAlchemyJournalStore(engine),
        SqliteJournalStore(path),
        SqliteJournalStore(str(path), timeout=5),
        postgres,
    ]


async def the_classic_names(path: Path) -> None:
    sqlite = SqliteJournalStore(path)
    assert_type(sqlite.path, Path)
    postgres = await PostgresJournalStore.connect("postgresql://host/database", min_size=1, max_size=4)
    assert_type(postgres, PostgresJournalStore)
    await postgres.init_schema()
    assert_type(PostgresJournalStore.schema_sql(), list[str])
    await PostgresJournalStore.connect("postgresql://host/database", min_size="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- from_url


async def from_url_gives_a_whole_store() -> None:
    store = JournalStore.from_url("sqlite:///journal.db", timeout=5.0, create_tables=True)
    core: JournalStore = store
    managed: ManagedJournalStore = store
    async with store as entered:
        await entered.init_schema()
        assert_type(await entered.get_steps("run-1"), dict[str, JournalEntry])
    await core.aclose()
    await managed.aclose()
    ManagedJournalStore.from_url("memory://")


def from_url_checks_its_arguments() -> None:
    options: StoreOptions = {"timeout": 5.0, "schema": "journal", "pgbouncer": True, "pool_size": 3}
    JournalStore.from_url("postgresql://host/database", **options)
    JournalStore.from_url("memory://", time_out=5.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    JournalStore.from_url("memory://", timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    JournalStore.from_url(Path("journal.db"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    InMemoryJournalStore(time_out=5.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def from_url_is_no_member_of_the_protocol(store: JournalStore) -> None:
    store.from_url("memory://")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


# -- operating


async def operating_is_typed(store: OperableJournalStore) -> None:
    page = await store.sessions("run-", order="recent", newer_than=timedelta(days=1), limit=10)
    assert_type(page, list[SessionSummary])
    assert_type(await store.sessions(older_than=timedelta(days=1), after=page[-1]), list[SessionSummary])
    assert_type(await store.sessions(after="run-1"), list[SessionSummary])
    assert_type(await store.steps("run-1"), list[StepSummary])
    assert_type(await store.delete_session("run-1"), int)
    assert_type(await store.delete_step("run-1", "fetch"), int)
    assert_type(await store.rewind("run-1", to="fetch"), int)
    assert_type(await store.fork_session("run-1", "run-2", before="fetch"), int)
    assert_type(await store.prune(timedelta(days=30), keep=["run-"], dry_run=True, progress=print), Pruned)
    assert_type(await store.usage(), Usage)
    async for record in store.records("run-1"):
        assert_type(record, StoredRecord)
        assert_type(record.data, bytes)
        assert_type(await store.restore_session("run-1", [record]), bool)


async def operating_checks_its_arguments(store: OperableJournalStore) -> None:
    await store.sessions(order="age")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store.sessions(newer_than=30)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store.rewind("run-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await store.fork_session("run-1", "run-2", "fetch")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await store.prune(30)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store.prune()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await store.restore_session("run-1", ["record"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def from_url_gives_what_can_be_operated() -> None:
    async with JournalStore.from_url("memory://") as store:
        assert_type(await store.sessions(), list[SessionSummary])
        assert_type(await store.steps("run-1"), list[StepSummary])
        assert_type(await store.delete_session("run-1"), int)
        assert_type(await store.delete_step("run-1", "fetch"), int)
        assert_type(await store.rewind("run-1", "fetch"), int)
        assert_type(await store.fork_session("run-1", "run-2"), int)
        assert_type(await store.prune(timedelta(days=30)), Pruned)
        assert_type(await store.usage(), Usage)
        assert_type([record async for record in store.records("run-1")], list[StoredRecord])
        assert_type(await store.restore_session("run-1", ()), bool)


# -- calls


async def calls(store: JournalStore) -> None:
    entry = await store.get_step("run-1", "fetch")
    assert_type(entry, JournalEntry | None)
    print(entry.created_at)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    if entry is not None:
        assert_type(entry.created_at, float)
        entry.created_at = 1.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(await store.get_stream("run-1", "answer"), list[Any] | None)
    await store.get_step("run-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await store.get_step("run-1", 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store.put_step(b"run-1", "fetch", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store.put_stream("run-1", "answer", 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store.get_steps("run-1")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


# -- the runtime


@dataclass
class Receipt:
    """What a step returns."""

    number: int


async def charge(card: str, amount: int = 1, *, dry: bool = False) -> Receipt:
    return Receipt(len(card) * amount * dry)


async def answer(question: str) -> AsyncIterator[str]:
    yield question


def not_async(card: str) -> Receipt:
    return Receipt(len(card))


async def a_step_has_the_type_of_its_function(runtime: JournaledRuntime) -> None:
    assert_type(await runtime.step("charge", charge, "card"), Receipt)
    assert_type(await runtime.step("charge", charge, "card", 2, dry=True), Receipt)
    assert_type(await runtime.step("charge", charge, "card", idempotency_key="key"), Receipt)
    assert_type(await runtime.step("charge", charge, "card", idempotency_key=None), Receipt)


async def a_steps_arguments_are_those_of_its_function(runtime: JournaledRuntime) -> None:
    await runtime.step("charge", charge)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await runtime.step("charge", charge, 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await runtime.step("charge", charge, "card", dry="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await runtime.step("charge", charge, "card", tip=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await runtime.step("charge", not_async, "card")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await runtime.step(7, charge, "card")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await runtime.step("charge", charge, "card", idempotency_key=7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def a_stream_has_the_type_of_its_function(runtime: JournaledRuntime) -> None:
    assert_type(runtime.stream_step("answer", answer, "why"), AsyncIterator[str])
    async for chunk in runtime.stream_step("answer", answer, question="why"):
        assert_type(chunk, str)
    runtime.stream_step("answer", answer)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    runtime.stream_step("answer", answer, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    runtime.stream_step("answer", charge, "card")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def sessions_and_signals(runtime: JournaledRuntime) -> None:
    async with runtime as entered, entered.session("run-1") as session:
        assert_type(entered, JournaledRuntime)
        assert_type(session, JournaledSession)
        assert_type(session.id, str)
        await session.deliver("approval", {"by": "me"})
        await session.wait("approval")
    await runtime.signal("run-1", "approval", True)
    assert_type(runtime.store, JournalStore)
    assert_type(runtime.name, str)
    runtime.session(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await runtime.signal("run-1", "approval")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def runtimes_know_their_store(path: Path) -> None:
    assert_type(SqliteRuntime(path).store, SqliteJournalStore)
    assert_type(SqliteRuntime(str(path)).path, Path)
    assert_type((await PostgresRuntime.connect("postgresql://host/database")).store, PostgresJournalStore)
    SqliteRuntime(path, time_out=5.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# -- models and errors


def models_are_typed(step: StepRecord, stream: StreamRecord) -> None:
    assert_type(step.session_id, str)
    assert_type(step.value, bytes)
    assert_type(stream.chunks, bytes)
    assert_type(stream.created_at, float)
    tables: list[Table] = list(metadata.tables.values())
    assert tables
    select(StepRecord).where(StepRecord.session_id == "run-1")
    step.session_id = 7  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def errors_say_which_step() -> str | None:
    try:
        return None
    except InvalidKeyError as error:
        return error.step_name
    except ConfigurationError as error:
        assert_type(error.remedy, str)
        return error.session_id
