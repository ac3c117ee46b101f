"""The journal in SQLite or Postgres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from sqlalchemy.ext.asyncio import AsyncEngine

from jeeves_journal.codecs import CodecOrName, Resealer
from jeeves_journal.keys import check_key, check_keys
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.options import StoreOptions
from jeeves_journal.records import JournalEntry, Resealed, StepsAhead
from jeeves_journal.stores.dialects import Database, SessionQuery, SessionRow, database_for_engine
from jeeves_journal.stores.operated import OperatedStore
from jeeves_journal.stores.operations.resealing import Resealing
from jeeves_journal.tracebacks import without_locals


class SQLAlchemyJournalStore(OperatedStore, OperableJournalStore):
    """A journal in SQLite or Postgres; ``JournalStore.from_url`` makes one.

    It needs asyncio, and belongs to the event loop and the process of its first call. After that loop was closed it
    opens itself again in the next one, unless it works on a caller's engine. What is never closed is closed when the
    store is garbage, or else with its event loop, and loses nothing.
    """

    def __init__(self, engine: AsyncEngine | Database, **options: Unpack[StoreOptions]) -> None:
        """Make a store over an engine of yours, which it never disposes of; no I/O.

        Args:
            engine: On aiosqlite or asyncpg. ``JournalStore.from_url`` passes a database of its own.
            **options: See ``StoreOptions``.

        Raises:
            ConfigurationError: The engine's driver is another one, or an option cannot be used.
        """
        self._use(database_for_engine(engine, options))

    @without_locals
    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None:
        session_id, step_name = check_keys(session_id, step_name)
        record = await self._lanes_here(session_id, step_name).reads.submit(("step", session_id, step_name))
        if record is None:
            return None
        data, created_at = record
        return self._codec.decode_entry(("step", session_id, step_name, created_at), data)

    @without_locals
    async def put_step(self, session_id: str, step_name: str, value: Any) -> None:
        session_id, step_name = check_keys(session_id, step_name)
        lanes = self._lanes_here(session_id, step_name)
        await lanes.write("step", session_id, step_name, self._codec.encode, value)

    @without_locals
    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None:
        session_id, step_name = check_keys(session_id, step_name)
        record = await self._lanes_here(session_id, step_name).reads.submit(("stream", session_id, step_name))
        if record is None:
            return None
        data, created_at = record
        return self._codec.decode_chunks(("stream", session_id, step_name, created_at), data)

    @without_locals
    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None:
        session_id, step_name = check_keys(session_id, step_name)
        lanes = self._lanes_here(session_id, step_name)
        await lanes.write("stream", session_id, step_name, self._codec.encode_chunks, chunks)

    @without_locals
    async def get_steps(self, session_id: str) -> dict[str, JournalEntry]:
        session_id = check_key("session_id", session_id)
        rows = await self._lanes_here(session_id).sessions.submit(SessionQuery(session_id, None))
        return {name: self._codec.decode_entry(("step", session_id, name, at), data) for name, data, at in rows}

    @without_locals
    async def read_ahead(self, session_id: str, max_bytes: int) -> StepsAhead[SessionRow]:
        """See ``ReadAheadStore``."""
        session_id = check_key("session_id", session_id)
        rows = await self._lanes_here(session_id).sessions.submit(SessionQuery(session_id, max_bytes))
        return StepsAhead({row[0]: row for row in rows}, self._codec.row_decoder(session_id))

    @without_locals
    async def init_schema(self) -> None:
        """Create the tables or bring them to the newest revision. Any number of processes may do so at once.

        Raises:
            ConfigurationError: The user may not create tables.
            StoreUnavailableError: The database is down or locked.
        """
        lanes = self._lanes_here()
        async with self._database.translating():
            await lanes.upgrade()

    @without_locals
    async def reseal(
        self,
        *,
        from_codec: CodecOrName | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Resealed:
        """Bring all records to the first key, the seal and the codec of this store, while others read and write.

        A record keeps its time. It is decoded only if its codec changes. One that is put meanwhile stays as it was put,
        and one that cannot be opened stays as it is; to seal what has no seal, open the store with ``allow_unsealed``.
        Whoever is interrupted begins again, and what is done already takes little.

        Args:
            from_codec: What the records were written by, if by another codec than this store's.
            progress: Is called now and then with the number of records that were looked at. What it raises ends the
                resealing, and is raised here as it is.

        Raises:
            ConfigurationError: An option cannot be used.
            StoreUnavailableError: The database is down, locked or full.
        """
        work = Resealing(Resealer(self._database.settings, from_codec))
        while await self._operate(work.advance):
            # Out here, so that what it raises reaches the caller as it is.
            if progress is not None:
                progress(work.done.records)
        return work.done

    async def _connect(self) -> None:
        """Connect before the first call does, to see that the database is there, whatever stands in it."""
        lanes = self._lanes_here()
        async with self._database.translating():
            await lanes.connect()
