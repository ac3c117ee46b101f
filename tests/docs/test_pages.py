"""The README and the pages tell the truth: their Python runs and prints what it says, and their tables are complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jeeves_journal import StoreOptions, errors
from jeeves_journal.options import Settings
from tests.stores.processes import complaints

CHECKOUT = Path(__file__).parents[2]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page, text in TEXTS.items()
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
]
# What is shown of a larger one runs nowhere by itself.
PROGRAMS = [block for block in BLOCKS if "asyncio.run(" in str(block.values)]
TEST_FILES = [block for block in BLOCKS if str(block.values[0]).startswith("# test_")]
LINKS = [
    pytest.param(page.parent / path, id=f"{page.stem}-{path}")
    for page, text in TEXTS.items()
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", text)
]
ROOMS = re.findall(r"^([a-z/_]+(?:\.py|/))(?:  |$)", TEXTS[CHECKOUT / "CONTRIBUTING.md"], flags=re.MULTILINE)


def run(*arguments: str, cwd: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, complaints(ended.stderr)) == (0, []), ended.stdout + ended.stderr
    return ended.stdout


def test_every_block_of_python_is_found() -> None:
    assert sum(text.count("```python") for text in TEXTS.values()) == len(BLOCKS)
    assert len(TEST_FILES) == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_prints_what_it_says(program: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(program)
    assert run("program.py", cwd=tmp_path).splitlines() == re.findall(r"# prints (.*)$", program, flags=re.MULTILINE)


@pytest.mark.parametrize("tests", TEST_FILES)
def test_a_test_file_passes(tests: str, tmp_path: Path) -> None:
    (tmp_path / "test_my_store.py").write_text(tests)
    assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", cwd=tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/python examples/crash_and_resume.py",
        "python3 -m venv .venv && .venv/bin/pip install nox && .venv/bin/nox -s tests",
    ],
)
def test_the_readme_opens_with_the_two_commands(command: str) -> None:
    assert command in TEXTS[CHECKOUT / "README.md"].splitlines()[:25]


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(docs/([^)#]+)\)", TEXTS[CHECKOUT / "README.md"]))
    assert linked >= {page.name for page in (CHECKOUT / "docs").glob("*.md")}


def test_the_table_of_options_is_complete_and_has_the_defaults() -> None:
    options = TEXTS[CHECKOUT / "docs" / "configuring.md"]
    table = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", options, flags=re.MULTILINE))
    assert table.keys() == StoreOptions.__annotations__.keys()
    for name in ("timeout", "max_value_bytes", "pool_size", "max_overflow"):
        assert float(table[name].split()[0]) == getattr(Settings(), name)


def test_the_error_tree_is_complete() -> None:
    shown = re.findall(r"^[│├└─ ]*(\w+Error)\b", TEXTS[CHECKOUT / "docs" / "errors.md"], flags=re.MULTILINE)
    assert sorted(shown) == sorted(name for name in vars(errors) if name.endswith("Error"))


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_exist(room: str) -> None:
    assert (CHECKOUT / "jeeves_journal" / room).exists()


@pytest.mark.parametrize("path", LINKS)
def test_links_lead_somewhere(path: Path) -> None:
    assert path.exists()
