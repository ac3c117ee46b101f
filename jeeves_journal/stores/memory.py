"""The journal in a dict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, Unpack

from jeeves_journal.codecs import CodecOrName, Resealer, record_codec
from jeeves_journal.codecs.footer import FOOTER_BYTES
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.options import StoreOptions, read_settings
from jeeves_journal.records import JournalEntry, Resealed, StepsAhead, StoredRecord
from jeeves_journal.stores.clock import timestamp
from jeeves_journal.stores.memory_operations import OperatedMemoryStore
from jeeves_journal.stores.memory_records import MemoryRecords, place_of
from jeeves_journal.tracebacks import without_locals


class InMemoryJournalStore(OperatedMemoryStore, OperableJournalStore):
    """A journal that lives as long as this object, for tests and for runs that need replay but no durability.

    It keeps encoded bytes, as the SQL store does: what cannot be stored on disk is refused here too, and a value that
    is changed after ``put_step`` is not changed in the journal. It is bound to no event loop, and works on trio. After
    a fork, the child has a copy of its own.
    """

    def __init__(self, **options: Unpack[StoreOptions]) -> None:
        """Make an empty journal.

        Args:
            **options: ``max_value_bytes`` and those of the codec; ``timeout`` and ``create_tables`` are taken and
                have no effect.

        Raises:
            ConfigurationError: An option is unknown here, or its value cannot be used.
        """
        self._settings = read_settings(options)
        self._codec = record_codec(self._settings)
        self._records = MemoryRecords()
        self._closed = False

    @without_locals
    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None:
        record = self._records.get("step", *self._admit_keys(session_id, step_name))
        return None if record is None else self._codec.decode_entry(place_of(record), record.data)

    @without_locals
    async def put_step(self, session_id: str, step_name: str, value: Any) -> None:
        session_id, step_name = self._admit_keys(session_id, step_name)
        place = ("step", session_id, step_name, created_at := timestamp())
        self._records.put(StoredRecord("step", session_id, step_name, self._codec.encode(place, value), created_at))

    @without_locals
    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None:
        record = self._records.get("stream", *self._admit_keys(session_id, step_name))
        return None if record is None else self._codec.decode_chunks(place_of(record), record.data)

    @without_locals
    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None:
        session_id, step_name = self._admit_keys(session_id, step_name)
        place = ("stream", session_id, step_name, created_at := timestamp())
        data = self._codec.encode_chunks(place, chunks)
        self._records.put(StoredRecord("stream", session_id, step_name, data, created_at))

    @without_locals
    async def get_steps(self, session_id: str) -> dict[str, JournalEntry]:
        steps = self._records.steps_of(self._admit(session_id))
        return {step.step_name: self._codec.decode_entry(place_of(step), step.data) for step in steps}

    @without_locals
    async def read_ahead(self, session_id: str, max_bytes: int) -> StepsAhead[tuple[str, bytes, float]]:
        """See ``ReadAheadStore``."""
        session_id = self._admit(session_id)
        rows: dict[str, tuple[str, bytes, float]] = {}
        for step in self._records.steps_of(session_id):
            max_bytes -= len(step.data)
            if max_bytes < 0:
                break
            rows[step.step_name] = step.step_name, step.data, step.created_at
        return StepsAhead(rows, self._codec.row_decoder(session_id))

    async def init_schema(self) -> None:
        """Do nothing: a dict has no tables. Here so that one program serves every URL."""
        self._check_open()

    @without_locals
    async def reseal(
        self,
        *,
        from_codec: CodecOrName | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Resealed:
        """Bring all records to the first key, the seal and the codec; see ``SQLAlchemyJournalStore.reseal``."""
        self._check_open()
        resealer = Resealer(self._settings, from_codec)
        looked_at, resealed = 0, 0
        for record in tuple(self._records):
            looked_at += 1
            if resealer.is_current(record.data[-FOOTER_BYTES:]):
                continue
            renewed = resealer.renewed(place_of(record), record.data)
            if renewed is not None:
                self._records.put(replace(record, data=renewed))
                resealed += 1
        if progress is not None:
            progress(looked_at)
        return resealer.summary(looked_at, resealed)

    async def aclose(self) -> None:
        self._closed = True
        self._records.clear()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def step_keys(self) -> list[tuple[str, str]]:
        """Return the ``(session_id, step_name)`` of every recorded step, in the order in which they were first put."""
        return self._records.keys("step")

    def stream_keys(self) -> list[tuple[str, str]]:
        """Return the ``(session_id, step_name)`` of every recorded stream, likewise."""
        return self._records.keys("stream")
