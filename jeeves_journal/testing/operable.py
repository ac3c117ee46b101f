"""What every ``OperableJournalStore`` keeps beyond the calls of a run."""

from __future__ import annotations

import pytest

from jeeves_journal.errors import StoreClosedError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.testing.calls import every_operation
from jeeves_journal.testing.changing import ChangingContract
from jeeves_journal.testing.forking import ForkingContract
from jeeves_journal.testing.listing import ListingContract
from jeeves_journal.testing.looking import LookingContract
from jeeves_journal.testing.moving import MovingContract
from jeeves_journal.testing.paging import PagingContract
from jeeves_journal.testing.pruning import PruningContract


class OperableJournalStoreContract(
    ListingContract,
    PagingContract,
    LookingContract,
    ChangingContract,
    ForkingContract,
    PruningContract,
    MovingContract,
):
    """``ManagedJournalStoreContract``, and all that operators ask. A subclass overrides ``store``.

    Its tests prune what was recorded before 1980, so that nothing but their own is pruned.
    """

    @pytest.fixture
    def store(self) -> OperableJournalStore:
        """Return an open store. Override it; close the store at the end, though the test may have done so."""
        raise NotImplementedError(f"{type(self).__qualname__} has to override the fixture `store`")

    async def test_it_is_an_operable_journal_store(self, store: OperableJournalStore) -> None:
        assert isinstance(store, OperableJournalStore)

    async def test_a_closed_store_is_not_operated(self, store: OperableJournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        await store.aclose()
        for call in every_operation(store, session_id):
            with pytest.raises(StoreClosedError):
                await call()
