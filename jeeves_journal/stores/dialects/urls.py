"""What a URL says about its database, without asking a driver."""

from __future__ import annotations

import os
import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import POSTGRES_OPTIONS, Settings, StoreOptions, read_settings
from jeeves_journal.stores.dialects.postgres.dsn import PostgresURL

_ACCEPTED: Final = "memory://, sqlite:///path, sqlite+aiosqlite:///:memory:, postgresql:// or postgres://"
# https://www.rfc-editor.org/rfc/rfc3986#section-3.1
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_DIALECTS: Final = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "postgresql+asyncpg": "postgresql",
}


class Target(NamedTuple):
    """What a URL and options name."""

    dialect: str
    """SQLAlchemy's name of the database."""
    settings: Settings
    place: str | PostgresURL
    """SQLite's path as it is in the file system, or where Postgres is."""


def parse_url(url: str, options: StoreOptions) -> Target:
    """Return what a URL and options name; neither a driver nor a server is needed.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
    """
    dialect, rest = _split(url)
    if dialect == "postgresql":
        return _postgres(rest, options, any_setting=False)
    location, _, query = rest.partition("?")
    host, _, path = location.partition("/")
    if host:
        raise ConfigurationError("a SQLite URL has no host", "write sqlite:///relative.db or sqlite:////absolute.db")
    settings = read_settings(options, dict(parse_qsl(query, keep_blank_values=True)))
    try:
        # Bytes, since a name that is not UTF-8 comes as surrogates from os.listdir, and is a legal name.
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        raise ConfigurationError("the path holds a character that no file's name can", "percent-encode it") from None
    return Target(dialect, settings, os.fsdecode(unquote_to_bytes(encoded)))


def parse_dsn(dsn: str, options: StoreOptions) -> Target:
    """Return what a DSN of Postgres names, which may hold any setting of the server.

    Raises:
        ConfigurationError: It names no Postgres, or an option cannot be used.
    """
    # As forgiving as asyncpg, whose parser of URLs is urllib's.
    scheme, separator, rest = dsn.partition("://") if isinstance(dsn, str) else (dsn, "", "")
    dialect, rest = _split(f"{scheme.strip().lower()}{separator}{rest}" if separator else dsn)
    if dialect != "postgresql":
        raise ConfigurationError("the URL is not Postgres's", "pass postgresql:// or postgres://")
    return _postgres(rest, options, any_setting=True)


def _split(url: object) -> tuple[str, str]:
    if not isinstance(url, str):
        raise ConfigurationError(f"the URL is not a str but {type(url).__name__}", f"pass {_ACCEPTED}")
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigurationError("this is not a URL", f"pass {_ACCEPTED}")
    if scheme == "memory":
        raise ConfigurationError(
            "a memory:// journal has no tables", "pass sqlite:///path, postgresql:// or postgres://"
        )
    dialect = _DIALECTS.get(scheme)
    if dialect is None:
        # What cannot be one may be the beginning of a password, of a URL without a scheme.
        shown = f"{scheme!r} " if _SCHEME.fullmatch(scheme) else ""
        raise ConfigurationError(f"the URL's scheme {shown}is unknown", f"pass {_ACCEPTED}")
    return dialect, rest


def _postgres(rest: str, options: StoreOptions, *, any_setting: bool) -> Target:
    place = PostgresURL(rest, any_setting=any_setting)
    return Target("postgresql", read_settings(options, place.options, accepted=POSTGRES_OPTIONS), place)
