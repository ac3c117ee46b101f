"""A run that is copied up to a step, and goes its own way from there."""

from __future__ import annotations

import pytest

from jeeves_journal.codecs import Keyring
from jeeves_journal.errors import AlreadyRecordedError, DecodeError, InvalidKeyError, JournalError, NotRecordedError
from jeeves_journal.operable import OperableJournalStore
from jeeves_journal.records import Kind
from jeeves_journal.testing import values
from jeeves_journal.testing.calls import at_once, recorded
from jeeves_journal.testing.managed import ManagedJournalStoreContract
from jeeves_journal.testing.planting import names, plant, record, sealed, stored


class ForkingContract(ManagedJournalStoreContract):
    """A fork has the records and times of its source, and shares nothing with it. A subclass overrides ``store``."""

    @pytest.fixture
    def fork(self, session_id: str) -> str:
        """Return a session to fork into."""
        return f"{session_id}-fork"

    async def test_a_fork_has_what_its_source_has(
        self, store: OperableJournalStore, session_id: str, fork: str
    ) -> None:
        await store.put_step(session_id, "a", values.Point(1, 2.0))
        await store.put_stream(session_id, "b", ["Hel", "lo"])
        await store.put_step(session_id, "c", None)
        assert await store.fork_session(session_id, fork) == 3
        assert await store.get_steps(fork) == await store.get_steps(session_id)
        assert await store.get_stream(fork, "b") == ["Hel", "lo"]
        assert await store.steps(fork) == await store.steps(session_id)

    async def test_a_fork_leaves_its_source_as_it_is(
        self, store: OperableJournalStore, session_id: str, fork: str
    ) -> None:
        await store.put_step(session_id, "a", 1)
        await store.put_stream(session_id, "b", [2])
        before = await stored(store, session_id)
        await store.fork_session(session_id, fork, before="b")
        assert await stored(store, session_id) == before

    @pytest.mark.parametrize(("before", "left"), [("a", []), ("b", ["a"]), ("c", ["a", "b"]), ("d", ["a", "b", "c"])])
    async def test_a_fork_ends_before_a_step_or_stream(
        self, store: OperableJournalStore, session_id: str, fork: str, before: str, left: list[str]
    ) -> None:
        await store.put_step(session_id, "a", "a")
        await store.put_stream(session_id, "b", ["b"])
        await store.put_step(session_id, "c", "c")
        await store.put_stream(session_id, "d", ["d"])
        assert await store.fork_session(session_id, fork, before=before) == len(left)
        assert await names(store, fork) == left

    @pytest.mark.parametrize(
        ("steps", "streams"),
        [
            ({"first": 1.0, "same": 2.0, "between": 3.0}, {"same": 4.0}),
            ({"first": 1.0, "same": 4.0, "between": 3.0}, {"same": 2.0}),
            ({"first": 1.0, "a": 2.0, "same": 2.0, "z": 2.0}, {"b": 2.0}),
        ],
    )
    async def test_a_fork_before_a_step_is_a_copy_rewound_to_it(
        self,
        store: OperableJournalStore,
        session_id: str,
        fork: str,
        steps: dict[str, float],
        streams: dict[str, float],
    ) -> None:
        await plant(store, session_id, steps, streams)
        assert await store.fork_session(session_id, fork, before="same") == 1
        await store.rewind(session_id, "same")
        assert await store.steps(fork) == await store.steps(session_id)
        assert await names(store, fork) == ["first"]

    async def test_a_fork_and_its_source_go_on_separately(
        self, store: OperableJournalStore, session_id: str, fork: str
    ) -> None:
        for name in ("a", "b", "c"):
            await store.put_step(session_id, name, "source")
        await store.fork_session(session_id, fork, before="b")
        await store.put_step(fork, "b", "fork")
        await store.put_step(session_id, "d", "source")
        await store.put_step(session_id, "a", "source again")
        assert await names(store, fork) == ["a", "b"]
        assert await names(store, session_id) == ["b", "c", "d", "a"]
        assert await recorded(store, fork, "a") == "source"
        assert await recorded(store, fork, "b") == "fork"
        assert await recorded(store, session_id, "b") == "source"
        await store.delete_session(session_id)
        assert await names(store, fork) == ["a", "b"]

    async def test_a_fork_may_be_forked(self, store: OperableJournalStore, session_id: str, fork: str) -> None:
        for name in ("a", "b", "c"):
            await store.put_step(session_id, name, [name])
        await store.fork_session(session_id, fork, before="c")
        assert await store.fork_session(fork, f"{fork}-fork", before="b") == 1
        assert await recorded(store, f"{fork}-fork", "a") == ["a"]

    async def test_a_large_session_is_forked_whole(
        self, store: OperableJournalStore, session_id: str, fork: str
    ) -> None:
        steps = {f"step-{number}": float(number) for number in range(2_500)}
        await plant(store, session_id, steps, steps)
        assert await store.fork_session(session_id, fork) == 5_000
        assert await store.steps(fork) == await store.steps(session_id)
        assert [await store.delete_session(each) for each in (session_id, fork)] == [5_000, 5_000]
        await store.put_step(f"{session_id}-large", "fetch", bytes(range(256)) * 20_000)
        await store.fork_session(f"{session_id}-large", f"{fork}-large")
        assert await recorded(store, f"{fork}-large", "fetch") == bytes(range(256)) * 20_000

    @pytest.mark.parametrize("data", [b"", b"\0", b"\x80\x05N.", b"?" * 100])
    async def test_what_has_no_seal_is_copied_as_it_is(
        self, store: OperableJournalStore, session_id: str, fork: str, data: bytes
    ) -> None:
        await store.restore_session(session_id, [record(session_id, "fetch", 1.0, data=data)])
        await store.fork_session(session_id, fork)
        assert await stored(store, fork) == [record(fork, "fetch", 1.0, data=data)]

    async def test_what_is_sealed_by_an_unknown_key_is_not_copied(
        self, store: OperableJournalStore, session_id: str, fork: str
    ) -> None:
        data = sealed(("step", session_id, "fetch", 2.0), Keyring.generate())
        records = [record(session_id, "first", 1.0), record(session_id, "fetch", 2.0, data=data)]
        await store.restore_session(session_id, records)
        with pytest.raises(DecodeError) as refusal:
            await store.fork_session(session_id, fork)
        assert (refusal.value.session_id, refusal.value.step_name) == (session_id, "fetch")
        assert await store.steps(fork) == []
        assert await store.fork_session(session_id, fork, before="fetch") == 1

    # -- refusals

    async def test_no_unknown_session_is_forked(self, store: OperableJournalStore, session_id: str, fork: str) -> None:
        for before in (None, "a"):
            with pytest.raises(NotRecordedError, match=session_id):
                await store.fork_session(session_id, fork, before=before)

    async def test_no_session_is_forked_before_an_unknown_step(
        self, store: OperableJournalStore, session_id: str, fork: str
    ) -> None:
        await store.put_step(session_id, "a", 1)
        with pytest.raises(NotRecordedError) as refusal:
            await store.fork_session(session_id, fork, before="unknown")
        assert session_id in str(refusal.value)
        assert "unknown" in str(refusal.value)
        assert await store.steps(fork) == []

    @pytest.mark.parametrize("kind", ["step", "stream"])
    @pytest.mark.parametrize("before", [None, "a", "b"])
    async def test_no_session_is_forked_onto_records(
        self, store: OperableJournalStore, session_id: str, fork: str, *, kind: Kind, before: str | None
    ) -> None:
        await plant(store, session_id, {"a": 1.0, "b": 2.0})
        there = [record(fork, "z", 1.0, kind=kind)]
        await store.restore_session(fork, there)
        with pytest.raises(AlreadyRecordedError, match=fork):
            await store.fork_session(session_id, fork, before=before)
        assert await stored(store, fork) == there

    async def test_no_session_is_forked_onto_itself(self, store: OperableJournalStore, session_id: str) -> None:
        there = await plant(store, session_id, {"a": 1.0, "b": 2.0})
        with pytest.raises(AlreadyRecordedError, match=session_id):
            await store.fork_session(session_id, session_id, before="b")
        assert await stored(store, session_id) == there

    async def test_of_many_forks_at_once_into_one_session_one_is_made(
        self, store: OperableJournalStore, session_id: str, fork: str
    ) -> None:
        for source in range(5):
            await plant(store, f"{session_id}-{source}", {f"{source}-a": 1.0, f"{source}-b": 2.0}, {"c": 3.0})
        outcomes: list[int | type[JournalError]] = []

        async def try_to_fork(source: int) -> None:
            try:
                outcomes.append(await store.fork_session(f"{session_id}-{source}", fork))
            except JournalError as error:
                outcomes.append(type(error))

        await at_once(try_to_fork, range(5))
        assert sorted(outcomes, key=str) == [3, *[AlreadyRecordedError] * 4]
        assert len({name[0] for name in await names(store, fork)} - {"c"}) == 1

    async def test_no_session_is_forked_by_a_bad_key(
        self, store: OperableJournalStore, session_id: str, fork: str
    ) -> None:
        for key in values.plain(values.BAD_KEYS):
            for call, label in (
                (store.fork_session(key, fork), "source"),
                (store.fork_session(session_id, key), "target"),
            ):
                with pytest.raises(InvalidKeyError, match=label):
                    await call
            if key is not None:
                with pytest.raises(InvalidKeyError, match="before"):
                    await store.fork_session(session_id, fork, before=key)
