"""One page of sessions, in either order, by whichever way to it is the shorter.

In the order of ids, one way goes from id to id until the page is full: long where few of them are as wanted. The other
one looks at all records of the wanted time: long where that is most of the journal. In the order of time, one way goes
from the latest record to earlier ones until the page is full: long where few of them are of a wanted session. The other
one looks at all sessions of the wanted prefix. Nobody knows beforehand, so both are tried by turns, with ever more
patience, which takes not much longer than the shorter one alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, nextafter
from typing import Final, NamedTuple

from jeeves_journal.arguments import recent_first
from jeeves_journal.records import SessionSummary
from jeeves_journal.stores.operations.finding import LATEST, MOST_IDS, Finder, IdRange

# Records. As many as a page of a hundred sessions has, most often, and read in a few milliseconds.
_FIRST_PATIENCE: Final = 16_384
_MORE_PATIENCE: Final = 4
# What it takes to read a record by its session, where one is an entry of the index by time.
_COST_BY_ID: Final = 16


class Mark(NamedTuple):
    """A place among the sessions, the most recent first."""

    last_recorded: float
    session_id: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which sessions belong to a page."""

    ids: IdRange
    oldest: float
    newest: float
    """Between these is the time of the last record."""
    mark: Mark | None
    """Behind which the page begins, the most recent first."""
    limit: int

    @property
    def is_any_time(self) -> bool:
        """Whether it does not matter when a session recorded its last."""
        return self.oldest == -LATEST and self.newest == LATEST

    def includes(self, session: SessionSummary) -> bool:
        """Return whether a session belongs to it."""
        if not (self.is_any_time or self.oldest <= session.last_recorded <= self.newest):
            return False
        return self.mark is None or recent_first(session) > (-self.mark.last_recorded, self.mark.session_id)


async def page_of(finder: Finder, wanted: Wanted, *, is_recent_first: bool) -> list[SessionSummary]:
    """Return one page."""
    way = _ByTime(finder, wanted) if is_recent_first else _ById(finder, wanted)
    patience = _FIRST_PATIENCE
    while True:
        # Whether it is short is known at once.
        page = await way.detour(patience)
        if page is None:
            page = await way.go_on(patience)
        if page is not None:
            return page
        patience *= _MORE_PATIENCE


class _ById:
    """A page in the order of ids."""

    def __init__(self, finder: Finder, wanted: Wanted) -> None:
        self._finder = finder
        self._wanted = wanted
        self._rest = wanted.ids
        self._at_once = min(wanted.limit, MOST_IDS)
        self._page: list[SessionSummary] = []

    async def go_on(self, patience: int) -> list[SessionSummary] | None:
        """Go from id to id; return ``None`` if that takes longer."""
        wanted, cost = self._wanted, 0
        while cost < patience:
            ids = await self._finder.next_ids(self._rest, self._at_once)
            found = await self._finder.summaries(ids)
            self._page += [found[each] for each in ids if wanted.includes(found[each])]
            if len(self._page) >= wanted.limit or len(ids) < self._at_once:
                return self._page[: wanted.limit]
            self._rest = replace(self._rest, after=ids[-1])
            self._at_once = MOST_IDS
            cost += _COST_BY_ID * sum(each.steps + each.streams for each in found.values())
        return None

    async def detour(self, patience: int) -> list[SessionSummary] | None:
        """Look at all records of that time; return ``None`` if there are too many, or no time is wanted."""
        wanted = self._wanted
        if wanted.is_any_time:
            return None
        ids = await self._finder.ids_between(self._rest, wanted.oldest, wanted.newest, patience)
        while ids and len(self._page) < wanted.limit:
            part, ids = ids[:MOST_IDS], ids[MOST_IDS:]
            found = await self._finder.summaries(part)
            self._page += [found[each] for each in part if wanted.includes(found[each])]
        return None if ids is None else self._page[: wanted.limit]


class _ByTime:
    """A page with the most recent first."""

    def __init__(self, finder: Finder, wanted: Wanted) -> None:
        self._finder = finder
        self._wanted = wanted
        self._newest = wanted.newest if wanted.mark is None else min(wanted.newest, wanted.mark.last_recorded)
        self._looked_at: set[str] = set()
        self._page: list[SessionSummary] = []

    async def go_on(self, patience: int) -> list[SessionSummary] | None:
        """Go from the latest records to earlier ones; return ``None`` if that takes longer."""
        wanted = self._wanted
        window = await self._finder.latest(wanted.ids, wanted.oldest, self._newest, patience)
        new = sorted(window.sessions.keys() - self._looked_at, key=lambda each: (-window.sessions[each], each))
        while new and len(self._page) < wanted.limit:
            count = min(MOST_IDS, wanted.limit - len(self._page))
            part, new = new[:count], new[count:]
            self._looked_at.update(part)
            found = await self._finder.summaries(part)
            # Others have later records, and their place is before the page, or they are not old enough.
            last_here = [found[each] for each in part if found[each].last_recorded == window.sessions[each]]
            self._page += [each for each in last_here if wanted.includes(each)]
        if window.floor is None or len(self._page) >= wanted.limit:
            return self._page
        self._newest = nextafter(window.floor, -inf)
        return None

    async def detour(self, patience: int) -> list[SessionSummary] | None:
        """Look at all sessions of that prefix; return ``None`` if they are too large, or no prefix is wanted."""
        if not self._wanted.ids.prefix:
            return None
        found = await self._finder.summaries_within(self._wanted.ids, patience // _COST_BY_ID)
        if found is None:
            return None
        return sorted(filter(self._wanted.includes, found.values()), key=recent_first)[: self._wanted.limit]
