"""How long the faults are kept up, and the figures that each test prints."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from random import Random

import pytest

from tests.faults.figures import Figures


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
