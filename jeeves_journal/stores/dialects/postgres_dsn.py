"""A Postgres URL: which part of its query is ours, and a secret that no repr shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import POSTGRES_OPTIONS

# What asyncpg reads of libpq's parameters, https://magicstack.github.io/asyncpg/current/api/index.html#connection,
# and the run-time settings that it passes on to the server and that do not bear on what we promise.
_DRIVER_OPTIONS: Final = (
    "application_name",
    "database",
    "dbname",
    "gsslib",
    "host",
    "idle_in_transaction_session_timeout",
    "jit",
    "krbsrvname",
    "lock_timeout",
    "options",
    "passfile",
    "password",
    "port",
    "role",
    "search_path",
    "service",
    "servicefile",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "target_session_attrs",
    "user",
)

_FILE_OPTIONS: Final = ("sslcert", "sslcrl", "sslkey", "sslrootcert")


class PostgresURL:
    """A URL for asyncpg. Its repr shows hosts and database only, also as a local variable in a traceback."""

    def __init__(self, url: str, *, any_setting: bool = False) -> None:
        """Take a URL apart.

        Args:
            url: What follows ``scheme://``.
            any_setting: Whether an option that nobody here knows is passed on to the server as a setting.

        Raises:
            ConfigurationError: Its query part holds an option that nobody knows.
        """
        location, _, query = url.partition("?")
        theirs: list[str] = []
        self.options: dict[str, str] = {}
        self._files: dict[str, str] = {}
        for part in filter(None, query.split("&")):
            name, equals, value = part.partition("=")
            if name in _FILE_OPTIONS:
                self._files[name] = unquote_plus(value)
            if name in POSTGRES_OPTIONS:
                self.options[name] = unquote_plus(value)
            elif name in _DRIVER_OPTIONS or "." in name or (any_setting and equals and name.isidentifier()):
                theirs.append(part)
            else:
                # What stands there may be the rest of a password with an "&" or a "?" that nobody escaped.
                shown = repr(name) if equals and (not name or name.isidentifier()) and "@" not in query else "an option"
                accepted = ", ".join((*POSTGRES_OPTIONS, *_DRIVER_OPTIONS))
                raise ConfigurationError(f"unknown option in the URL: {shown}", f"Postgres URLs accept {accepted}")
        self._dsn = f"postgresql://{location}" + (f"?{'&'.join(theirs)}" if theirs else "")
        # With an "@" in what looks like the query, the part before may hold the beginning of a password.
        self._shown = "at a URL that may not be shown" if "@" in query else location.rpartition("@")[2]

    def reveal(self) -> str:
        """Return the whole URL, with its password, for the driver."""
        return self._dsn

    def unreadable_files(self) -> list[str]:
        """Return the options that name a file which this process cannot read."""
        return [name for name, path in self._files.items() if not (Path(path).is_file() and os.access(path, os.R_OK))]

    def __repr__(self) -> str:
        return self._shown
