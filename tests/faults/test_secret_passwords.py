"""A password that nobody may see: every error is provoked, and all that is shown of it looked through.

Logging is at DEBUG, asyncio in debug mode, and tracebacks are printed with the locals of every frame.
"""

from __future__ import annotations

import asyncio
import pickle
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import asyncpg
import pytest
from alembic import command as alembic_command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import create_async_engine

from jeeves_journal import (
    ConfigurationError,
    JournaledRuntime,
    JournalStore,
    PostgresJournalStore,
    PostgresRuntime,
    SchemaError,
    SQLAlchemyJournalStore,
    StoreError,
    StoreUnavailableError,
    migrations,
)
from tests.faults.figures import Figures
from tests.faults.showing import (
    PASSWORD,
    VALUE,
    check,
    put,
    rendered_by_tools,
    shown_by,
    shown_while,
)
from tests.servers.postgres import execute
from tests.stores.engines import for_asyncpg
from tests.stores.processes import environment
from tests.stores.servers import closed_port, locked_tables, silent_server, terminate_backends, with_database

ROOT = Path(__file__).parents[2]


class Place(NamedTuple):
    """Where a journal is, for a user whose password is the secret."""

    url: Callable[..., str]
    """The URL, with parts of it replaced."""
    admin: str
    """The URL of the same database for the superuser."""
    role: str
    """The user's name."""


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
        yield Place(url, admin, role)
    finally:
        execute(admin, f"DROP OWNED BY {role}")
        execute(admin, f"DROP ROLE {role}")


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
    execute(place.admin, f"ALTER ROLE {place.role} PASSWORD 'another'")
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
            execute(place.admin, f"ALTER ROLE {place.role} NOLOGIN")
            assert terminate_backends(place.admin)
            await store.put_step("s", "n", VALUE.text)

    check(figures, shown_by(lose, ConfigurationError))


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
            execute(place.admin, f"ALTER ROLE {place.role} NOLOGIN")
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


def test_no_repr_shows_a_password(place: Place, figures: Figures):
    url = place.url()
    store = JournalStore.from_url(url)
    engine = create_async_engine(for_asyncpg(with_database(place.admin, "x").replace("postgres:", "u:", 1)))
    shown = f"{store!r} {store!s} {vars(store)!r} {JournaledRuntime(store)!r} {SQLAlchemyJournalStore(engine)!r}"
    check(figures, shown + " " * 500)
