"""What every ``JournalStore`` keeps: its records, for many callers at once, until it is closed."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jeeves_journal.errors import EncodeError, StoreClosedError
from jeeves_journal.protocol import JournalStore
from jeeves_journal.testing.calls import at_once, every_call, recorded
from jeeves_journal.testing.records import RecordsContract
from jeeves_journal.testing.values import Unencodable


class JournalStoreContract(RecordsContract):
    """The promises of the five methods, as tests. A subclass overrides ``store``."""

    # -- many callers at once

    async def test_puts_at_once_are_all_recorded(self, store: JournalStore, session_id: str) -> None:
        async def put(number: int) -> None:
            await store.put_step(session_id, f"step-{number}", number)
            await store.put_stream(session_id, f"step-{number}", [number])

        await at_once(put, range(200))
        for number in range(200):
            assert await recorded(store, session_id, f"step-{number}") == number
            assert await store.get_stream(session_id, f"step-{number}") == [number]

    async def test_gets_at_once_get_each_their_own(self, store: JournalStore, session_id: str) -> None:
        for number in range(0, 100, 2):
            await store.put_step(session_id, f"step-{number}", number)
        found: dict[int, Any] = {}

        async def get(number: int) -> None:
            entry = await store.get_step(session_id, f"step-{number}")
            found[number] = entry and entry.value

        await at_once(get, range(100))
        assert found == {number: None if number % 2 else number for number in range(100)}

    async def test_puts_at_once_of_one_key_leave_one_of_their_values(
        self, store: JournalStore, session_id: str
    ) -> None:
        async def put(number: int) -> None:
            await store.put_step(session_id, "same", number)

        await at_once(put, range(100))
        assert await recorded(store, session_id, "same") in range(100)
        await store.put_step(session_id, "same", "after all of them")
        assert await recorded(store, session_id, "same") == "after all of them"

    async def test_a_get_after_a_put_sees_it_whatever_others_do(self, store: JournalStore, session_id: str) -> None:
        async def put_and_get(caller: int) -> None:
            for turn in range(10):
                await store.put_step(session_id, f"own-{caller}", (caller, turn))
                await store.put_step(session_id, "shared", (caller, turn))
                assert await recorded(store, session_id, f"own-{caller}") == (caller, turn)
                assert await store.get_step(session_id, "shared") is not None

        await at_once(put_and_get, range(20))

    async def test_a_refused_put_fails_nobody_else(self, store: JournalStore, session_id: str) -> None:
        refused: list[EncodeError] = []

        async def put(number: int) -> None:
            try:
                await store.put_step(session_id, f"step-{number}", Unencodable() if number % 5 == 0 else number)
            except EncodeError as error:
                refused.append(error)

        await at_once(put, range(50))
        assert len(refused) == 10
        for number in range(50):
            entry = await store.get_step(session_id, f"step-{number}")
            assert (entry and entry.value) == (number if number % 5 else None)

    # -- cancellation

    @pytest.mark.parametrize("delay", [0.0, 0.0002, 0.001, 0.005])
    async def test_a_cancelled_put_never_undoes_a_later_one(
        self, store: JournalStore, session_id: str, delay: float
    ) -> None:
        for number in range(20):
            with anyio.move_on_after(delay):
                await store.put_step(session_id, f"step-{number}", "cancelled")
            await store.put_step(session_id, f"step-{number}", "again")
            assert await recorded(store, session_id, f"step-{number}") == "again"
        await anyio.sleep(0.1)
        for number in range(20):
            assert await recorded(store, session_id, f"step-{number}") == "again"

    async def test_a_cancelled_get_harms_no_later_one(self, store: JournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        for delay in (0.0, 0.0001, 0.0005, 0.002):
            with anyio.move_on_after(delay):
                await store.get_step(session_id, "fetch")
            assert await recorded(store, session_id, "fetch") == 1

    async def test_a_cancelled_caller_harms_no_neighbour(self, store: JournalStore, session_id: str) -> None:
        scopes = [anyio.CancelScope() for _ in range(40)]
        acknowledged: list[int] = []

        async def put(number: int) -> None:
            with scopes[number]:
                await store.put_step(session_id, f"step-{number}", number)
                acknowledged.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(put, number)
            await anyio.lowlevel.checkpoint()
            for scope in scopes[::2]:
                scope.cancel()
        assert set(acknowledged) >= set(range(1, 40, 2))
        for number in acknowledged:
            assert await recorded(store, session_id, f"step-{number}") == number

    # -- closing

    async def test_a_store_may_be_closed_again(self, store: JournalStore) -> None:
        await store.aclose()
        await store.aclose()

    async def test_an_unused_store_may_be_closed_by_two_at_once(self, store: JournalStore) -> None:
        await at_once(lambda _: store.aclose(), range(2))

    async def test_a_used_store_may_be_closed_by_two_at_once(self, store: JournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        await at_once(lambda _: store.aclose(), range(2))
        with pytest.raises(StoreClosedError):
            await store.get_step(session_id, "fetch")

    async def test_a_closed_store_refuses_every_call(self, store: JournalStore, session_id: str) -> None:
        await store.put_step(session_id, "fetch", 1)
        await store.aclose()
        for call in every_call(store, session_id, "fetch"):
            with pytest.raises(StoreClosedError):
                await call()

    async def test_a_store_closed_before_its_first_use_refuses_every_call(
        self, store: JournalStore, session_id: str
    ) -> None:
        await store.aclose()
        for call in every_call(store, session_id, "fetch"):
            with pytest.raises(StoreClosedError):
                await call()

    async def test_closing_ends_each_call_in_flight_one_way_or_the_other(
        self, store: JournalStore, session_id: str
    ) -> None:
        ended: list[str] = []

        async def put(number: int) -> None:
            try:
                await store.put_step(session_id, f"step-{number}", number)
            except StoreClosedError:
                ended.append("refused")
            else:
                ended.append("recorded")

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(put, number)
            await anyio.lowlevel.checkpoint()
            await store.aclose()
        assert len(ended) == 50
