"""A real PgBouncer in front of the tests' Postgres, in transaction mode."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

from tests.servers.postgres import execute, run_apart
from tests.stores.processes import open_folder
from tests.stores.servers import closed_port


def find_pgbouncer() -> str | None:
    """Return the program, which distributions put where only administrators look for it."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/sbin")


class PgBouncer:
    """One pooler on a port of its own, which it keeps when it is started again.

    Attributes:
        url: The database's URL through it.
    """

    def __init__(self, program: str, url: str, folder: Path, settings: Mapping[str, object]) -> None:
        """Write its settings into a folder; nothing runs yet."""
        self._program = program
        self._folder = folder
        self._port = closed_port()
        self._user = _unprivileged_user()
        self._settings = folder / "pgbouncer.ini"
        self._settings.write_text(_settings(url, self._port, settings))
        for path in (folder, self._settings) if self._user else ():
            os.chown(path, self._user["user"], self._user["group"])
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://tests:unused@127.0.0.1:{self._port}/journal"

    def start(self) -> None:
        """Start it and return once it answers."""
        with (self._folder / "log").open("ab") as log:
            command = [self._program, "-q", self._settings]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._user)
        _wait_until_it_answers(self._process, self._port, self._folder / "log")

    def stop(self, how: signal.Signals, *, timeout: float = 10.0) -> None:
        """Send it a signal and return once it has ended; kill it after ``timeout`` seconds."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def administer(self, command: str) -> None:
        """Run a command such as ``RECONNECT`` on its console."""

        async def run() -> None:
            # Its console speaks the simple protocol only, and asyncpg asks for what it does not know.
            url = self.url.replace("tests:unused", "console:unused").replace("/journal", "/pgbouncer")
            connection = await asyncpg.connect(url, statement_cache_size=0, timeout=5)
            try:
                await connection.execute(command)
            finally:
                connection.terminate()

        run_apart(run())


@contextmanager
def pgbouncer_server(program: str, url: str, **settings: object) -> Iterator[PgBouncer]:
    """A running PgBouncer in front of a database; ``settings`` as in pgbouncer.ini."""
    with open_folder() as folder:
        bouncer = PgBouncer(program, url, folder, settings)
        try:
            bouncer.start()
            yield bouncer
        finally:
            bouncer.stop(signal.SIGKILL)


@contextmanager
def pgbouncer(program: str, url: str, *, connections: int) -> Iterator[str]:
    """A PgBouncer with this many connections to the server; yields the database's URL through it."""
    with pgbouncer_server(program, url, default_pool_size=connections) as bouncer:
        yield bouncer.url


def server_connections(url: str) -> int:
    """Return how many connections to the server it holds, by asking the server."""
    query = (
        "SELECT count(*) AS n FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    count: int = execute(url, query)[0]["n"]
    return count


def _settings(url: str, port: int, settings: Mapping[str, object]) -> str:
    server = urlsplit(url)
    database = {
        "host": server.hostname,
        "port": server.port,
        "dbname": server.path[1:],
        "user": unquote(server.username or ""),
        "password": unquote(server.password or ""),
    }
    connect = " ".join(f"{name}='{value}'" for name, value in database.items() if value)
    return f"""
[databases]
journal = {connect}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
admin_users = console
pool_mode = transaction
max_client_conn = 200
server_tls_sslmode = disable
{chr(10).join(f"{name} = {value}" for name, value in settings.items())}
"""


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer did not start:\n{log.read_text()}") from error
            time.sleep(0.05)
        else:
            return


def _unprivileged_user() -> dict[str, Any]:
    """Return what makes a subprocess run as ``nobody`` where we are root, which PgBouncer refuses to run as."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
