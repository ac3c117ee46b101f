"""A real PgBouncer in front of the tests' Postgres, in transaction mode."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.servers.postgres import execute
from tests.stores.processes import open_folder
from tests.stores.servers import closed_port


def find_pgbouncer() -> str | None:
    """Return the program, which distributions put where only administrators look for it."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/sbin")


@contextmanager
def pgbouncer(program: str, url: str, *, connections: int) -> Iterator[str]:
    """A PgBouncer with this many connections to the server; yields the database's URL through it."""
    with open_folder() as folder:
        port = closed_port()
        settings = folder / "pgbouncer.ini"
        settings.write_text(_settings(url, port, folder, connections))
        user = _unprivileged_user()
        for path in (folder, settings) if user else ():
            os.chown(path, user["user"], user["group"])
        log = (folder / "log").open("wb")
        process = subprocess.Popen([program, "-q", settings], stdout=log, stderr=log, cwd=folder, **user)
        try:
            bouncer_url = f"postgresql://tests:unused@127.0.0.1:{port}/journal"
            _wait_until_it_answers(process, port, folder / "log")
            yield bouncer_url
        finally:
            process.kill()
            process.wait()
            log.close()


def server_connections(url: str) -> int:
    """Return how many connections to the server it holds, by asking the server."""
    query = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    count: int = execute(url, query)[0]["n"]
    return count


def _settings(url: str, port: int, folder: Path, connections: int) -> str:
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
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
server_tls_sslmode = disable
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
