"""A password and a value that nobody may see: every error is provoked, and all that is shown of it looked through.

Logging is at DEBUG, asyncio in debug mode, and tracebacks are printed with the locals of every frame.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import secrets
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import asyncpg
import pytest
from alembic import command as alembic_command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import create_async_engine

from jeeves_journal import (
    ConfigurationError,
    DecodeError,
    EncodeError,
    InvalidKeyError,
    JournaledRuntime,
    JournalError,
    JournalStore,
    PostgresJournalStore,
    PostgresRuntime,
    SchemaError,
    SQLAlchemyJournalStore,
    SqliteJournalStore,
    StoreClosedError,
    StoreError,
    StoreUnavailableError,
    migrations,
)
from tests.faults.figures import Figures
from tests.faults.showing import Secret, everything_logged, rendered_by_tools, shown_by, shown_of, shown_while
from tests.servers.postgres import execute, run_apart
from tests.stores.engines import for_asyncpg, url_of
from tests.stores.processes import environment
from tests.stores.servers import closed_port, locked_tables, silent_server, terminate_backends, with_database

# Both hold what a URL, a repr and a pickle each write in another way.
PASSWORD = Secret(f"k7Qz%+{secrets.token_hex(12)}/@é")
VALUE = Secret(f"v4Lu3'{secrets.token_hex(12)}\\")

ROOT = Path(__file__).parents[2]


class Place(NamedTuple):
    """Where a journal is, for a user whose password is the secret."""

    url: Callable[..., str]
    """The URL, with parts of it replaced."""
    admin: str
    """The URL of the same database for the superuser."""


@pytest.fixture(params=["user:password@", "?password="])
def place(request: pytest.FixtureRequest, migrated_postgres_url: str) -> Iterator[Place]:
    return (yield from _place(request.param, migrated_postgres_url))


@pytest.fixture(params=["user:password@", "?password="])
def empty_place(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Place]:
    return (yield from _place(request.param, postgres_url))


def _place(form: str, admin: str) -> Iterator[Place]:
    role = f"jj_{secrets.token_hex(4)}"
    password = PASSWORD.text
    parts = urlsplit(admin)

    def url(*, place: str = f"{parts.hostname}:{parts.port}", database: str = parts.path[1:], query: str = "") -> str:
        written = quote(password, safe="")
        if form == "?password=":
            return f"postgresql://{place}/{database}?user={role}&password={written}{query}"
        return f"postgresql://{role}:{written}@{place}/{database}?{query.removeprefix('&')}"

    execute(admin, f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    try:
        if execute(admin, "SELECT to_regclass('journal_steps')")[0][0]:
            execute(admin, f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}")
        yield Place(url, admin)
    finally:
        execute(admin, f"DROP OWNED BY {role}")
        execute(admin, f"DROP ROLE {role}")


def check(figures: Figures, shown: str) -> None:
    """Look for both secrets."""
    figures.refused += 1
    figures.others["characters looked through"] = figures.others.get("characters looked through", 0) + len(shown)
    assert len(shown) > 500, shown
    for secret in (PASSWORD, VALUE):
        seen = secret.seen_in(shown)
        figures.wrong += bool(seen)
        assert not seen, "\n".join(line for line in shown.splitlines() if secret.seen_in(line))


def put(url: str, value: Any = VALUE.text, *, timeout: float = 2, **options: Any) -> Callable[[], Awaitable[None]]:
    """Return a call that puts a step and closes the store."""

    async def run() -> None:
        async with JournalStore.from_url(url, timeout=timeout, **options) as store:
            await store.put_step("s", "n", value)

    return run


def test_the_search_finds_each_form_of_a_secret_and_the_frames_of_a_bare_driver_do_show_it():
    for form in (VALUE.text, quote(VALUE.text), pickle.dumps(VALUE.text).hex(), f"{VALUE.text!r}"):
        assert VALUE.seen_in(f"some {form} text")
    assert not VALUE.seen_in("some other text")
    url = f"postgresql://u:{quote(PASSWORD.text, safe='')}@127.0.0.1:{closed_port()}/db"
    assert PASSWORD.seen_in(shown_by(lambda: asyncpg.connect(url), OSError))


def test_a_server_that_cannot_be_used(place: Place, figures: Figures):
    down = f"127.0.0.1:{closed_port()}"
    for url, expected in {
        place.url(place=down): StoreUnavailableError,
        place.url(place=f"{down},{down}"): StoreUnavailableError,
        place.url(place="no-such-host.invalid"): StoreUnavailableError,
        place.url(database="nowhere"): ConfigurationError,
        place.url(query="&sslmode=require"): ConfigurationError,
        place.url(query="&sslmode=nonsense"): ConfigurationError,
        place.url(query="&sslrootcert=/nowhere&sslmode=verify-full"): ConfigurationError,
        place.url(query="&target_session_attrs=standby"): StoreUnavailableError,
        place.url(query="&jit=nonsense"): ConfigurationError,
        place.url(query="&schema=nowhere"): SchemaError,
    }.items():
        check(figures, shown_by(put(url), expected))


def test_an_error_as_rich_and_pytest_print_it(figures: Figures):
    url = f"postgresql://u:{quote(PASSWORD.text, safe='')}@127.0.0.1:{closed_port()}/db"
    bare = shown_while(lambda: asyncio.run(_bare(url)), OSError, show=rendered_by_tools)
    assert PASSWORD.seen_in(bare)
    check(figures, shown_while(lambda: asyncio.run(put(url)()), StoreUnavailableError, show=rendered_by_tools))


async def _bare(url: str) -> None:
    await asyncpg.connect(url)


def test_a_password_that_is_wrong(place: Place, figures: Figures):
    role = execute(place.admin, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'jj!_%' ESCAPE '!'")[0][0]
    execute(place.admin, f"ALTER ROLE {role} PASSWORD 'another'")
    check(figures, shown_by(put(place.url()), ConfigurationError))
    for connect in (PostgresJournalStore.connect, PostgresRuntime.connect):
        check(figures, shown_by(lambda connect=connect: connect(place.url(), timeout=2), ConfigurationError))


def test_a_server_that_does_not_answer(place: Place, figures: Figures):
    async def ask() -> None:
        async with silent_server() as port:
            await put(place.url(place=f"127.0.0.1:{port}"), timeout=0.3)()

    check(figures, shown_by(ask, StoreUnavailableError))


def test_a_connection_that_is_killed_and_not_let_in_again(place: Place, figures: Figures):
    async def lose() -> None:
        async with JournalStore.from_url(place.url(), timeout=2) as store:
            await store.put_step("s", "n", VALUE.text)
            execute(place.admin, f"ALTER ROLE {urlsplit(place.url()).username or _role(place)} NOLOGIN")
            assert terminate_backends(place.admin)
            await store.put_step("s", "n", VALUE.text)

    check(figures, shown_by(lose, ConfigurationError))


def _role(place: Place) -> str:
    return urlsplit(place.url()).query.partition("user=")[2].partition("&")[0]


def test_a_table_that_is_locked_and_a_put_that_is_cancelled(place: Place, figures: Figures):
    async def wait() -> None:
        async with locked_tables(place.admin):
            await put(place.url(), timeout=0.5)()

    check(figures, shown_by(wait, StoreUnavailableError))

    async def give_up() -> None:
        async with JournalStore.from_url(place.url()) as store:
            await store.get_step("s", "n")
            async with locked_tables(place.admin), asyncio.timeout(0.1):
                await store.put_step("s", "n", VALUE.text)

    check(figures, shown_by(give_up, TimeoutError))


def test_a_constraint_whose_error_quotes_the_row(place: Place, figures: Figures):
    execute(place.admin, "ALTER TABLE journal_steps ADD CONSTRAINT of_another CHECK (step_name <> 'n')")
    check(figures, shown_by(put(place.url()), StoreError))


def test_tables_that_are_missing_and_a_user_who_may_not_make_them(empty_place: Place, figures: Figures):
    execute(empty_place.admin, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    check(figures, shown_by(put(empty_place.url()), SchemaError))
    check(figures, shown_by(put(empty_place.url(), create_tables=True), ConfigurationError))


def test_a_callers_engine_and_pool(place: Place, figures: Figures):
    down = f"127.0.0.1:{closed_port()}"
    password = quote(PASSWORD.text, safe="")

    async def over_engine() -> None:
        engine = create_async_engine(for_asyncpg(f"postgresql://u:{password}@{down}/db"))
        try:
            await SQLAlchemyJournalStore(engine, timeout=2).put_step("s", "n", VALUE.text)
        finally:
            await engine.dispose()

    check(figures, shown_by(over_engine, StoreUnavailableError))

    async def over_pool() -> None:
        # None that it keeps up by itself: of that, asyncpg logs its own traceback.
        pool = await asyncpg.create_pool(place.url(), min_size=0, max_size=2)
        async with PostgresJournalStore(pool, timeout=2) as store:
            await store.put_step("s", "n", VALUE.text)
            execute(place.admin, f"ALTER ROLE {urlsplit(place.url()).username or _role(place)} NOLOGIN")
            assert terminate_backends(place.admin)
            await store.put_step("s", "n", VALUE.text)

    check(figures, shown_by(over_pool, ConfigurationError))


# The secret stands where nobody escaped it, or where no secret belongs.
BAD_URLS = [
    "postgresql://u:{}@127.0.0.1:notaport/db",
    "postgresql://u:x{}/y@127.0.0.1/db",
    "postgresql://u:x{}?y@127.0.0.1/db",
    "postgresql://u:{}@127.0.0.1:99999/db",
    "postgresql://u:{}@[::1/db",
    "postgresql://u:{}@127.0.0.1/db?colour=red",
    "postgresql://u:{0}@127.0.0.1/db?timeout={0}",
    "postgresql://u:{}@127.0.0.1/db?pool_size=-1",
    "postgresql://u@127.0.0.1/db?port=x&password={}",
    "mysql://u:{}@host/db",
    "u:{}@host/db",
    "memory://u:{}@host",
    "sqlite://u:{}@host/x.db",
]


@pytest.mark.parametrize("bad", BAD_URLS)
def test_urls_that_cannot_be_used(bad: str, figures: Figures):
    for text in (quote(PASSWORD.text, safe=""), PASSWORD.text.partition("%")[2]):
        url = bad.format(text)
        refused = ConfigurationError, StoreUnavailableError
        check(figures, shown_by(put(url), *refused))
        check(figures, shown_by(lambda url=url: PostgresJournalStore.connect(url, timeout=2), *refused))
        check(figures, shown_while(lambda url=url: migrations.upgrade(url, timeout=2), *refused))


def test_migrations_and_the_commands_that_run_them(place: Place, figures: Figures):
    urls = [place.url(place=f"127.0.0.1:{closed_port()}"), place.url(database="nowhere")]
    for url in urls:
        for command in (migrations.upgrade, migrations.current, migrations.check):
            refused = ConfigurationError, StoreUnavailableError
            check(figures, shown_while(lambda url=url, command=command: command(url, timeout=2), *refused))
    check(figures, shown_while(lambda: migrations.check(place.url(query="&schema=nowhere")), SchemaError))
    commands = [["db", command] for command in ("upgrade", "current", "check")]
    main = "import sys; from jeeves_journal.cli import main; sys.argv[0] = 'jeeves-journal'; main()"
    # The first fails before it connects, the second after.
    for url in urls:
        for command in commands if url is urls[1] else commands[:1]:
            check(figures, printed([sys.executable, "-c", main, *command, "--url", url]) + " " * 500)
        for given in (["-x", f"url={url}"], []):
            ran = printed([sys.executable, "-m", "alembic", *given, "upgrade", "head"], JEEVES_JOURNAL_URL=url)
            check(figures, ran + " " * 500)


def test_alembic_run_by_a_program(place: Place, figures: Figures, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JEEVES_JOURNAL_URL", place.url(database="nowhere"))
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    check(figures, shown_while(lambda: alembic_command.upgrade(config, "head"), CommandError))


def printed(command: list[str], **variables: str) -> str:
    """Return what a command that fails prints."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**environment(), **variables}, timeout=60
    )
    assert done.returncode, done
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


