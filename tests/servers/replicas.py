"""A real standby of a real Postgres server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from tests.servers.postgres import PostgresServer, environment, execute

NAME: Final = "replica"

COMMITS_THAT_WAIT: Final = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


class Standby(PostgresServer):
    """A standby that follows a primary from its first start on, until it is promoted."""

    def __init__(self, primary: PostgresServer, options: Mapping[str, str] | None = None) -> None:
        """Copy a running primary's data; nothing runs yet."""
        self._primary = primary
        super().__init__(options)
        self.password = primary.password

    def promote(self) -> None:
        """Make it a primary, and return once it is one."""
        execute(self.url(), "SELECT pg_promote(true, 30)")

    def _initialise(self) -> None:
        self.socket_dir.mkdir()
        self._give_away(self.folder)
        connection = f"{self._primary.url()}?application_name={NAME}"
        self._run(["pg_basebackup", "-D", self._data, "-d", connection, "-R", "-X", "stream", "-c", "fast", "-N"])

    def _run(self, command: list[Any]) -> None:
        done = subprocess.run(
            [self._bin / command[0], *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=environment(),
            **self._user,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def make_synchronous(primary: PostgresServer) -> None:
    """Let every commit wait for the standby from now on, and return once it does."""
    execute(primary.url(), f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
    execute(primary.url(), "SELECT pg_reload_conf()")
    deadline = time.monotonic() + 30
    while not execute(primary.url(), "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"):
        if time.monotonic() > deadline:
            raise RuntimeError("the standby does not follow")
        time.sleep(0.05)


def demote(stopped: PostgresServer) -> None:
    """Let a stopped primary come back as a standby that follows nobody, and log who connects."""
    (stopped.folder / "data" / "standby.signal").touch()
    stopped.options |= {"synchronous_standby_names": "", "log_connections": "on"}


@contextmanager
def primary_and_replica() -> Iterator[tuple[PostgresServer, Standby]]:
    """Both run, and every commit waits for both."""
    with PostgresServer() as primary, Standby(primary) as replica:
        make_synchronous(primary)
        yield primary, replica


def url_of(first: PostgresServer, second: PostgresServer) -> str:
    """Return a URL of both. Unless it says so itself, it means the one that takes writes."""
    return first.url().replace(f":{first.port}", f":{first.port},127.0.0.1:{second.port}")
