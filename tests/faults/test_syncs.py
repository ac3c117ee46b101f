"""Every acknowledgement comes after a sync of that record, as the system calls show."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from jeeves_journal import migrations
from tests.faults.acknowledgers import (
    ACKNOWLEDGED,
    mark_of,
    name_of,
    through_a_store,
    through_bare_postgres,
    through_bare_sqlite,
)
from tests.faults.figures import Figures
from tests.faults.forked import forked
from tests.faults.system_calls import Call, Moment, moments, traced
from tests.servers.postgres import PostgresServer, execute, fresh_database

FRAME_HEADER: Final = 24
PAGE: Final = 8192
SEGMENT: Final = 16 * 1024 * 1024

PUTS: Final = 1_000


def trace(log: Path, server: PostgresServer | None, work: Callable[..., None], *arguments: object, puts: int) -> None:
    """Trace a process that acknowledges so many puts, and its server, from the moment on when it is about to begin."""
    with forked(work, *arguments, puts, duplex=True) as process:
        assert process.connection.recv_bytes() == b"ready"
        with traced([process.pid, *(server.processes() if server else [])], log):
            process.connection.send_bytes(b"go")
            heard = b""
            while heard.count(b"\n") < puts:
                assert process.connection.poll(60), "it hangs"
                said = os.read(process.connection.fileno(), 1 << 16)
                assert said, "it has ended"
                heard += said


def acknowledged_number(moment: Moment) -> int | None:
    """Return which put is acknowledged as of this moment, if one is."""
    if moment.has_ended or not moment.call.data.startswith(ACKNOWLEDGED):
        return None
    return int(moment.call.data.removeprefix(ACKNOWLEDGED))


@dataclass
class SqliteLog:
    """A -wal: which of the marks in it are written, committed, and then synced.

    A frame is a header, in which a commit tells the size of the database, and a page.
    https://sqlite.org/fileformat2.html#the_write_ahead_log
    """

    written: set[bytes] = field(default_factory=set)
    committed: set[bytes] = field(default_factory=set)
    syncing: dict[int, set[bytes]] = field(default_factory=dict)
    synced: set[bytes] = field(default_factory=set)
    is_commit: bool = False

    def follow(self, moment: Moment) -> None:
        call = moment.call
        if not call.path.endswith("-wal"):
            return
        if call.is_sync:
            if moment.has_ended:
                self.synced |= self.syncing.pop(call.thread)
            else:
                self.syncing[call.thread] = set(self.committed)
        elif moment.has_ended and len(call.data) == FRAME_HEADER:
            self.is_commit = any(call.data[4:8])
        elif moment.has_ended:
            self.written |= set(re.findall(rb"mark-\d{6}", call.data))
            if self.is_commit:
                self.committed |= self.written
                self.written = set()


def unsynced_on_sqlite(log: Path, figures: Figures) -> list[int]:
    """Return the puts that were acknowledged before their commit was synced."""
    file, unsynced = SqliteLog(), list[int]()
    for moment in moments(log):
        file.follow(moment)
        number = acknowledged_number(moment)
        if number is not None:
            figures.acknowledged += 1
            unsynced += [number] if mark_of(number) not in file.synced else []
    return unsynced


class PostgresLog:
    """A write-ahead log: which of its pages are written, and then synced, as they are in the end."""

    def __init__(self, folder: Path) -> None:
        self._end = {path.name: path.read_bytes() for path in folder.iterdir() if len(path.name) == 24}
        self._folder = str(folder)
        self._written: dict[tuple[str, int], bytes] = {}
        self._syncing: dict[int, dict[tuple[str, int], bytes]] = {}
        self._synced: dict[tuple[str, int], bytes] = {}

    def follow(self, moment: Moment) -> None:
        call = moment.call
        if not call.path.startswith(self._folder):
            return
        name = Path(call.path).name
        if not call.is_sync:
            if moment.has_ended:
                self._written |= {(name, call.offset + at): call.data[at : at + PAGE] for at in pages_of(call)}
        elif not moment.has_ended:
            self._syncing[call.thread] = {place: page for place, page in self._written.items() if place[0] == name}
        else:
            self._synced |= self._syncing.pop(call.thread)

    def has_synced(self, start: int, end: int) -> bool:
        """Return whether all between two positions was synced with what stands there in the end."""
        for page in range(start // PAGE, (end - 1) // PAGE + 1):
            segment, at = divmod(page * PAGE, SEGMENT)
            name = next(name for name in self._end if segment == int(name[8:16], 16) * 256 + int(name[16:], 16))
            part = slice(max(start - page * PAGE, 0), min(end - page * PAGE, PAGE))
            if self._synced.get((name, at), b"")[part] != self._end[name][at : at + PAGE][part]:
                return False
        return True


def pages_of(call: Call) -> range:
    assert call.offset % PAGE == 0 == len(call.data) % PAGE, "a write-ahead log is written in pages"
    return range(0, len(call.data), PAGE)


def transactions(records: str) -> dict[int, tuple[int, int]]:
    """Return where in the write-ahead log each transaction begins and its commit ends."""
    begun: dict[int, int] = {}
    committed: dict[int, tuple[int, int]] = {}
    pattern = r"rmgr: (\w+) +len \(rec/tot\): +\d+/ +(\d+), tx: +(\d+), lsn: (\w+)/(\w+), .*desc: (\w+)"
    for kind, length, transaction, high, low, what in re.findall(pattern, records):
        number, position = int(transaction), int(high, 16) << 32 | int(low, 16)
        begun.setdefault(number, position)
        if kind == "Transaction" and what == "COMMIT":
            committed[number] = begun[number], position + int(length)
    return committed


def unsynced_on_postgres(log: Path, server: PostgresServer, url: str, figures: Figures) -> list[int]:
    """Return the puts that were acknowledged before their transaction's commit was synced."""
    query = "SELECT step_name, xmin::text FROM journal_steps UNION SELECT step_name, xmin::text FROM journal_streams"
    places = transactions(server.write_ahead_records())
    transaction_of = {row["step_name"]: int(row["xmin"]) for row in execute(url, query)}
    file, unsynced = PostgresLog(server.write_ahead_log()), list[int]()
    for moment in moments(log):
        file.follow(moment)
        number = acknowledged_number(moment)
        if number is not None:
            figures.acknowledged += 1
            place = places[transaction_of[name_of(number)]]
            unsynced += [] if file.has_synced(*place) else [number]
    return unsynced


