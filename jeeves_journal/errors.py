"""The errors of the journal: nothing else escapes from it.

::

    JournalError
    ├─ ConfigurationError(ValueError)   unknown URL or option, missing driver; wrong path, password or privilege
    ├─ InvalidKeyError(ValueError)      names which key and why
    ├─ NotRecordedError(LookupError)    no such session or step to operate on
    ├─ AlreadyRecordedError             a session that was to be made is there
    ├─ BundleError                      this file is no whole bundle of a known format
    ├─ CodecError
    │  ├─ EncodeError                   this value cannot be recorded
    │  └─ DecodeError                   these bytes cannot be trusted or read
    │     └─ IntegrityError             checksum or MAC does not match
    └─ StoreError                       also: not a database, or damaged
       ├─ StoreUnavailableError         down, locked, full or timed out; retrying is right
       ├─ SchemaError                   missing, older or newer than this code
       └─ StoreClosedError              used after aclose, from two live event loops, or after a fork

A message has three parts: what happened, to which session and step, and what to do. It never holds a password or a
recorded value. What a driver raised is kept as ``__cause__``. Tracebacks are whole, but hold no local variable of the
frames beneath the caller's own: see ``tracebacks``.
"""

from __future__ import annotations

from typing import Self


class JournalError(Exception):
    """The root of the tree.

    Attributes:
        what: What happened.
        remedy: What to do about it, or ``""``.
        session_id: The session that the call was about, or ``None``.
        step_name: The step that the call was about, or ``None``.
    """

    def __init__(
        self, what: str, remedy: str = "", session_id: str | None = None, step_name: str | None = None
    ) -> None:
        # All four go to the base class, so that the error survives pickling on its way out of a process pool.
        super().__init__(what, remedy, session_id, step_name)
        self.what = what
        self.remedy = remedy
        self.session_id = session_id
        self.step_name = step_name

    def __str__(self) -> str:
        place = ", ".join(
            f"{label} {key!r}"
            for label, key in (("session", self.session_id), ("step", self.step_name))
            if key is not None
        )
        message = f"{self.what} ({place})" if place else self.what
        return f"{message}: {self.remedy}" if self.remedy else message

    def about(self, session_id: str | None, step_name: str | None = None) -> Self:
        """Return the same error for one caller: a new object that names its session and step.

        Callers that shared a batch share its fate, but not an exception object, whose traceback each would lengthen.
        """
        error = type(self)(self.what, self.remedy, session_id, step_name)
        error.__cause__ = self.__cause__
        return error


class ConfigurationError(JournalError, ValueError):
    """Unknown URL or option, missing driver; wrong path, password, database or privilege."""


class InvalidKeyError(JournalError, ValueError):
    """A session id or step name that no store accepts."""


class NotRecordedError(JournalError, LookupError):
    """There is no such session or step to operate on. To look for one that is not there is no error."""


class AlreadyRecordedError(JournalError):
    """A session that was to be made is there already, with records of its own."""


class BundleError(JournalError):
    """This file is no bundle, or a damaged one, or of a format that this code does not know. Nothing was imported."""


class CodecError(JournalError):
    """Between a value and its bytes."""


class EncodeError(CodecError):
    """This value cannot be recorded."""


class DecodeError(CodecError):
    """These bytes cannot be trusted or read."""


class IntegrityError(DecodeError):
    """Checksum or seal is missing or does not match: the bytes are not those that were written."""


class StoreError(JournalError):
    """The database failed in a way that trying again does not mend: not a database, damaged, or unforeseen."""


class StoreUnavailableError(StoreError):
    """Down, locked, full or timed out. Whether a put was recorded is unknown; putting again is right."""


class SchemaError(StoreError):
    """The journal's tables are missing, or of a revision that this code cannot use."""


class StoreClosedError(StoreError):
    """Used after ``aclose``, from a second live event loop, or in the child of a fork."""
