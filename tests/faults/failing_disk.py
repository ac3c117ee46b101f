"""A disk that fails when it is told to, and shows what is on it after a loss of power."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Final, Literal

import pytest

from tests.stores.processes import environment

_SOURCE: Final = Path(__file__).with_name("failing_disk.c")

Failure = Literal["fail-sync", "fail-write", "full"]


class FailingDisk:
    """A disk on which a journal.db lies, for the processes that are started on it.

    Attributes:
        path: The journal, as processes see it: through the kernel's cache.
    """

    def __init__(self, folder: Path) -> None:
        """Compile what comes between a process and its files."""
        compiler = shutil.which("cc")
        if compiler is None or not sys.platform.startswith("linux"):
            pytest.skip("needs Linux and a C compiler")
        self._library, self._disk, files = folder / "failing_disk.so", folder / "disk", folder / "files"
        self._disk.mkdir()
        files.mkdir()
        self.path = files / "journal.db"
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", self._library, _SOURCE, "-ldl", "-lpthread"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    @contextmanager
    def failing(self, failure: Failure) -> Iterator[None]:
        """Let the disk fail in one way."""
        sign = self._disk / failure
        sign.touch()
        try:
            yield
        finally:
            sign.unlink()

    @contextmanager
    def holding_a_sync(self, begin: Callable[[], object]) -> Iterator[None]:
        """Let the first sync of what ``begin`` starts wait; the block is entered once it does."""
        sign = self._disk / "hold-sync"
        sign.touch()
        try:
            begin()
            deadline = time.monotonic() + 30
            while not (self._disk / "held").exists():
                assert time.monotonic() < deadline, "nobody came to sync"
                time.sleep(0.001)
            yield
        finally:
            sign.unlink()

    @contextmanager
    def process(self, script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        """Run a script on the disk; its first argument is the path. It is killed with the block."""
        command = [sys.executable, "-c", dedent(script), self.path, *map(str, arguments)]
        added = {"LD_PRELOAD": self._library, "FAILING_DISK": self._disk, "FAILING_DISK_FILES": self.path.parent}
        env = {**environment(), **{name: os.fspath(value) for name, value in added.items()}}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env) as process:
            try:
                yield process
            finally:
                process.kill()

    def lose_power(self, folder: Path) -> Path:
        """Return a journal as it is found when the machine starts again; no process may run on the disk."""
        folder.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            if (self._disk / name).exists():
                shutil.copy(self._disk / name, folder / name)
        return folder / "journal.db"