# -- values


class Unpicklable:
    """Shows the secret when it is printed, and has something inside that no pickle holds."""

    def __init__(self) -> None:
        self.text = VALUE.text
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return VALUE.text


class Undecodable:
    """Pickles, and cannot be made again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (), {"text": VALUE.text}


@pytest.fixture(params=["memory", "file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else url_of(request.param, request, tmp_path)


@pytest.fixture(params=["file", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


def test_values_and_keys_that_no_store_takes(url: str, figures: Figures):
    for value in (Unpicklable(), Undecodable(), [VALUE.text, {"inside": Unpicklable()}], VALUE.text * 1000):
        check(figures, shown_by(put(url, value, max_value_bytes=20_000), EncodeError))
        check(figures, shown_by(stepped(url, value), EncodeError))
        check(figures, shown_by(streamed(url, value), EncodeError))

    async def with_a_bad_key() -> None:
        async with JournalStore.from_url(url) as store:
            await store.put_step("s", "\0", VALUE.text)

    check(figures, shown_by(with_a_bad_key, InvalidKeyError))


def stepped(url: str, value: Any) -> Callable[[], Awaitable[None]]:
    """Return a call that runs a step with this result."""

    async def result() -> Any:
        return value

    async def run() -> None:
        store = JournalStore.from_url(url, max_value_bytes=20_000)
        async with JournaledRuntime(store) as runtime, runtime.session("s"):
            await runtime.step("n", result)

    return run


def streamed(url: str, value: Any) -> Callable[[], Awaitable[None]]:
    """Return a call that runs a stream with this one chunk."""

    async def chunks() -> Any:
        yield value

    async def run() -> None:
        store = JournalStore.from_url(url, max_value_bytes=20_000)
        async with JournaledRuntime(store) as runtime, runtime.session("s"):
            async for _ in runtime.stream_step("n", chunks):
                pass

    return run


def test_a_store_that_is_closed_or_in_another_loop(url: str, figures: Figures):
    async def after_the_end() -> None:
        store = JournalStore.from_url(url)
        await store.put_step("s", "n", VALUE.text)
        await store.aclose()
        await store.put_step("s", "n", VALUE.text)

    check(figures, shown_by(after_the_end, StoreClosedError))
    if url == "memory://":
        return

    async def in_another_loop() -> None:
        async with JournalStore.from_url(url) as store:
            await store.put_step("s", "n", VALUE.text)
            await asyncio.to_thread(asyncio.run, store.put_step("s", "n", VALUE.text))

    check(figures, shown_by(in_another_loop, StoreClosedError))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_store_in_the_child_of_a_fork(database_url: str, figures: Figures):
    async def in_the_child(store: Any) -> None:
        await store.put_step("s", "n", VALUE.text)

    async def fork() -> str:
        async with JournalStore.from_url(database_url) as store:
            await store.put_step("s", "n", VALUE.text)
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                try:
                    shown = run_apart_in_child(in_the_child(store))
                    os.write(writer, shown.encode()[:60_000])
                finally:
                    os._exit(0)
            os.close(writer)
            with os.fdopen(reader) as pipe:
                shown = await asyncio.to_thread(pipe.read)
            os.waitpid(child, 0)
            return shown

    def run_apart_in_child(work: Any) -> str:
        with everything_logged() as logged:
            try:
                asyncio.run(work)
            except StoreClosedError as error:
                return "\n".join([*logged, shown_of(error)])
        return ""

    check(figures, asyncio.run(fork()))


def test_rows_that_are_damaged(database_url: str, figures: Figures, tmp_path: Path):
    whole = pickle.dumps(VALUE.text)
    rows = {"cut": whole[:-3], "no footer": whole + b"\0", "ends like one": b"cnowhere\nNowhere\n" + whole, "odd": b"."}
    run_apart(_prepare(database_url))
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "app.db")) as connection, connection:
            for table, column in (("journal_steps", "value"), ("journal_streams", "chunks")):
                insert = f"INSERT INTO {table} (session_id, step_name, {column}, created_at) VALUES ('s', ?, ?, 1.0)"
                connection.executemany(insert, rows.items())
    else:
        for table, column in (("journal_steps", "value"), ("journal_streams", "chunks")):
            insert = f"INSERT INTO {table} (session_id, step_name, {column}, created_at) VALUES ('s', $1, $2, 1.0)"
            for row in rows.items():
                execute(database_url, insert, *row)

    async def replay(name: str) -> None:
        async with JournaledRuntime(JournalStore.from_url(database_url)) as runtime, runtime.session("s"):
            # The second one comes from what was read ahead.
            assert await runtime.step("whole", _never) == VALUE.text
            await runtime.step(name, _never)

    for name in rows:
        for ask in (
            lambda store, name=name: store.get_step("s", name),
            lambda store, name=name: store.get_stream("s", name),
            lambda store: store.get_steps("s"),
        ):
            check(figures, shown_by(_asking(database_url, ask), DecodeError))
        check(figures, shown_by(lambda name=name: replay(name), DecodeError))


async def _never() -> None:
    pytest.fail("a recorded step was run")


async def _prepare(url: str) -> None:
    async with JournalStore.from_url(url) as store:
        await store.put_step("s", "whole", VALUE.text)


def _asking(url: str, ask: Callable[[Any], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        async with JournalStore.from_url(url) as store:
            await ask(store)

    return run


def test_a_file_that_is_locked_and_a_disk_that_is_full(tmp_path: Path, figures: Figures):
    path = tmp_path / "journal.db"
    url = f"sqlite:///{path}"
    run_apart(_prepare(url))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        check(figures, shown_by(put(url, timeout=0.3), StoreUnavailableError))
        check(figures, shown_by(stepped_with_timeout(url), StoreUnavailableError))
        other.execute("ROLLBACK")

    async def fill() -> None:
        async with SqliteJournalStore(path) as store:
            await store.put_step("s", "first", VALUE.text)
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
            try:
                for number in range(1000):
                    await store.put_step("s", f"{number}", VALUE.text * 100)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    check(figures, shown_by(fill, StoreUnavailableError))
    check(figures, shown_by(put(f"sqlite:///{tmp_path}"), JournalError))
    with_noise = tmp_path / "noise.db"
    with_noise.write_bytes(VALUE.text.encode() * 1000)
    check(figures, shown_by(put(f"sqlite:///{with_noise}"), StoreError))


def stepped_with_timeout(url: str) -> Callable[[], Awaitable[None]]:
    async def result() -> str:
        return VALUE.text

    async def run() -> None:
        runtime = JournaledRuntime(JournalStore.from_url(url, timeout=0.3))
        async with runtime, runtime.session("s"):
            await runtime.step("n", result)

    return run


def test_no_repr_shows_a_password(place: Place, figures: Figures):
    url = place.url()
    store = JournalStore.from_url(url)
    engine = create_async_engine(for_asyncpg(with_database(place.admin, "x").replace("postgres:", "u:", 1)))
    shown = f"{store!r} {store!s} {vars(store)!r} {JournaledRuntime(store)!r} {SQLAlchemyJournalStore(engine)!r}"
    check(figures, shown + " " * 500)
