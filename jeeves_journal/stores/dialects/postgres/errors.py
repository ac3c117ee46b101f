"""What Postgres's and asyncpg's errors mean to a caller.

They are told apart by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html) and not by class:
SQLAlchemy gives some of them a class that says nothing, and a lost connection has none of its own.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs] (it ships none)

from jeeves_journal.errors import (
    ConfigurationError,
    EncodeError,
    JournalError,
    SchemaError,
    StoreError,
    StoreUnavailableError,
)
from jeeves_journal.stores.dialects.errors import MISSING_TABLES, OTHER_TABLES, unforeseen

_AGAIN: Final = "try again"
_PRIVILEGE: Final = "grant the user what it needs, or name another user"

# By SQLSTATE, or by its first two characters, the class.
_STATES: Final[dict[str, tuple[type[JournalError], str, str]]] = {
    "08": (StoreUnavailableError, "the connection was lost", _AGAIN),
    "22023": (ConfigurationError, "a setting in the URL has a value that the server refuses", "correct the URL"),
    "22021": (EncodeError, "the database's encoding cannot hold this", "use a database whose encoding is UTF8"),
    "22P05": (EncodeError, "the database's encoding cannot hold this", "use a database whose encoding is UTF8"),
    "25": (StoreUnavailableError, "the transaction was ended by the server", _AGAIN),
    "25006": (StoreUnavailableError, "the server takes no writes now", "try again, or name the primary"),
    # Statements that were prepared on one server connection are asked for on another.
    "26000": (ConfigurationError, "a pooler in transaction mode stands in between", "add ?pgbouncer=true to the URL"),
    "42P05": (ConfigurationError, "a pooler in transaction mode stands in between", "add ?pgbouncer=true to the URL"),
    "28": (ConfigurationError, "the user or password is refused", "check both"),
    "3D000": (ConfigurationError, "the database does not exist", "create it, or name another"),
    "3F000": (SchemaError, "the schema does not exist", MISSING_TABLES),
    "40": (StoreUnavailableError, "the transaction was rolled back by the server", _AGAIN),
    "42501": (ConfigurationError, "the user lacks a privilege", _PRIVILEGE),
    "42939": (ConfigurationError, "names that begin with pg_ are the server's own", "name another schema"),
    "42601": (ConfigurationError, "a setting in the URL cannot be read by the server", "correct the URL"),
    "42704": (ConfigurationError, "a setting in the URL is unknown to the server", "remove it from the URL"),
    "42703": (SchemaError, "the journal's tables have other columns", OTHER_TABLES),
    "42P10": (SchemaError, "the journal's tables lack their primary keys", OTHER_TABLES),
    "42809": (SchemaError, "the journal's tables are not tables", OTHER_TABLES),
    "42P01": (SchemaError, "the journal's tables are missing", MISSING_TABLES),
    "53": (StoreUnavailableError, "the server is out of connections, memory or disk", "relieve it, then try again"),
    "54": (EncodeError, "the value is too big for the database", "record a reference to it"),
    "55P02": (ConfigurationError, "a setting in the URL cannot be set there", "remove it from the URL"),
    "55": (StoreUnavailableError, "the tables are locked or in use", _AGAIN),
    "57": (StoreUnavailableError, "the server is shutting down or ended the call", _AGAIN),
    "58": (StoreUnavailableError, "the server's disk failed to read or write", "check the server, then try again"),
    "XX001": (StoreError, "the database is damaged", "restore it from a backup"),
    "XX002": (StoreError, "an index of the database is damaged", "run REINDEX"),
}

# A deadlock, a failed serialization, too many connections, a server that is going or coming back, or a connection that
# it ended because nothing was said on it.
_PASSING_STATES: Final = frozenset({"40001", "40P01", "53300", "57P01", "57P02", "57P03", "57P05", "25P03"})

# PgBouncer has one SQLSTATE for all that it says itself. This will not pass; a server that is away or busy will.
_POOLER_STATE: Final = "08P01"
_LASTING_REFUSALS: Final = ("unsupported", "config error", "no such", "auth", "not allowed")

# The parts of OpenSSL that read files; what goes wrong on the line comes from its part "SSL".
_FILE_LIBRARIES: Final = frozenset({"PEM", "X509"})


class SupersededError(Exception):
    """A connection leads to a primary in whose place another server was promoted."""


def explain(error: BaseException, where: str) -> JournalError:
    """Return our error for one of asyncpg's, or of the network's beneath it."""
    if isinstance(error, asyncpg.PostgresError):
        # It quotes the row that a constraint refuses, and with it the value.
        error.detail = None  # pyright: ignore[reportAttributeAccessIssue]  # no types there
        if known := _explain_state(error, where):
            return known
    if isinstance(error, ssl.SSLError) and (refused := _explain_tls(error)):
        what, remedy = refused
        return ConfigurationError(f"{where}: {what}", remedy)
    if isinstance(error, socket.gaierror):
        return StoreUnavailableError(f"{where}: the host name cannot be resolved", "check it, or try again")
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return ConfigurationError(f"{where}: the server offers no TLS", "turn it on there, or change sslmode")
    if is_connection_loss(error):
        what = f"{where}: the server cannot be reached ({type(error).__name__})"
        return StoreUnavailableError(what, "see that it runs, and that host and port are right, then try again")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return StoreUnavailableError(
            f"{where}: no host takes writes now, or is what target_session_attrs asks for", _AGAIN
        )
    if isinstance(error, SupersededError):
        what = f"{where}: another server was promoted in place of the one that answers, and has what was recorded since"
        remedy = "let the URL lead to that one; restart this process if it was given up, as for an older backup"
        return StoreUnavailableError(what, remedy)
    if isinstance(error, asyncpg.InterfaceError) and "another operation" in str(error):
        return StoreUnavailableError(f"{where}: the connection is in use by another task", _AGAIN)
    return unforeseen(error)


def _explain_state(error: asyncpg.PostgresError, where: str) -> JournalError | None:
    state = _sqlstate(error)
    if _is_lasting_refusal(error):
        what = f"{where}: the server or pooler refuses a setting, the user or the database (SQLSTATE {state})"
        return ConfigurationError(what, "correct the URL")
    for known in (state, state[:2]):
        if known in _STATES:
            kind, what, remedy = _STATES[known]
            return kind(f"{where}: {what} (SQLSTATE {state})", remedy)
    return None


def _explain_tls(error: ssl.SSLError) -> tuple[str, str] | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the server's certificate is not trusted", "check sslrootcert and the host"
    if error.library in _FILE_LIBRARIES or "PEM lib" in str(error):
        return "a TLS file that the URL names holds no certificate or key", "name another"
    return None


def is_connection_loss(error: BaseException) -> bool:
    """Return whether the connection is gone, or none could be made."""
    if isinstance(error, asyncpg.PostgresError):
        return _sqlstate(error).startswith("08") and not _is_lasting_refusal(error)
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, asyncpg.exceptions.ClientConfigurationError) and "closed" in str(error)
    if isinstance(error, asyncpg.InternalClientError):
        # Between the server's farewell and the end of the line, asyncpg knows that nothing works any more, but not why.
        return "cannot switch to state" in str(error)
    return isinstance(error, OSError)


def is_refused_write(error: BaseException) -> bool:
    """Return whether the server takes no writes, as a primary that became a standby."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def is_passing(error: BaseException, *, was_reached: bool) -> bool:
    """Return whether the same call is likely to succeed at once.

    Args:
        error: What ended the call.
        was_reached: Whether the server was ever there. One that never answered is more likely misnamed than restarting.
    """
    if isinstance(error, asyncpg.PostgresError) and _sqlstate(error) in {*_PASSING_STATES, _POOLER_STATE}:
        return not _is_lasting_refusal(error)
    # Between the end of a primary and the promotion of a standby, no host takes writes.
    is_between = isinstance(error, asyncpg.TargetServerAttributeNotMatched | SupersededError)
    return was_reached and (is_between or is_connection_loss(error))


def _is_lasting_refusal(error: asyncpg.PostgresError) -> bool:
    return _sqlstate(error) == _POOLER_STATE and any(sign in str(error) for sign in _LASTING_REFUSALS)


def _sqlstate(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")