@pytest.fixture(scope="module")
def careless_server() -> Iterator[PostgresServer]:
    """A Postgres that acknowledges before it syncs, unless a client wants it otherwise."""
    with PostgresServer({"synchronous_commit": "off", "wal_sync_method": "fdatasync", "autovacuum": "off"}) as server:
        yield server


@pytest.fixture
def careless_url(careless_server: PostgresServer) -> Iterator[str]:
    with fresh_database(careless_server) as url:
        migrations.upgrade(url)
        yield url


def test_a_sqlite_file_is_synced_before_each_acknowledgement(tmp_path: Path, figures: Figures) -> None:
    log = tmp_path / "calls"
    trace(log, None, through_a_store, f"sqlite:///{tmp_path}/journal.db", 50, puts=PUTS)
    unsynced = unsynced_on_sqlite(log, figures)
    assert figures.acknowledged == PUTS
    assert unsynced == []


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL", "OFF"])
def test_the_check_tells_weaker_settings_of_sqlite(tmp_path: Path, figures: Figures, synchronous: str) -> None:
    log = tmp_path / "calls"
    trace(log, None, through_bare_sqlite, f"{tmp_path}/journal.db", synchronous, puts=100)
    unsynced = unsynced_on_sqlite(log, figures)
    figures.others["acknowledged without a sync"] = len(unsynced)
    assert figures.acknowledged == 100
    assert (unsynced == []) == (synchronous == "FULL")


@pytest.mark.parametrize("options", ["", "?pgbouncer=true"])
def test_a_postgres_is_synced_before_each_acknowledgement(
    careless_server: PostgresServer, careless_url: str, tmp_path: Path, figures: Figures, options: str
) -> None:
    log = tmp_path / "calls"
    trace(log, careless_server, through_a_store, careless_url + options, PUTS, puts=PUTS)
    unsynced = unsynced_on_postgres(log, careless_server, careless_url, figures)
    assert figures.acknowledged == PUTS
    assert unsynced == []


@pytest.mark.parametrize("synchronous_commit", ["on", "off"])
def test_the_check_tells_a_weaker_setting_of_postgres(
    careless_server: PostgresServer, careless_url: str, tmp_path: Path, figures: Figures, synchronous_commit: str
) -> None:
    log = tmp_path / "calls"
    trace(log, careless_server, through_bare_postgres, careless_url, synchronous_commit, puts=100)
    unsynced = unsynced_on_postgres(log, careless_server, careless_url, figures)
    figures.others["acknowledged without a sync"] = len(unsynced)
    assert figures.acknowledged == 100
    assert (unsynced == []) == (synchronous_commit == "on")
