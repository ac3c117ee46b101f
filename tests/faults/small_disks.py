"""File systems that are soon full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest


class SmallDisk(Protocol):
    """A mounted file system."""

    folder: Path

    def fill(self) -> None:
        """Leave no room on it."""

    def make_room(self) -> None:
        """Let it have room again."""


class MemoryDisk:
    """A file system in memory, which can be given more of it."""

    def __init__(self, folder: Path, *options: str, kilobytes: int = 1024) -> None:
        """Mount it on a new folder, where that is allowed."""
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir()
        _mount("-t", "tmpfs", "-o", ",".join((f"size={kilobytes}k", *options)), "tmpfs", folder)

    def fill(self) -> None:
        _fill(self._ballast)

    def make_room(self, kilobytes: int = 65_536) -> None:
        self._ballast.unlink(missing_ok=True)
        _mount("-o", f"remount,size={kilobytes}k", self.folder)


class Ext4Disk:
    """A file system in a file."""

    def __init__(self, folder: Path) -> None:
        """Make and mount it on a new folder, where that is allowed."""
        self.folder = folder
        self._ballast = folder / "ballast"
        image = folder.with_suffix(".image")
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(16 * 1024 * 1024)
        maker = shutil.which("mkfs.ext4")
        if maker is None:
            pytest.skip("needs mkfs.ext4")
        # Without room that only root may use.
        subprocess.run([maker, "-q", "-m", "0", image], check=True, timeout=60)
        _mount("-o", "loop", image, folder)
        # What the journal may have is what goes when there is to be room.
        with self._ballast.open("wb") as file:
            file.write(bytes(4 * 1024 * 1024))

    def fill(self) -> None:
        _fill(self.folder / "more ballast")

    def make_room(self) -> None:
        (self.folder / "more ballast").unlink(missing_ok=True)
        self._ballast.unlink()


@contextmanager
def mounted(disk: SmallDisk) -> Iterator[SmallDisk]:
    """Take a disk away at the end."""
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk.folder], check=True, timeout=60)


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def _mount(*arguments: str | Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr}")
