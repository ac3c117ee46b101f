"""The tests' Postgres is a real one, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.servers.postgres import PostgresServer, execute, fresh_database

HELD_UNTIL_KILLED = """
import signal, time
# A shell starts background jobs with SIGINT ignored, and children inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.servers.postgres import PostgresServer
with PostgresServer() as server:
    print(server.folder, (server.folder / "data" / "postmaster.pid").read_text().split()[0], flush=True)
    time.sleep(600)
"""

CONNECTION_LEFT_OPEN = """
import asyncio, asyncpg, sys

async def hold():
    connection = await asyncpg.connect(sys.argv[1])
    print("connected", flush=True)
    await asyncio.sleep(600)
    await connection.close()

asyncio.run(hold())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer({"work_mem": "5MB"}) as server:
        yield server


def test_it_is_durable_and_takes_options(server: PostgresServer) -> None:
    [row] = execute(server.url(), "SELECT current_setting('fsync') AS fsync, current_setting('work_mem') AS work_mem")
    assert (row["fsync"], row["work_mem"]) == ("on", "5MB")


def test_it_answers_on_its_socket(server: PostgresServer) -> None:
    assert execute(server.socket_url(), "SELECT inet_server_addr() AS address")[0]["address"] is None


@pytest.mark.parametrize("over", ["url", "socket_url"])
def test_it_asks_for_the_password(server: PostgresServer, over: str) -> None:
    url = getattr(server, over)().replace(server.password, "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        execute(url, "SELECT 1")


@pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
def test_what_was_committed_outlives_a_restart(server: PostgresServer, mode: str) -> None:
    execute(server.url(), f"CREATE TABLE kept_{mode} AS SELECT 1 AS number")
    server.restart(mode)
    assert execute(server.url(), f"SELECT number FROM kept_{mode}")[0]["number"] == 1


def test_options_may_change_between_starts(server: PostgresServer) -> None:
    server.options["work_mem"] = "6MB"
    server.restart()
    assert execute(server.url(), "SHOW work_mem")[0]["work_mem"] == "6MB"


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="no_such_option"), PostgresServer({"no_such_option": "1"}):
        pass


def test_a_connection_that_was_left_open_is_found(server: PostgresServer) -> None:
    holder = None
    try:
        with pytest.raises(AssertionError, match="connections were left open"), fresh_database(server) as url:
            holder = subprocess.Popen([sys.executable, "-c", CONNECTION_LEFT_OPEN, url], stdout=subprocess.PIPE)
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"connected\n"
    finally:
        if holder is not None:
            holder.kill()
            holder.communicate()


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_its_owner_is_ended(ended_by: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", HELD_UNTIL_KILLED],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout is not None
    folder, postmaster = owner.stdout.readline().decode().split()
    assert Path(folder).is_dir()
    owner.send_signal(ended_by)
    owner.communicate()
    deadline = time.monotonic() + 60
    while Path(folder).exists() or is_running(int(postmaster)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
