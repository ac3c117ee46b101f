"""A Postgres URL: which part of its query is ours, and a secret that no repr shows."""

from __future__ import annotations

import os
from itertools import zip_longest
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote_plus, unquote_plus

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
        self._location = location
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
        self._theirs = theirs
        self._dsn = f"postgresql://{location}" + (f"?{'&'.join(theirs)}" if theirs else "")
        # With an "@" in what looks like the query, the part before may hold the beginning of a password.
        self._shown = "at a URL that may not be shown" if "@" in query else location.rpartition("@")[2]

    def reveal(self) -> str:
        """Return the whole URL, with its password, for the driver."""
        return self._dsn

    def each_host(self) -> list[Self]:
        """Return a URL for each of several hosts, in order, or this one alone.

        Unless it is said which kind of host is meant, it is one that takes writes.
        """
        places = self._places_in_location() or self._places_in_query()
        if len(places) < 2 or "," in os.environ.get("PGPORT", ""):
            return [self]
        kind = [] if self.says_kind() else ["target_session_attrs=read-write"]
        return [type(self)(f"{where}?{'&'.join([*query, *kind])}", any_setting=True) for where, query in places]

    def says_kind(self) -> bool:
        """Return whether it is said which kind of host is meant."""
        said = any(part.startswith("target_session_attrs=") for part in self._theirs)
        return said or "PGTARGETSESSIONATTRS" in os.environ

    def _places_in_location(self) -> list[tuple[str, list[str]]]:
        authority, slash, path = self._location.partition("/")
        credentials, at, hosts = authority.rpartition("@")
        return [(f"{credentials}{at}{host}{slash}{path}", self._theirs) for host in hosts.split(",") if host]

    def _places_in_query(self) -> list[tuple[str, list[str]]]:
        given = {name: unquote_plus(value) for name, _, value in (part.partition("=") for part in self._theirs)}
        hosts = given.get("host", "").split(",")
        ports = given["port"].split(",") if "port" in given else []
        if not all(hosts) or (ports and len(ports) != len(hosts)):
            return []
        others = [part for part in self._theirs if part.partition("=")[0] not in {"host", "port"}]
        return [
            (self._location, [*others, f"host={quote_plus(host)}", *([f"port={port}"] if port else [])])
            for host, port in zip_longest(hosts, ports)
        ]

    def unreadable_files(self) -> list[str]:
        """Return the options that name a file which this process cannot read."""
        return [name for name, path in self._files.items() if not (Path(path).is_file() and os.access(path, os.R_OK))]

    def __repr__(self) -> str:
        return self._shown
