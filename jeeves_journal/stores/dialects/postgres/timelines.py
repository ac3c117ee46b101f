"""Which of the servers that a URL leads to is the newest.

Nobody may have fenced a primary in whose place another was promoted: it goes on answering, without what was recorded
since. A promotion begins a timeline with a higher number
(https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES), which tells the two apart.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

import asyncpg  # pyright: ignore[reportMissingTypeStubs] (it ships none)

from jeeves_journal.stores.dialects.postgres.errors import SupersededError
from jeeves_journal.stores.dialects.postgres.protocols import Driver

# Of a write-ahead log's file name the first eight digits are the timeline. The control file has it too, but only from
# the first checkpoint after a promotion on. A standby follows whatever its primary is on, and says nothing.
_TIMELINE: Final = (
    "SELECT system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer "
    "FROM pg_control_system() WHERE NOT pg_is_in_recovery()"
)

# Servers that only speak Postgres's language, those whose administrator keeps these functions to himself, and Aurora if
# its log is not decoded (https://github.com/DataDog/integrations-core/issues/20356).
_NEVER_TELLS: Final = (
    asyncpg.UndefinedFunctionError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)


class Timelines:
    """The timelines of a store's connections. None stays on a server that was superseded, as far as the store knows."""

    def __init__(self) -> None:
        """Begin without connections."""
        # By system identifier: a cluster that is set up anew, as for an upgrade of Postgres, begins at 1 again.
        self._newest: dict[int, int] = {}
        self._connections: WeakKeyDictionary[Driver, tuple[int, int]] = WeakKeyDictionary()
        self._may_tell = True

    async def admit(self, driver: Driver) -> None:
        """Ask a new connection for its timeline. If it is the newest yet, end the connections to older ones.

        Raises:
            SupersededError: A newer one was seen before.
        """
        row: tuple[Any, ...] | None = None
        if self._may_tell:
            try:
                row = await driver.fetchrow(_TIMELINE)
            except _NEVER_TELLS:
                # Asked no more, since its log has an error of each time.
                self._may_tell = False
        system, timeline = row or (None, None)
        if system is None or timeline is None:
            return
        newest = self._newest.get(system, timeline)
        if timeline < newest:
            raise SupersededError
        self._newest[system] = timeline
        if timeline > newest:
            self._end_older(system, timeline)
        self._connections[driver] = (system, timeline)

    def of(self, driver: Driver) -> tuple[int, int] | None:
        """Return the system identifier and the timeline of a connection's server; None where it did not tell."""
        return self._connections.get(driver)

    def _end_older(self, system: int, timeline: int) -> None:
        for driver, (its_system, its_timeline) in list(self._connections.items()):
            if its_system == system and its_timeline < timeline:
                # Also one in use: what was asked of it is asked again, of the newer server.
                with suppress(RuntimeError):
                    driver.terminate()
