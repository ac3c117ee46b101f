"""The journal in a dict."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeAlias, Unpack

from jeeves_journal.codecs import CodecOrName, Place, Resealer, record_codec
from jeeves_journal.codecs.footer import FOOTER_BYTES
from jeeves_journal.errors import StoreClosedError
from jeeves_journal.keys import check_key, check_keys
from jeeves_journal.options import StoreOptions, read_settings
from jeeves_journal.protocol import ManagedJournalStore
from jeeves_journal.records import JournalEntry, Resealed
from jeeves_journal.stores.clock import timestamp
from jeeves_journal.tracebacks import without_locals

_Records: TypeAlias = dict[tuple[str, str], tuple[bytes, float]]


class InMemoryJournalStore(ManagedJournalStore):
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
        self._steps: _Records = {}
        self._streams: _Records = {}
        self._names: dict[str, dict[str, None]] = {}
        self._closed = False

    @without_locals
    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None:
        session_id, step_name = self._admit(session_id, step_name)
        record = self._steps.get((session_id, step_name))
        if record is None:
            return None
        data, created_at = record
        return self._codec.decode_entry(Place("step", session_id, step_name, created_at), data)

    @without_locals
    async def put_step(self, session_id: str, step_name: str, value: Any) -> None:
        session_id, step_name = self._admit(session_id, step_name)
        place = Place("step", session_id, step_name, created_at := timestamp())
        self._steps[session_id, step_name] = self._codec.encode(place, value), created_at
        self._names.setdefault(session_id, {})[step_name] = None

    @without_locals
    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None:
        session_id, step_name = self._admit(session_id, step_name)
        record = self._streams.get((session_id, step_name))
        if record is None:
            return None
        data, created_at = record
        return self._codec.decode_chunks(Place("stream", session_id, step_name, created_at), data)

    @without_locals
    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None:
        session_id, step_name = self._admit(session_id, step_name)
        place = Place("stream", session_id, step_name, created_at := timestamp())
        self._streams[session_id, step_name] = self._codec.encode_chunks(place, chunks), created_at

    @without_locals
    async def get_steps(self, session_id: str) -> dict[str, JournalEntry]:
        session_id = self._admit_session(session_id)
        return {
            name: self._codec.decode_entry(Place("step", session_id, name, created_at), data)
            for name, data, created_at in self._in_recorded_order(session_id)
        }

    @without_locals
    async def read_ahead(self, session_id: str, max_bytes: int) -> dict[str, Callable[[], Any]]:
        """See ``ReadAheadStore``."""
        session_id = self._admit_session(session_id)
        ahead: dict[str, Callable[[], Any]] = {}
        for name, data, created_at in self._in_recorded_order(session_id):
            max_bytes -= len(data)
            if max_bytes < 0:
                break
            ahead[name] = self._codec.decoder(Place("step", session_id, name, created_at), data)
        return ahead

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
        for kind, records in (("step", self._steps), ("stream", self._streams)):
            for key, (data, created_at) in records.items():
                looked_at += 1
                if resealer.is_current(data[-FOOTER_BYTES:]):
                    continue
                renewed = resealer.renewed(Place(kind, *key, created_at), data)
                if renewed is not None:
                    records[key] = renewed, created_at
                    resealed += 1
        if progress is not None:
            progress(looked_at)
        return resealer.summary(looked_at, resealed)

    async def aclose(self) -> None:
        self._closed = True
        self._steps.clear()
        self._streams.clear()
        self._names.clear()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def step_keys(self) -> list[tuple[str, str]]:
        """Return the ``(session_id, step_name)`` of every recorded step, in the order in which they were first put."""
        return list(self._steps)

    def stream_keys(self) -> list[tuple[str, str]]:
        """Return the ``(session_id, step_name)`` of every recorded stream, likewise."""
        return list(self._streams)

    def _in_recorded_order(self, session_id: str) -> list[tuple[str, bytes, float]]:
        steps = [(name, *self._steps[session_id, name]) for name in self._names.get(session_id, ())]
        return sorted(steps, key=lambda step: (step[2], step[0]))

    def _admit(self, session_id: str, step_name: str) -> tuple[str, str]:
        keys = check_keys(session_id, step_name)
        self._check_open(*keys)
        return keys

    def _admit_session(self, session_id: str) -> str:
        session_id = check_key("session_id", session_id)
        self._check_open(session_id)
        return session_id

    def _check_open(self, session_id: str | None = None, step_name: str | None = None) -> None:
        if self._closed:
            raise StoreClosedError("the store is closed", "open a new one", session_id, step_name)
