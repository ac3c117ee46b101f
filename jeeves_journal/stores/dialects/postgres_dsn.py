"""A Postgres URL: which part of its query is ours, and a secret that no repr shows."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlencode

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
    "statement_timeout",
    "target_session_attrs",
    "user",
)


class PostgresURL:
    """A URL for asyncpg. Its repr shows hosts and database only, also as a local variable in a traceback."""

    def __init__(self, url: str) -> None:
        """Take a URL apart.

        Args:
            url: What follows ``scheme://``.

        Raises:
            ConfigurationError: Its query part holds an option that nobody knows.
        """
        location, _, query = url.partition("?")
        theirs: list[tuple[str, str]] = []
        self.options: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in POSTGRES_OPTIONS:
                self.options[name] = value
            elif name in _DRIVER_OPTIONS or "." in name:
                theirs.append((name, value))
            else:
                accepted = ", ".join((*POSTGRES_OPTIONS, *_DRIVER_OPTIONS))
                raise ConfigurationError(f"unknown option {name!r} in the URL", f"Postgres URLs accept {accepted}")
        self._dsn = f"postgresql://{location}" + (f"?{urlencode(theirs)}" if theirs else "")
        # A password may hold a "?" that nobody escaped.
        self._shown = url.rpartition("@")[2].partition("?")[0]

    def reveal(self) -> str:
        """Return the whole URL, with its password, for the driver."""
        return self._dsn

    def __repr__(self) -> str:
        return self._shown
