"""Real stores that tell what was asked of them, and that can be held up or made to fail."""

from __future__ import annotations

from typing import Any, Self

from anyio import Event

from jeeves_journal import InMemoryJournalStore, JournalEntry
from jeeves_journal.records import StepsAhead


class Gate:
    """A point that a call reaches, and goes on from once it is opened."""

    def __init__(self) -> None:
        self.reached = Event()
        self.opened = Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.opened.wait()


class FiveMethodStore:
    """A third party's store with the five methods and nothing else."""

    def __init__(self, records: InMemoryJournalStore | None = None) -> None:
        self.records = records or InMemoryJournalStore()
        self.calls: list[str] = []
        self.gates: dict[str, Gate] = {}
        self.errors: dict[str, Exception] = {}

    async def watch(self, call: str) -> None:
        self.calls.append(call)
        if call in self.gates:
            await self.gates[call]()
        if call in self.errors:
            raise self.errors[call]

    async def get_step(self, session_id: str, step_name: str) -> JournalEntry | None:
        await self.watch(f"get_step {step_name}")
        return await self.records.get_step(session_id, step_name)

    async def put_step(self, session_id: str, step_name: str, value: Any) -> None:
        await self.watch(f"put_step {step_name}")
        await self.records.put_step(session_id, step_name, value)

    async def get_stream(self, session_id: str, step_name: str) -> list[Any] | None:
        await self.watch(f"get_stream {step_name}")
        return await self.records.get_stream(session_id, step_name)

    async def put_stream(self, session_id: str, step_name: str, chunks: list[Any]) -> None:
        await self.watch(f"put_stream {step_name}")
        await self.records.put_stream(session_id, step_name, chunks)

    async def aclose(self) -> None:
        await self.watch("aclose")
        await self.records.aclose()


class ManagedStore(FiveMethodStore):
    """A third party's ``ManagedJournalStore``: it reads a session at once, decoded."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def get_steps(self, session_id: str) -> dict[str, JournalEntry]:
        await self.watch("get_steps")
        return await self.records.get_steps(session_id)


class LendingStore(FiveMethodStore):
    """A store that lends records undecoded, as ours do. The gate is behind the query: what it read may be old."""

    def __init__(self, records: InMemoryJournalStore | None = None) -> None:
        super().__init__(records)
        self.max_bytes = 0

    async def read_ahead(self, session_id: str, max_bytes: int) -> StepsAhead[Any]:
        self.max_bytes = max_bytes
        lent = await self.records.read_ahead(session_id, max_bytes)
        await self.watch("read_ahead")
        return lent


class Fickle:
    """A value that decodes only while ``readable``, as one whose class is gone does not."""

    readable = True

    def __init__(self) -> None:
        self.content = "content"

    def __setstate__(self, state: dict[str, Any]) -> None:
        if not Fickle.readable:
            raise AttributeError("the class is gone")
        self.__dict__.update(state)


class Work:
    """A step's function that counts its runs, and waits at a gate if it has one."""

    def __init__(self, gate: Gate | None = None) -> None:
        self.gate = gate
        self.runs = 0

    async def __call__(self, result: Any = "result") -> Any:
        self.runs += 1
        if self.gate is not None:
            await self.gate()
        return result
