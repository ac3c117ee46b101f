"""The hosts of a Postgres URL, of which some may be silent, down, no primary, or one that was superseded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] (it ships none)

from jeeves_journal.stores.dialects.postgres.dsn import PostgresURL
from jeeves_journal.stores.dialects.postgres.errors import SupersededError
from jeeves_journal.stores.dialects.postgres.protocols import Driver
from jeeves_journal.stores.dialects.postgres.timelines import Timelines

_connect: Final[Callable[..., Awaitable[Driver]]] = cast("Any", asyncpg).connect

# What asyncpg itself asks the next host after.
_NOT_THERE: Final = (OSError, asyncpg.CannotConnectNowError)


class Hosts:
    """The hosts of a URL: asked one after the other, first the one that was connected to last.

    asyncpg would do so too, but it lets a silent host have all the time, so that the next one is never asked.
    """

    def __init__(self, url: PostgresURL, *, are_poolers: bool) -> None:
        """Name the hosts; nothing is connected yet.

        Args:
            url: What names them.
            are_poolers: Whether each statement may be answered by another server than the last one.
        """
        self._urls = url.each_host()
        self._says_kind = url.says_kind()
        self._timelines = None if are_poolers else Timelines()

    async def connect(self, seconds: float, *, writes: bool, **settings: Any) -> Driver:
        """Return a connection to the first host that can be used.

        Args:
            seconds: How long this may take. Each host has an equal share.
            writes: Whether the host is known to take writes. If the URL leads to a standby then, it is passed over: it
                may not have yet what was recorded last.
            **settings: For asyncpg's ``connect``.

        Raises:
            Exception: What the last host that is not there was missed by; what asyncpg raises where all are there.
        """
        absent: Exception | None = None
        unsuited: Exception | None = None
        share = seconds / len(self._urls)
        if writes and not self._says_kind:
            settings["target_session_attrs"] = "read-write"
        for url in list(self._urls):
            its_end = asyncio.get_running_loop().time() + share
            try:
                driver = await _connect(url.reveal(), timeout=share, **settings)
                await self._admit(driver, its_end)
            except _NOT_THERE as error:
                absent = error
            except (asyncpg.TargetServerAttributeNotMatched, SupersededError) as error:
                unsuited = error
            else:
                self._urls.sort(key=lambda other: other is not url)
                return driver
        raise absent or unsuited or AssertionError("a URL has at least one host")

    def timeline_of(self, driver: Driver) -> object:
        """Return which timeline a connection's server is on, to be compared; None where it does not tell."""
        return None if self._timelines is None else self._timelines.of(driver)

    async def _admit(self, driver: Driver, deadline: float) -> None:
        if self._timelines is None:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._timelines.admit(driver)
        except BaseException:
            driver.terminate()
            raise
