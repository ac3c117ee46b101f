"""The example and the page for JeevesAgent's users tell the truth."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.processes import complaints, run_python

CHECKOUT = Path(__file__).parents[2]
EXAMPLE = CHECKOUT / "examples" / "jeevesagent_agent.py"
PAGE = (CHECKOUT / "docs" / "from-jeevesagent.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(program), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("where", ["temporary", "sqlite", "postgres"])
def test_the_example_executes_nothing_twice(where: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    arguments = () if where == "temporary" else ("--url", request.getfixturevalue(f"{where}_url"))
    for _ in range(1 if where == "temporary" else 2):
        ended = run(EXAMPLE, *arguments, cwd=tmp_path)
        assert (ended.returncode, complaints(ended.stderr)) == (0, []), ended.stdout + ended.stderr
        *_, replayed, executed, verdict = ended.stdout.splitlines()
        assert replayed == "replayed: model, turn 1, book_train, model, turn 2, book_room"
        assert executed == "executed after the kill: model, turn 3"
        assert verdict.startswith("OK: ")


def test_the_example_fails_where_calls_are_executed_twice(tmp_path: Path) -> None:
    ended = run(EXAMPLE, "--url", "memory://", cwd=tmp_path)
    assert ended.returncode == 1
    assert "FAILED: each call should have been executed once" in ended.stdout


def test_the_example_says_in_one_line_how_to_get_jeevesagent() -> None:
    ended = run_python(
        """
        import runpy, sys
        sys.modules["jeevesagent"] = None
        runpy.run_path(sys.argv[1], run_name="__main__")
        """,
        EXAMPLE,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "this example needs JeevesAgent: pip install jeevesagent==0.9.7\n"


def test_the_pages_program_runs(tmp_path: Path) -> None:
    run_it = 'import asyncio\nassert asyncio.run(agent.run("Hello", session_id="s")).output\n'
    (tmp_path / "program.py").write_text(f"{PROGRAM}\n{run_it}")
    ended = run(tmp_path / "program.py", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "journal.db").exists()


def test_the_table_has_three_cells_in_every_row() -> None:
    rows = re.findall(r"^\|.*\|$", PAGE, flags=re.MULTILINE)
    assert len(rows) > 15
    assert {row.count("|") for row in rows} == {4}


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)", PAGE))
def test_links_lead_somewhere(path: str) -> None:
    assert (CHECKOUT / "docs" / path).exists()
