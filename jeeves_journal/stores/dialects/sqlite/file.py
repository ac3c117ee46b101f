"""A SQLite file before SQLite opens it: its folders, its mode, and what may stand in its place."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jeeves_journal.errors import ConfigurationError, SchemaError, StoreUnavailableError
from jeeves_journal.stores.dialects.errors import MISSING_TABLES
from jeeves_journal.stores.dialects.sqlite.file_systems import network_file_system

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def prepare_file(path: Path, *, create: bool) -> tuple[int, int]:
    """Make an empty file that only its owner may read, unless there is one, and the folders above it.

    SQLite would create it with mode 0644. The files that it adds later (``-wal``, ``-shm``) take this one's mode.

    Returns:
        The device and inode of the file.

    Raises:
        ConfigurationError: The path is a folder or cannot be made, or it lies on a network file system.
        SchemaError: There is no file, and ``create`` is false.
        StoreUnavailableError: There is no room for it.
    """
    with _refusals_as_ours(path, "created" if create else "opened"):
        _refuse_network(path)
        if path.is_dir():
            raise ConfigurationError(f"{path} is a folder", "name a file in it")
        if not _is_there(path):
            if not create:
                remedy = f"check the path, where nothing was created, or {MISSING_TABLES}"
                raise SchemaError(f"there is no file {path}, and so no tables", remedy)
            target = path.resolve()
            _make_folders(target.parent)
            # Never a file that is there already: closing it would drop the locks of other connections in this process,
            # https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_.
            with suppress(FileExistsError):
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        found = path.stat()
        return found.st_dev, found.st_ino


def _is_there(path: Path) -> bool:
    """Return whether there is a file. ``Path.exists`` says no also where that cannot be told: for links in a circle."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def prepare_folders(path: Path) -> None:
    """Make the folders above a file.

    Raises:
        ConfigurationError: They cannot be made.
        StoreUnavailableError: There is no room for them.
    """
    with _refusals_as_ours(path, "created"):
        _make_folders(path.resolve().parent)


def holds_no_more_files(folder: Path) -> bool:
    """Return whether the file system of a folder has reached the number of files that it can hold."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    # Those that know no such number report 0 of 0.
    return room.f_files > 0 and room.f_favail == 0


def uri_of(path: Path) -> str:
    """Return the URI of a file, by which SQLite can be told not to make one where it finds none.

    An empty file that it made in the place of one that was taken away for a moment would have it delete that one's log.
    https://sqlite.org/uri.html
    """
    return f"file://{quote(os.fsencode(path))}"


class OpenFiles:
    """The files that are open under a database's name, which may come to stand for others."""

    def __init__(self, path: Path) -> None:
        """Remember what the names stand for now, while they are open."""
        # SQLite puts the others beside the file itself, and not beside a link to it.
        target = path.resolve()
        self._names = str(path), f"{target}-wal", f"{target}-shm"
        self._found = self._look()

    @property
    def database(self) -> tuple[int, int] | None:
        """The device and inode of the database; ``None`` if one of the files was not there."""
        return self._found[0] if self._found else None

    def are_in_place(self) -> bool:
        """Return whether the names stand for the same files as they did."""
        return self._found is not None and self._look() == self._found

    def _look(self) -> list[tuple[int, int]] | None:
        try:
            # Not Path.stat, which takes longer: every call comes by here.
            found = [os.stat(name) for name in self._names]  # noqa: PTH116
        except OSError:
            return None
        return [(status.st_dev, status.st_ino) for status in found]


class UnlockedFile:
    """A file that is read without locks, since its folder takes none of the files that hold them."""

    def __init__(self, path: Path) -> None:
        """Remember how the file is now."""
        self._path = path
        self._found = self._look()

    def is_unchanged(self) -> bool:
        """Return whether nobody has written to it since, as somebody with more rights may."""
        return self._look() == self._found

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def has_log(path: Path) -> bool:
    """Return whether there is a write-ahead log beside a file, and anything in it."""
    log = Path(f"{path.resolve()}-wal")
    return log.exists() and log.stat().st_size > 0


def would_leave_log(path: Path) -> bool:
    """Return whether SQLite, reading a file that this process may not write, would leave its log and locks beside it.

    They would be this process's, and keep those from writing who may write the file.
    """
    if os.access(path, os.W_OK) or not os.access(path.resolve().parent, os.W_OK):
        return False
    return not any(Path(f"{path.resolve()}{suffix}").exists() for suffix in ("-wal", "-journal"))


def _refuse_network(path: Path) -> None:
    target = path.resolve()
    found = next(each for each in (target, *target.parents) if each.exists())
    if kind := network_file_system(found):
        what = f"{path} is on a network file system ({kind}), where SQLite loses what several machines write"
        raise ConfigurationError(what, "choose a local disk, or Postgres")


@contextmanager
def _refusals_as_ours(path: Path, wanted: str) -> Generator[None]:
    try:
        yield
    except ConfigurationError:
        raise
    # RuntimeError: before Python 3.13, Path.resolve raises it for links in a circle.
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            what = f"{path} cannot be {wanted}: there is no room left"
            raise StoreUnavailableError(what, "make room, then try again") from error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{path} cannot be {wanted}: {reason}", "choose another path") from error


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
