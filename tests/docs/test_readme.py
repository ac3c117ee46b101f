"""The README tells the truth: its Python runs and prints what it says, and its tables are complete."""

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
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
PROGRAMS = [block for block in BLOCKS if not block.startswith("# test_")]
PROGRAMS_OF_PAGES = [
    pytest.param(block, id=page.stem)
    for page in sorted((CHECKOUT / "docs").glob("*.md"))
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    # What is shown of a larger one runs nowhere by itself.
    if "asyncio.run(" in block
]
TEST_FILES = [block for block in BLOCKS if block.startswith("# test_")]


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


def test_every_block_is_found() -> None:
    assert README.count("```python") == len(BLOCKS)
    assert (len(PROGRAMS), len(TEST_FILES)) == (4, 1)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_prints_what_it_says(program: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(program)
    assert run("program.py", cwd=tmp_path).splitlines() == re.findall(r"# prints (.*)$", program, flags=re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS_OF_PAGES)
def test_the_program_of_a_page_prints_what_it_says(program: str, tmp_path: Path) -> None:
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
def test_it_opens_with_the_two_commands(command: str) -> None:
    assert command in README.splitlines()[:25]


def test_the_table_of_options_is_complete_and_has_the_defaults() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", README, flags=re.MULTILINE))
    assert table.keys() == StoreOptions.__annotations__.keys()
    for name in ("timeout", "max_value_bytes", "pool_size", "max_overflow"):
        assert float(table[name].split()[0]) == getattr(Settings(), name)


def test_the_error_tree_is_complete() -> None:
    shown = re.findall(r"^[│├└─ ]*(\w+Error)\b", README, flags=re.MULTILINE)
    assert sorted(shown) == sorted(name for name in vars(errors) if name.endswith("Error"))


@pytest.mark.parametrize("room", re.findall(r"^([a-z/_]+(?:\.py|/))(?:  |$)", README, flags=re.MULTILINE))
def test_the_rooms_exist(room: str) -> None:
    assert (CHECKOUT / "jeeves_journal" / room).exists()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_links_lead_somewhere(path: str) -> None:
    assert (CHECKOUT / path).exists()
