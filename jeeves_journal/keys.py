"""What a key may be: a session id or a step name.

The rules are the same on every store and are checked before any I/O. They are the narrowest of the databases': Postgres
takes no NUL in text (SQLSTATE 22021) and refuses index rows over 2,704 bytes depending on how well they compress, and
neither database stores a lone surrogate.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from jeeves_journal.errors import InvalidKeyError

MAX_KEY_BYTES: Final = 1_000


def check_key(label: str, key: object) -> str:
    """Return ``key`` as a plain ``str``.

    A member of a ``str`` enumeration becomes its value, which is what a database would store and find again.

    Args:
        label: Which key this is, for the message: ``"session_id"`` or ``"step_name"``.
        key: What the caller passed.

    Raises:
        InvalidKeyError: It is not a string, is empty, holds a NUL or a lone surrogate, or is over 1,000 bytes of UTF-8.
    """
    if not isinstance(key, str):
        raise _refused(label, f"is not a str but {type(key).__name__}")
    if type(key) is not str:
        key = str.__str__(key)
    if not key:
        raise _refused(label, "is empty")
    if "\0" in key:
        raise _refused(label, "holds a NUL character")
    if key.isascii():
        size = len(key)
    else:
        try:
            size = len(key.encode())
        except UnicodeEncodeError as error:
            raise _refused(label, f"holds a lone surrogate at index {error.start}") from None
    if size > MAX_KEY_BYTES:
        raise _refused(label, f"has {size:,} bytes of UTF-8")
    return key


def check_keys(session_id: object, step_name: object) -> tuple[str, str]:
    """Return both keys as plain ``str``; see ``check_key``."""
    # Nearly every call is let through here, where both keys are looked at together.
    if type(session_id) is str and type(step_name) is str:
        has_room = 0 < len(session_id) <= MAX_KEY_BYTES and 0 < len(step_name) <= MAX_KEY_BYTES
        if has_room and (both := session_id + step_name).isascii() and "\0" not in both:
            return session_id, step_name
    return check_key("session_id", session_id), check_key("step_name", step_name)


def is_text(key: object) -> TypeGuard[str]:
    """Return whether a database can be asked for a key. SQLite also keeps texts that are no UTF-8."""
    if not isinstance(key, str):
        return False
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(label: str, reason: str) -> InvalidKeyError:
    return InvalidKeyError(
        f"{label} {reason}", f"pass a non-empty str without NUL, at most {MAX_KEY_BYTES:,} bytes of UTF-8"
    )
