"""What a URL says about its database without asking a driver: enough to print DDL."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from jeeves_journal.errors import ConfigurationError
from jeeves_journal.options import POSTGRES_OPTIONS, StoreOptions, read_settings
from jeeves_journal.stores.dialects import ACCEPTED_URLS
from jeeves_journal.stores.dialects.postgres_dsn import PostgresURL

_DIALECTS: Final = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "postgresql+asyncpg": "postgresql",
}


class OfflineTarget(NamedTuple):
    """What DDL is printed for."""

    dialect: str
    """SQLAlchemy's name of it."""
    schema: str | None
    """The Postgres schema of the tables, where it is not the first of the search path."""


def offline_target(url: str, options: StoreOptions) -> OfflineTarget:
    """Return what a URL and options mean for DDL; neither a driver nor a server is needed.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
    """
    scheme, _, rest = url.partition("://")
    dialect = _DIALECTS.get(scheme)
    if dialect is None:
        raise ConfigurationError(f"the URL's scheme {scheme!r} is unknown", f"pass {ACCEPTED_URLS}")
    if dialect == "sqlite":
        settings = read_settings(options, dict(parse_qsl(rest.partition("?")[2], keep_blank_values=True)))
    else:
        settings = read_settings(options, PostgresURL(rest).options, accepted=POSTGRES_OPTIONS)
    return OfflineTarget(dialect, settings.schema)
