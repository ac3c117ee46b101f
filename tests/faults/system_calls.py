"""What processes ask of Linux, seen by strace."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

# A way to write that is missing here makes a check fail, and never pass.
_CALLS: Final = "write,pwrite64,fsync,fdatasync"

_BEGUN: Final = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\(\d+<(?P<path>[^>]*)>(?P<rest>.*)$")
_RESUMED: Final = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>.*= (?P<result>-?\d+)")
_RESULT: Final = re.compile(r"\) = (?P<result>-?\d+)[^\"]*$")
_WRITTEN: Final = re.compile(r'^, "(?P<data>[^"]*)", \d+(?:, (?P<offset>\d+))?')


@dataclass(frozen=True)
class Call:
    """A system call.

    Attributes:
        thread: Whose call it is.
        name: Of the call.
        path: Of the file that it is about.
        data: What it writes.
        offset: Where, if it says so.
    """

    thread: int
    name: str
    path: str
    data: bytes = b""
    offset: int = 0

    @property
    def is_sync(self) -> bool:
        return self.name in {"fsync", "fdatasync"}


@dataclass(frozen=True)
class Moment:
    """A call begins, or it has succeeded. Moments come in the order in which the processes were halted at them."""

    call: Call
    has_ended: bool


@contextmanager
def traced(processes: Sequence[int], log: Path) -> Iterator[None]:
    """Processes, and all that they fork from now on, are traced into a log; skip the test where that is impossible."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    attach = [part for process in processes for part in ("-p", str(process))]
    command = ["strace", "-f", "-y", "-xx", "-s", str(1 << 20), "-e", f"trace={_CALLS}", "-o", log, *attach]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        try:
            attached: set[str] = set()
            while len(attached) < len(processes):
                line = strace.stderr.readline()
                if "Operation not permitted" in line:
                    pytest.skip(f"this user may not trace processes: {line}")
                assert line, "strace has ended"
                # A server's process may have been about to end.
                attached |= set(re.findall(r"(\d+)(?= attached|\): No such process)", line))
            yield
        finally:
            # It lets go of the processes.
            strace.send_signal(signal.SIGINT)
            try:
                strace.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                strace.kill()
                raise


def moments(log: Path) -> Iterator[Moment]:
    """Read a log, in order."""
    pending: dict[str, Call] = {}
    with log.open(encoding="ascii") as lines:
        for line in lines:
            if resumed := _RESUMED.match(line):
                call = pending.pop(resumed["pid"], None)
                if call is not None and int(resumed["result"]) >= 0:
                    yield Moment(call, has_ended=True)
            elif begun := _BEGUN.match(line):
                call = _call(begun)
                yield Moment(call, has_ended=False)
                result = _RESULT.search(begun["rest"])
                if result is None:
                    pending[begun["pid"]] = call
                elif int(result["result"]) >= 0:
                    yield Moment(call, has_ended=True)


def _call(begun: re.Match[str]) -> Call:
    path = _unescaped(begun["path"]).decode()
    written = _WRITTEN.match(begun["rest"])
    if written is None:
        return Call(int(begun["pid"]), begun["name"], path)
    return Call(int(begun["pid"]), begun["name"], path, _unescaped(written["data"]), int(written["offset"] or 0))


def _unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()
