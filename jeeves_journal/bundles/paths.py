"""Files as a bundle needs them: whole under their name, or not there."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from jeeves_journal.errors import ConfigurationError


def check_path(path: object) -> Path:
    """Return a path.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        checked = Path(cast("Any", path))
        encoded = os.fsencode(checked)
    except (TypeError, UnicodeEncodeError):
        checked, encoded = None, b""
    if checked is None or b"\0" in encoded:
        raise ConfigurationError("path cannot be used", "pass a str or a pathlib.Path")
    return checked


@contextmanager
def explaining(path: Path, what: str) -> Generator[None]:
    """Turn what the operating system refuses into our error."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = "see that the path is right and may be used, and that there is room"
        raise ConfigurationError(f"{path} cannot be {what}: {reason}", remedy) from error


class NewFile:
    """A file that is made, and gets its name when it is whole.

    Until then it has none where Linux's file systems can do so, so that even a killed process leaves nothing behind;
    elsewhere a hidden one beside it.
    """

    def __init__(self, path: Path) -> None:
        """Prepare; no I/O."""
        self._path = path
        self._temporary: Path | None = None
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._is_discarded = False

    def check_free(self) -> None:
        """See that nothing has the name.

        Raises:
            ConfigurationError: Something does.
        """
        if os.path.lexists(self._path):
            raise self._taken()

    def create(self) -> BinaryIO:
        """Make the file. Nobody but its owner may read it: values may stand in it as they are.

        Raises:
            ConfigurationError: It cannot be made.
        """
        with self._lock, explaining(self._path, "written"):
            if self._is_discarded:
                raise AssertionError("whoever was to use it has been cancelled")
            descriptor = _unnamed(self._path.parent)
            if descriptor is None:
                descriptor, name = tempfile.mkstemp(prefix=".bundle-", suffix=".part", dir=self._path.parent)
                self._temporary = Path(name)
            self._file = os.fdopen(descriptor, "wb")
        return self._file

    def publish(self) -> None:
        """Give the file its name.

        Raises:
            ConfigurationError: Something has it by now.
        """
        if self._file is None:
            raise AssertionError("create() comes first")
        with explaining(self._path, "written"):
            try:
                if self._temporary is not None:
                    _name(self._temporary, self._path)
                else:
                    _name_unnamed(self._file.fileno(), self._path)
            except FileExistsError:
                raise self._taken() from None

    def sync_name(self) -> None:
        """Let the name outlast a power cut.

        Raises:
            ConfigurationError: It cannot.
        """
        if os.name != "posix":
            return
        with explaining(self._path, "written"):
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        """Close the file, and take away what has not got its name."""
        # A thread that nobody waits for any more may be making it.
        with self._lock:
            self._is_discarded = True
            if self._file is not None:
                # What is left in its buffer may not find room.
                with suppress(OSError):
                    self._file.close()
            if self._temporary is not None:
                with suppress(OSError):
                    self._temporary.unlink()

    def _taken(self) -> ConfigurationError:
        return ConfigurationError(f"{self._path} is there already", "delete it, or choose another path")


def _unnamed(folder: Path) -> int | None:
    """Return a new file without a name, or nothing where it could not be given one later."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except (AttributeError, OSError):
        return None
    if Path(f"/proc/self/fd/{descriptor}").exists():
        return descriptor
    os.close(descriptor)
    return None


def _name_unnamed(descriptor: int, path: Path) -> None:
    # The folder's descriptor changes nothing but the system call: link() would not follow a symbolic link of /proc's.
    # https://man7.org/linux/man-pages/man2/open.2.html on O_TMPFILE.
    at = os.open(path.parent, os.O_RDONLY)
    try:
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=at, follow_symlinks=True)
    finally:
        os.close(at)


def _name(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links. To rename would put it in the place of what is there.
        if os.path.lexists(path):
            raise FileExistsError from None
        temporary.rename(path)
