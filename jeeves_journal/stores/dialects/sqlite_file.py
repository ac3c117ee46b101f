"""A SQLite file before SQLite opens it: its folders, its mode, and what may stand in its place."""

from __future__ import annotations

import os
from pathlib import Path

from jeeves_journal.errors import ConfigurationError


def prepare_file(path: Path, *, create: bool) -> None:
    """Make an empty file that only its owner may read, unless there is one, and the folders above it.

    SQLite would create it with mode 0644. The files that it adds later (``-wal``, ``-shm``) take this one's mode.

    Raises:
        ConfigurationError: The path is a folder, or cannot be made, or is not there and ``create`` is false.
    """
    try:
        if path.is_dir():
            raise ConfigurationError(f"{path} is a folder", "name a file in it")
        if path.exists():
            return
        if not create:
            raise ConfigurationError(f"there is no file {path}", "check the path; nothing was created")
        _make_folders(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{path} cannot be created: {reason}", "choose another path") from error


def _make_folders(folder: Path) -> None:
    """Make a folder so that a power cut does not undo it: SQLite syncs the file's own folder, not those above."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    parent = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
