"""What the arguments of operating may be: ages, prefixes, counts. Checked before any I/O, and alike on every store."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self, cast

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.keys import check_key, is_text
from jeeves_journal.records import SessionSummary, StoredRecord

ORDERS: Final = ("id", "recent")

# More rows than any journal has, and one more is still a number that every database takes.
_MOST: Final = 2**62


@dataclass(frozen=True, kw_only=True)
class SessionsQuery:
    """Asks for a page of sessions; ages in seconds."""

    prefix: str
    is_recent_first: bool
    newer_than: float | None
    older_than: float | None
    after: str | SessionSummary | None
    limit: int

    @classmethod
    def of(
        cls,
        prefix: object,
        *,
        order: object,
        newer_than: object,
        older_than: object,
        after: object,
        limit: object,
    ) -> Self:
        """Return what the arguments of ``OperableJournalStore.sessions`` ask for.

        Raises:
            ConfigurationError: One of them cannot be used.
            InvalidKeyError: ``after`` is an id that no store accepts.
        """
        return cls(
            prefix="" if prefix is None else check_prefix("prefix", prefix),
            is_recent_first=check_order(order) == "recent",
            newer_than=None if newer_than is None else check_age("newer_than", newer_than),
            older_than=None if older_than is None else check_age("older_than", older_than),
            after=None if after is None else check_place("after", after),
            limit=check_count("limit", limit),
        )


def recent_first(session: SessionSummary) -> tuple[float, str]:
    """Return by what sessions are sorted, the most recent first; at the same time, by their ids."""
    return -session.last_recorded, session.id


def check_place(name: str, place: object) -> str | SessionSummary:
    """Return a place among sessions: an id, or a summary, whose id may also be one that only a database keeps.

    Raises:
        ConfigurationError: The summary is none that a store returned.
        InvalidKeyError: No store accepts the id.
    """
    if not isinstance(place, SessionSummary):
        return check_key(name, place)
    # Somebody else's, or read from a file: dataclasses check nothing.
    session_id, last_recorded = cast("tuple[object, object]", (place.id, place.last_recorded))
    if not (is_text(session_id) and _is_time(last_recorded)):
        raise ConfigurationError(f"{name} cannot be used", "pass a summary as sessions() returned it")
    return place


def check_age(name: str, age: object) -> float:
    """Return an age in seconds.

    Raises:
        ConfigurationError: It is no ``timedelta``, or below zero.
    """
    if not isinstance(age, timedelta) or age < timedelta():
        shown = age if isinstance(age, timedelta) else type(age).__name__
        raise ConfigurationError(f"{name} cannot be {shown}", "pass a datetime.timedelta that is not below zero")
    return age.total_seconds()


def check_prefix(name: str, prefix: object) -> str:
    """Return what ids may begin with; every id begins with an empty one.

    Raises:
        ConfigurationError: It is no text, or holds what no id holds.
    """
    if not is_text(prefix) or "\0" in prefix:
        raise ConfigurationError(f"{name} cannot be used", "pass a str that session ids can begin with")
    return str.__str__(prefix)


def check_prefixes(name: str, prefixes: object) -> tuple[str, ...]:
    """Return prefixes as a tuple.

    Raises:
        ConfigurationError: One of them cannot be used, or it is one text, of which every character would be one.
    """
    if isinstance(prefixes, str | bytes) or not isinstance(prefixes, Iterable):
        raise ConfigurationError(f"{name} cannot be {type(prefixes).__name__}", "pass a list of prefixes")
    return tuple(check_prefix(name, prefix) for prefix in cast("Iterable[object]", prefixes))


def check_count(name: str, count: object) -> int:
    """Return a count, or the highest that a database takes.

    Raises:
        ConfigurationError: It is no whole number of at least 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigurationError(f"{name} cannot be used", "pass a whole number of at least 1")
    return min(int(count), _MOST)


def check_order(order: object) -> str:
    """Return an order of sessions.

    Raises:
        ConfigurationError: It is none.
    """
    if order not in ORDERS:
        raise ConfigurationError("order cannot be used", f"pass one of {', '.join(map(repr, ORDERS))}")
    return str(order)


def check_records(session_id: str, records: object) -> tuple[StoredRecord, ...]:
    """Return the records of one session as a tuple.

    Raises:
        ConfigurationError: One of them is no record, or of another session, or there twice.
        InvalidKeyError: No store accepts a step's name.
    """
    return tuple(each_record(session_id, records))


def each_record(session_id: str, records: object) -> Iterator[StoredRecord]:
    """Check records one by one, when they are taken; see ``check_records``."""
    if not isinstance(records, Iterable):
        raise _refused_records(f"a {type(records).__name__}", session_id)
    seen = set[tuple[str, str]]()
    for each in cast("Iterable[object]", records):
        record = _check_record(session_id, each)
        if (record.kind, record.step_name) in seen:
            raise _refused_records("two of one step", session_id, record.step_name)
        seen.add((record.kind, record.step_name))
        yield record


def _check_record(session_id: str, record: object) -> StoredRecord:
    if not isinstance(record, StoredRecord):
        raise _refused_records(f"a {type(record).__name__} among them", session_id)
    if record.session_id != session_id:
        raise _refused_records(f"one of session {record.session_id!r}", session_id)
    step_name = check_key("step_name", record.step_name)
    if record.kind not in ("step", "stream") or not isinstance(record.data, bytes):
        raise _refused_records("one that is neither a step nor a stream, or without bytes", session_id, step_name)
    if not _is_time(record.created_at):
        raise _refused_records("one without a time", session_id, step_name)
    return StoredRecord(record.kind, session_id, step_name, bytes(record.data), float(record.created_at))


def _refused_records(what: str, session_id: str, step_name: str | None = None) -> ConfigurationError:
    remedy = "pass what records() of another store returned"
    return ConfigurationError(f"the records to restore cannot be {what}", remedy, session_id, step_name)


def _is_time(time: object) -> bool:
    # A NaN is at most nothing.
    return isinstance(time, float | int) and abs(time) <= sys.float_info.max
