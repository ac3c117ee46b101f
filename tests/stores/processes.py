"""Python processes for what one process cannot show: forks, crashes, contention and lost privileges."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Final

import jeeves_journal

_ROOT: Final = Path(jeeves_journal.__file__).parents[1]

# For scripts that must not be root, whom no file mode keeps out. What they will need is imported before.
BECOME_NOBODY: Final = """
import os, pwd
def become_nobody():
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
"""


def run_python(
    script: str, *arguments: object, flags: Sequence[str] = (), cwd: Path | None = None, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end; ``timeout`` in seconds."""
    command = [sys.executable, *flags, "-c", dedent(script), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, env=environment(), cwd=cwd
    )


def printed_by(script: str, *arguments: object, flags: Sequence[str] = (), cwd: Path | None = None) -> str:
    """Return what a script prints that must end well."""
    done = run_python(script, *arguments, flags=flags, cwd=cwd)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout.strip()


def run_together(script: str, arguments: Sequence[Sequence[object]]) -> list[str]:
    """Run a script in many processes that start their work at the same moment; return what each printed.

    The script prints "ready" and then waits for a line on its standard input.
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(_started(script, row)) for row in arguments]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready", process.communicate()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=120) for process in processes]
    for process, (out, err) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, f"{out}{err}"
    return [out.strip() for out, _ in outputs]


class Team:
    """Processes that run one script and do each piece of work at the same moment.

    The script prints "ready", then answers each line of its standard input with one line.
    """

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        """Take processes that were just started, and wait until all are ready."""
        self._processes = processes
        assert self._heard() == ["ready"] * len(processes)

    def ask(self, line: str) -> list[str]:
        """Give every process the same line, and return what each answers."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
        return self._heard()

    def _heard(self) -> list[str]:
        heard = []
        for process in self._processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()
            heard.append(line.rstrip("\n"))
        return heard


@contextmanager
def team(script: str, arguments: Sequence[Sequence[object]]) -> Iterator[Team]:
    """Start a process for each row of arguments; they are ended with the block."""
    with ExitStack() as stack:
        yield Team([stack.enter_context(_started(script, row)) for row in arguments])


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="jj-open-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def give_to_nobody(path: Path) -> None:
    """Let the unprivileged user own a file, where we are root."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


@contextmanager
def _started(script: str, arguments: Sequence[object]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", dedent(script), *map(str, arguments)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment())
    with process:
        try:
            yield process
        finally:
            process.kill()


def complaints(stderr: str) -> list[str]:
    """Return the lines of stderr, without the warning of this machine's SQLite."""
    return [line for line in stderr.splitlines() if "has the WAL-reset bug" not in line]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT)}
