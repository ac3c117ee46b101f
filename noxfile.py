"""What is checked, and how: ``nox --list``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.error_on_external_run = True
# A Python that is not on this machine is reported as skipped. It is neither downloaded nor an error.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

# Each process starts a Postgres of its own.
AT_ONCE = ("--numprocesses=auto", "--maxprocesses=4")

# The release whose users we succeed, and whose journals open as they are.
JEEVES_AGENT = "jeevesagent==0.9.7"

CHECKOUT = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")
OLDEST, *NEWER = nox.project.python_versions(PROJECT)


def install(session: nox.Session, *groups: str, package: str | None = "-e.[all]") -> None:
    """Install the package and some of pyproject.toml's dependency groups."""
    if package:
        session.install(package)
    session.install(*nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the whole suite on SQLite and Postgres; without arguments, measure coverage too."""
    install(session, "tests")
    coverage = () if session.posargs else ("--cov", "--cov-report=term-missing:skip-covered")
    # Killed children leave their data files behind: not beside the code.
    data_file = CHECKOUT / ".nox" / "coverage" / "data"
    session.run("pytest", *AT_ONCE, *coverage, *session.posargs, env={"COVERAGE_FILE": str(data_file)})


@nox.session(python=NEWER)
def versions(session: nox.Session) -> None:
    """Run the whole suite on each newer Python that is on this machine."""
    install(session, "tests")
    session.run("pytest", *AT_ONCE, *session.posargs)


@nox.session(python=OLDEST)
def lowest(session: nox.Session) -> None:
    """Run the whole suite on the oldest Python with the oldest dependencies that pyproject.toml allows."""
    session.install("uv")
    session.run("uv", "pip", "install", "--resolution=lowest-direct", "-e.[all]", external=False)
    session.run("uv", "pip", "freeze")
    install(session, "tests", package=None)
    session.run("pytest", *AT_ONCE, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, and that imports go downwards only."""
    install(session, "lint", package=None)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check", "--diff")
    session.run("lint-imports")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types, strictly, with mypy and pyright."""
    install(session, "typing")
    session.run("mypy")
    session.run("pyright")


@nox.session
def migrations(session: nox.Session) -> None:
    """Run Alembic's own commands and the migration tests from the checkout, on SQLite and Postgres."""
    install(session, "tests")
    session.run("pytest", *AT_ONCE, "-m", "migrations", *session.posargs)


@nox.session
def jeevesagent(session: nox.Session) -> None:
    """Run the tests that need the real JeevesAgent: its agents on our stores, its journals read by us and back."""
    install(session, "tests")
    session.install(JEEVES_AGENT)
    session.run("pytest", *AT_ONCE, "tests/jeevesagent", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Lose power, connections, disks and processes, and count what is lost; --long for hours instead of minutes."""
    install(session, "tests")
    # What is kept up for hours does not hang.
    endless = ("-o", "faulthandler_timeout=0") if "--long" in session.posargs else ()
    session.run("pytest", *AT_ONCE, *endless, "tests/faults", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Run every example as the README tells a new user to, without extras."""
    session.install(".")
    session.run("python", "examples/crash_and_resume.py")
    session.install(JEEVES_AGENT)
    session.run("python", "examples/jeevesagent_agent.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what calls cost, beside JeevesAgent and the bare drivers; --quick for less than two minutes."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and from it the wheel, and use the installed wheel away from the checkout."""
    session.install("build")
    with TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--outdir", folder, silent=True)
        (wheel,) = Path(folder).glob("*.whl")
        session.install(str(wheel))
        session.chdir(folder)
        session.run("python", "-c", "import jeeves_journal as package; assert 'site-packages' in package.__file__")
        # Without the extra, the command says in one line how to get it.
        session.run("jeeves-journal", success_codes=[1])
        session.install(f"{wheel}[cli]")
        for command in ("upgrade", "current", "check", "sql"):
            session.run("jeeves-journal", "db", command, "--url=sqlite:///smoke.db")
        session.run("python", str(CHECKOUT / "examples" / "crash_and_resume.py"))
        session.chdir(CHECKOUT)
