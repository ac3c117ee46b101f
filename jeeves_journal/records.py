"""What a journal gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from jeeves_journal.errors import CodecError

Kind: TypeAlias = Literal["step", "stream"]
"""What a record is of."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The recorded result of one step.

    Attributes:
        value: What the step returned. A recorded ``None`` is an entry whose value is ``None``.
        created_at: When it was recorded, in seconds since the epoch, UTC.
    """

    value: Any
    created_at: float


@dataclass(slots=True, repr=False, eq=False)
class StepsAhead(Generic[Row]):
    """A session's recorded steps, undecoded.

    Its repr shows none of them: it would stand in tracebacks.

    Attributes:
        rows: By step name, what ``decode`` takes. Whoever asked for them may change this dict.
        decode: Returns the value that is recorded in a row, or raises what ``get_step`` would.
    """

    rows: dict[str, Row]
    decode: Callable[[Row], Any]

    def take(self, step_name: str) -> Any:
        """Return a step's value, and let go of its row."""
        # In no variable, which a traceback would show.
        return self.decode(self.rows.pop(step_name))


@dataclass(frozen=True, slots=True)
class Resealed:
    """What came of bringing a journal's records to the newest key and codec.

    Attributes:
        records: How many there are.
        resealed: How many of them were written anew.
        refused: How many were left as they are, since they cannot be trusted or read, or not be written by this codec.
        refusals: Why, for the first hundred of them.
    """

    records: int
    resealed: int
    refused: int
    refusals: tuple[CodecError, ...]


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What is known of a session without reading its values.

    Attributes:
        id: The session's id.
        steps: How many steps it recorded.
        streams: How many streams.
        first_recorded: When the earliest of them was recorded, in seconds since the epoch, UTC.
        last_recorded: When the latest of them was.
        bytes: How many bytes their records take, seals and checksums included.
    """

    id: str
    steps: int
    streams: int
    first_recorded: float
    last_recorded: float
    bytes: int


@dataclass(frozen=True, slots=True)
class StepSummary:
    """What is known of a step or stream without reading its value.

    Attributes:
        name: The step's name.
        kind: Whether it is a step or a stream.
        recorded_at: When it was recorded, in seconds since the epoch, UTC.
        bytes: How many bytes its record takes.
        codec: The id of the codec that wrote it; ``pickle`` for a record of JeevesAgent's. Not to be trusted: a record
            is checked when it is read.
        sealed_by: The id of the key that sealed it, or ``None``. Likewise.
    """

    name: str
    kind: Kind
    recorded_at: float
    bytes: int
    codec: str
    sealed_by: str | None


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it is stored.

    Attributes:
        kind: Whether it is a step or a stream.
        session_id: Its session.
        step_name: Its name.
        data: Its bytes, with all that is around the value.
        created_at: When it was recorded, in seconds since the epoch, UTC.
    """

    kind: Kind
    session_id: str
    step_name: str
    data: bytes
    created_at: float

    def __repr__(self) -> str:
        # Never the bytes.
        return f"{type(self).__name__}({self.kind}, {self.session_id!r}, {self.step_name!r}, {len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning deleted, or would delete.

    Attributes:
        sessions: How many whole sessions.
        records: How many steps and streams.
        bytes: How many bytes their records took.
    """

    sessions: int
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class KindUsage:
    """How much a journal holds of steps, or of streams.

    Attributes:
        rows: How many there are.
        bytes: How many bytes they take.
        oldest: When the earliest was recorded, in seconds since the epoch, UTC; ``None`` where there is none.
    """

    rows: int
    bytes: int
    oldest: float | None


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a journal holds.

    Attributes:
        steps: Of steps.
        streams: Of streams.
        is_exact: Whether rows and bytes were counted. Of a large journal they are what the database estimates.
    """

    steps: KindUsage
    streams: KindUsage
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at to see whether a journal is well.

    Attributes:
        name: What was looked at.
        state: Whether it is as it should be.
        what: How it is.
        remedy: What to do about it, or ``""``.
    """

    name: str
    state: Literal["ok", "warning", "wrong"]
    what: str
    remedy: str = ""
