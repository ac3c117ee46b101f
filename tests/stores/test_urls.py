"""What ``JournalStore.from_url`` takes, what it refuses, and what it never shows."""

from __future__ import annotations

import socket
import traceback
from pathlib import Path
from typing import Any

import pytest

from jeeves_journal import (
    ConfigurationError,
    EncodeError,
    InMemoryJournalStore,
    JournalStore,
    SQLAlchemyJournalStore,
    StoreUnavailableError,
)
from tests.stores.processes import printed_by

pytestmark = pytest.mark.anyio

SECRET = "hunter2-secret"
EACH_KIND = pytest.mark.parametrize("url", ["memory://", "sqlite:///x.db", "sqlite://", "postgresql://h/db"])


@pytest.mark.parametrize("url", ["memory://", "memory:///", "memory://?timeout=3"])
def test_memory_urls(url: str):
    assert isinstance(JournalStore.from_url(url), InMemoryJournalStore)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///x.db",
        "sqlite+aiosqlite:///x.db",
        "sqlite:////tmp/x.db",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:///:memory:",
        "postgresql://user:pw@host:5432/db",
        "postgres://host/db",
        "postgresql+asyncpg://host/db",
        "postgresql:///db?host=/var/run/postgresql",
        "postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write&sslmode=require",
        "postgresql://u@[::1]:5432/db?application_name=my%20app",
    ],
)
def test_sql_urls(url: str):
    assert isinstance(JournalStore.from_url(url), SQLAlchemyJournalStore)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://host/db",
        "sqlite+pysqlite:///x.db",
        "postgresql+psycopg://host/db",
        "SQLITE",
        "/tmp/journal.db",
        "",
        "://",
        "sqlite:/x.db",
    ],
)
def test_anything_else_is_refused_with_the_urls_that_are_accepted(url: str):
    with pytest.raises(ConfigurationError) as failed:
        JournalStore.from_url(url)
    for scheme in ("memory://", "sqlite:///", "postgresql://"):
        assert scheme in str(failed.value)


def test_a_password_with_slashes_of_a_url_without_a_scheme_is_not_shown():
    with pytest.raises(ConfigurationError) as failed:
        JournalStore.from_url("user:sec://ret@host/database")
    assert "sec" not in str(failed.value)


@pytest.mark.parametrize("url", [None, 7, b"memory://", Path("x.db")])
def test_what_is_no_text_is_refused(url: Any):
    with pytest.raises(ConfigurationError):
        JournalStore.from_url(url)


@pytest.mark.parametrize("url", ["sqlite://host/x.db", "sqlite://x.db", "sqlite+aiosqlite://journal.db"])
def test_a_sqlite_url_has_no_host(url: str):
    with pytest.raises(ConfigurationError, match="sqlite:///relative.db"):
        JournalStore.from_url(url)


@pytest.mark.parametrize("url", ["memory://host", "memory:///name", "memory:x"])
def test_a_memory_url_has_neither_host_nor_path(url: str):
    with pytest.raises(ConfigurationError, match="memory://"):
        JournalStore.from_url(url)


@EACH_KIND
async def test_the_common_options_are_taken_by_every_store_both_ways(url: str):
    for store in (
        JournalStore.from_url(url, timeout=2.5, max_value_bytes=1_000, create_tables=True),
        JournalStore.from_url(f"{url}?timeout=2.5&max_value_bytes=1000&create_tables=true"),
    ):
        # Before anything is connected to.
        with pytest.raises(EncodeError, match="max_value_bytes"):
            await store.put_step("s", "n", bytes(1_001))


def test_postgres_takes_further_options_both_ways():
    by_keyword = JournalStore.from_url("postgresql://h/db", pool_size=2, max_overflow=0, schema="jobs", pgbouncer=True)
    by_query = JournalStore.from_url("postgresql://h/db?pool_size=2&max_overflow=0&schema=jobs&pgbouncer=true")
    assert repr(by_keyword) == repr(by_query)


@EACH_KIND
@pytest.mark.parametrize("option", ["colour", "Timeout", "_sa", ""])
def test_an_unknown_option_is_refused_both_ways_with_those_that_are_accepted(url: str, option: str):
    for refused in (
        lambda: JournalStore.from_url(url, **{option: "1"}),
        lambda: JournalStore.from_url(f"{url}?{option}=1"),
    ):
        with pytest.raises(ConfigurationError, match="timeout") as failed:
            refused()
        assert repr(option) in str(failed.value)


@pytest.mark.parametrize("url", ["memory://", "sqlite:///x.db"])
@pytest.mark.parametrize("option", ["pool_size", "max_overflow", "schema", "pgbouncer"])
def test_an_option_that_means_nothing_on_a_store_is_refused_by_it(url: str, option: str):
    with pytest.raises(ConfigurationError, match=option):
        JournalStore.from_url(f"{url}?{option}=1")


@EACH_KIND
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", "soon"),
        ("timeout", "0"),
        ("timeout", "nan"),
        ("timeout", "inf"),
        ("timeout", ""),
        ("max_value_bytes", "0"),
        ("max_value_bytes", "1.5"),
        ("max_value_bytes", "2000000000"),
        ("create_tables", "maybe"),
        ("create_tables", ""),
    ],
)
def test_an_option_whose_value_means_nothing_is_refused_by_name(url: str, option: str, value: str):
    with pytest.raises(ConfigurationError, match=option):
        JournalStore.from_url(f"{url}?{option}={value}")


