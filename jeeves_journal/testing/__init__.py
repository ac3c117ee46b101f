"""The contract suite: does a store keep what the protocol promises?

A store's tests are a subclass with one fixture; pytest and anyio's plugin, which comes with anyio, do the rest::

    from jeeves_journal.testing import JournalStoreContract

    class TestMyStore(JournalStoreContract):
        @pytest.fixture
        async def store(self):
            store = MyStore(...)
            yield store
            await store.aclose()

``ManagedJournalStoreContract`` holds all of ``JournalStoreContract`` and what ``ManagedJournalStore`` adds, and
``OperableJournalStoreContract`` all of that and what ``OperableJournalStore`` adds. Tests run on asyncio; a subclass
whose ``anyio_backend`` fixture returns ``"trio"`` runs them there. Every test uses session ids of its own, so that one
database may serve them all. Needs pytest, which Jeeves Journal itself does not.
"""

from __future__ import annotations

import pytest

# Without this a failing assert would not show its operands to a third party.
_ROOMS = "calls changing forking listing looking managed moving operable paging planting pruning records store"
pytest.register_assert_rewrite(*(f"{__name__}.{room}" for room in _ROOMS.split()))

from jeeves_journal.testing.managed import ManagedJournalStoreContract  # noqa: E402 (after the registration above)
from jeeves_journal.testing.operable import OperableJournalStoreContract  # noqa: E402 (after the registration above)
from jeeves_journal.testing.store import JournalStoreContract  # noqa: E402 (after the registration above)

__all__ = ["JournalStoreContract", "ManagedJournalStoreContract", "OperableJournalStoreContract"]
