"""How long the faults are kept up, the figures that each test prints, and servers and poolers that may come to harm."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from random import Random

import pytest

from jeeves_journal import migrations
from tests.faults.figures import Figures
from tests.servers.postgres import PostgresServer, fresh_database
from tests.stores.pgbouncer import find_pgbouncer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="keep the faults up for hours instead of minutes")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # Those of the tests' teardown, which pytest files under no name: earlier ones do not have the figures yet.
    reports = [*terminalreporter.getreports(""), *terminalreporter.getreports("error")]
    reports = [report for report in reports if isinstance(report, pytest.TestReport)]
    lines = [(report.nodeid, text) for report in reports for name, text in report.user_properties if name == "figures"]
    if lines:
        terminalreporter.section("figures")
    for nodeid, text in sorted(lines):
        terminalreporter.write_line(f"{nodeid.partition('tests/faults/')[2]}: {text}")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the run may take hours."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """What the test counts, printed at the end of the run."""
    figures = Figures()
    yield figures
    request.node.user_properties.append(("figures", str(figures)))


@pytest.fixture
def dice(figures: Figures) -> Random:
    """What faults are drawn from; its seed is printed."""
    seed = secrets.randbelow(1_000_000)
    figures.others["seed"] = str(seed)
    return Random(seed)


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[PostgresServer]:
    """A server that may be killed, with few connections."""
    with PostgresServer({"max_connections": "12"}) as server:
        yield server


@pytest.fixture
def mortal_url(mortal_server: PostgresServer) -> Iterator[str]:
    """The URL of a database in it with the journal's tables."""
    with fresh_database(mortal_server) as url:
        migrations.upgrade(url)
        yield url


@pytest.fixture
def bouncer_program() -> str:
    """The path of PgBouncer."""
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    return program