@pytest.mark.parametrize(
    ("option", "value"),
    [("pool_size", 0), ("pool_size", True), ("max_overflow", -1), ("schema", ""), ("schema", "x" * 64), ("schema", 1)],
)
def test_a_postgres_option_whose_value_means_nothing_is_refused_by_name(option: str, value: Any):
    with pytest.raises(ConfigurationError, match=option):
        JournalStore.from_url("postgresql://h/db", **{option: value})


async def test_a_keyword_wins_over_the_urls_query():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/db?timeout=300"
        async with JournalStore.from_url(url, timeout=0.2) as store:
            with pytest.raises(StoreUnavailableError, match="0.2 s"):
                await store.get_step("s", "n")


def test_an_option_given_twice_in_the_query_is_taken_or_refused_but_never_passed_on():
    with pytest.raises(ConfigurationError, match="timeout"):
        JournalStore.from_url("sqlite:///x.db?timeout=1&timeout=bad")


@EACH_KIND
def test_no_io_happens_before_the_first_call(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: object) -> None:
        raise AssertionError("a socket was connected or a name looked up")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    JournalStore.from_url(url)
    assert not list(tmp_path.iterdir())


# Two ways to be missing: nothing finds the module, or a finder that knows of it refuses it.
WITHOUT = {
    "not found": "sys.modules.update(aiosqlite=None, asyncpg=None)",
    "refused": "sys.meta_path.insert(0, Refusing())",
}


@pytest.mark.parametrize("url", ["sqlite:///x.db", "postgresql://h/db"])
@pytest.mark.parametrize("way", WITHOUT)
def test_a_missing_driver_is_named_with_how_to_install_it(url: str, way: str):
    script = f"""
        import sys

        class Refusing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("aiosqlite", "asyncpg"):
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

        {WITHOUT[way]}
        from jeeves_journal import ConfigurationError, JournalStore
        JournalStore.from_url("memory://")
        try:
            JournalStore.from_url(sys.argv[1])
        except ConfigurationError as error:
            print(error)
    """
    driver = "aiosqlite" if url.startswith("sqlite") else "asyncpg"
    assert f"pip install {driver}" in printed_by(script, url)


@pytest.mark.parametrize(
    "place",
    [
        "postgresql://jeeves:{secret}@127.0.0.1:{port}/db",
        "postgresql://127.0.0.1:{port}/db?user=jeeves&password={secret}",
        "postgresql://jeeves:{secret}@127.0.0.1:{port},127.0.0.1:{port}/db",
        "postgresql://jeeves:{secret}%40%2F@127.0.0.1:{port}/db",
        "postgresql://jeeves:x{secret}/y@127.0.0.1:{port}/db",
        "postgresql://jeeves:x{secret}?y@127.0.0.1:{port}/db",
        "postgresql://jeeves:{secret}@127.0.0.1:notaport/db",
        "postgresql://jeeves:{secret}@127.0.0.1:{port}/db?sslmode=nonsense",
        "postgresql://jeeves:{secret}@127.0.0.1:{port}/db?colour={secret}",
        "postgresql://jeeves:{secret}@127.0.0.1:{port}/db?timeout={secret}",
        "postgresql://jeeves:{secret}@[::1/db",
        "mysql://jeeves:{secret}@host/db",
        "jeeves:{secret}@host/db",
        "memory://jeeves:{secret}@host",
        "sqlite://jeeves:{secret}@host/x.db",
    ],
)
async def test_no_password_is_shown_in_a_repr_or_an_error(place: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = place.format(secret=SECRET, port=taken.getsockname()[1])
        shown = []
        try:
            store = JournalStore.from_url(url, timeout=2)
            shown.append(repr(store))
            async with store:
                await store.get_step("s", "n")
        except (ConfigurationError, StoreUnavailableError) as error:
            shown += [str(error), repr(error)]
    assert shown
    assert SECRET not in "\n".join(shown)


async def test_no_password_is_in_the_locals_of_a_traceback_through_our_frames():
    store = JournalStore.from_url(f"postgresql://jeeves:{SECRET}@127.0.0.1:1/db", timeout=2)
    async with store:
        with pytest.raises(StoreUnavailableError) as failed:
            await store.put_step("s", "n", 1)
    frames = traceback.TracebackException.from_exception(failed.value, capture_locals=True, max_group_depth=0).stack
    ours = [frame for frame in frames if "jeeves_journal" in frame.filename]
    assert ours
    assert not [frame.name for frame in ours if SECRET in repr(frame.locals)]


SECRETS = ["hun@ter2", "hun?ter2", "hun&ter2", "hun=ter2", "hun#ter2", "hun/ter2", "h:un@t?er&2"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "url", ["postgresql://user:{}@host/db", "postgresql://user@host/db?password={}", "postgresql://host/db?password={}"]
)
def test_no_part_of_a_password_is_shown_whatever_was_left_unescaped(url: str, secret: str):
    try:
        shown = repr(JournalStore.from_url(url.format(secret)))
    except ConfigurationError as error:
        shown = str(error)
    assert "ter2" not in shown
    assert "hun" not in shown
    assert "er&2" not in shown
