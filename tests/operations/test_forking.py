"""Sessions that are copied into new ones."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event

from jeeves_journal import (
    AlreadyRecordedError,
    DecodeError,
    IntegrityError,
    InvalidKeyError,
    JournalStore,
    Keyring,
    NotRecordedError,
    SQLAlchemyJournalStore,
)
from tests.operations.lost_answers import WAYS
from tests.operations.records import record, steps_of
from tests.servers.postgres import execute
from tests.stores.engines import store_on
from tests.stores.processes import run_together
from tests.stores.rows import Rows, put_raw

pytestmark = pytest.mark.anyio

OLD = Keyring.generate()
NEW = Keyring([*Keyring.generate(), *OLD])
BLOB = bytes(1000) * 100

WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

Way = Callable[[str], AbstractAsyncContextManager[str]]


async def test_a_session_is_copied_with_its_steps_streams_and_times(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "~b", "b", "c")
        await record(store, "other", "d")
        assert await store.fork_session("run", "copy") == 4
        assert await store.get_steps("copy") == await store.get_steps("run")
        assert await steps_of(store, "run") == {"a": "a", "b": "b", "c": "c"}
        assert await store.get_stream("copy", "b") == await store.get_stream("run", "b") == ["~b"]


@pytest.mark.parametrize(("before", "copied"), [("c", {"a": "a", "b": "b"}), ("s", {"a": "a"}), ("a", {})])
async def test_only_what_was_recorded_before_a_step_or_stream_is_copied(
    rows: Rows, before: str, copied: dict[str, str]
) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "~s", "b", "c", "~t")
        expected = len(copied) + ("b" in copied)
        assert await store.fork_session("run", "copy", before=before) == expected
        assert await steps_of(store, "copy") == copied
        assert await store.get_stream("copy", "t") is None


async def test_what_was_recorded_at_the_same_time_is_not_copied(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "b", "c", "~d")
        for table in ("journal_steps", "journal_streams"):
            rows.run(f"UPDATE {table} SET created_at = ? WHERE step_name <> 'a'", [(5e9,)])
        assert await store.fork_session("run", "copy", before="c") == 1


async def test_the_copy_is_what_a_copy_that_was_rewound_would_be(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "x", "b", "~x", "c", "a")
        await store.fork_session("run", "forked", before="x")
        await store.fork_session("run", "rewound")
        await store.rewind("rewound", "x")
        assert await store.get_steps("forked") == await store.get_steps("rewound") == {}


async def test_the_two_sessions_go_on_apart(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "b")
        await store.fork_session("run", "copy", before="b")
        await store.put_step("copy", "b", "another")
        await store.delete_step("copy", "a")
        assert await steps_of(store, "run") == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("source", "before", "named"), [("unknown", None, ("unknown", None)), ("run", "z", ("run", "z"))]
)
async def test_an_unknown_session_or_step_is_refused(
    rows: Rows, source: str, before: str | None, named: tuple[str, str | None]
) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a")
        with pytest.raises(NotRecordedError) as refused:
            await store.fork_session(source, "copy", before=before)
        assert (refused.value.session_id, refused.value.step_name) == named
        assert await steps_of(store, "copy") == {}


@pytest.mark.parametrize("name", ["z", "~z"])
async def test_a_target_that_has_records_is_refused_and_stays_as_it_is(rows: Rows, name: str) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a", "~b")
        await record(store, "copy", name)
        with pytest.raises(AlreadyRecordedError) as refused:
            await store.fork_session("run", "copy")
        assert refused.value.session_id == "copy"
        assert await store.delete_session("copy") == 1


async def test_a_session_is_not_forked_onto_itself(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a")
        with pytest.raises(AlreadyRecordedError):
            await store.fork_session("run", "run")
        assert await steps_of(store, "run") == {"a": "a"}


@pytest.mark.parametrize("keys", [("", "copy", "a"), ("run", "", "a"), ("run", "copy", "")])
async def test_a_key_that_cannot_be_one_is_refused(rows: Rows, keys: tuple[str, str, str]) -> None:
    source, target, before = keys
    async with JournalStore.from_url(rows.url) as store:
        with pytest.raises(InvalidKeyError):
            await store.fork_session(source, target, before=before)


async def test_what_cannot_be_decoded_is_copied_as_it_is(rows: Rows) -> None:
    gone = pickle.dumps(Gone()).replace(b"Gone", b"gone")
    async with JournalStore.from_url(rows.url) as store:
        await record(store, "run", "a")
        put_raw(rows, "run", {"gone": gone, "damaged": b"\x00\xff", "empty": b""})
        assert await store.fork_session("run", "copy") == 4
    assert [rows.value("copy", name) for name in ("gone", "damaged", "empty")] == [gone, b"\x00\xff", b""]


class Gone:
    pass


@pytest.mark.parametrize("seal", ["sign", "encrypt"])
@pytest.mark.parametrize("compress", [None, "zstd"])
async def test_sealed_records_are_sealed_for_their_new_session(rows: Rows, seal: Any, compress: Any) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD, seal=seal, compress=compress) as store:
        await record(store, "run", "a", "~b")
        await store.put_step("run", "large", BLOB)
        assert await store.fork_session("run", "copy") == 3
        assert await store.get_steps("copy") == await store.get_steps("run")
        assert await store.get_stream("copy", "b") == ["~b"]
    assert rows.value("copy", "a") != rows.value("run", "a")


async def test_sealed_records_of_many_pages_are_sealed_anew(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        values = {f"{number:03}": bytes([number]) * 3_000_000 for number in range(5)}
        values |= {f"{number:03}": bytes(10) for number in range(5, 700)}
        await asyncio.gather(*(store.put_step("run", name, value) for name, value in values.items()))
        assert await store.fork_session("run", "copy") == 700
        assert await steps_of(store, "copy") == values


async def test_many_sealed_records_are_sealed_anew_in_few_statements(tmp_path: Path) -> None:
    statements = list[str]()
    async with store_on(f"sqlite+aiosqlite:///{tmp_path}/app.db") as (engine, _):
        store = SQLAlchemyJournalStore(engine, keys=OLD)
        await asyncio.gather(*(store.put_step("run", str(number), number) for number in range(1_000)))
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *seen: statements.append(seen[2]))
        assert await store.fork_session("run", "copy") == 1_000
        assert len(await steps_of(store, "copy")) == 1_000
    assert len(statements) < 30


async def test_the_first_key_seals_what_an_older_one_opens(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        await record(store, "run", "a", "~b")
    async with JournalStore.from_url(rows.url, keys=NEW) as store:
        await store.fork_session("run", "copy")
    async with JournalStore.from_url(rows.url, keys=Keyring([NEW.first])) as store:
        assert await steps_of(store, "copy") == {"a": "a"}
        assert await store.get_stream("copy", "b") == ["~b"]


async def test_what_is_sealed_travels_whatever_codec_and_compression_the_store_has(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD, codec="json", compress="zstd") as store:
        await store.put_step("run", "large", "x" * 100_000)
    async with JournalStore.from_url(rows.url, keys=OLD) as other:
        assert await other.fork_session("run", "copy") == 1
    assert len(rows.value("copy", "large")) == len(rows.value("run", "large"))
    async with JournalStore.from_url(rows.url, keys=OLD, codec="json", compress="zstd") as store:
        assert await steps_of(store, "copy") == {"large": "x" * 100_000}


async def test_what_is_encrypted_stays_encrypted_where_others_are_signed(rows: Rows) -> None:
    secret = "what only the keys may read"
    async with JournalStore.from_url(rows.url, keys=OLD, seal="encrypt") as store:
        await store.put_step("run", "a", secret)
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        await store.fork_session("run", "copy")
        assert await steps_of(store, "copy") == {"a": secret}
    assert secret.encode() not in rows.value("copy", "a")


@pytest.mark.parametrize("keys", [None, Keyring.generate()])
async def test_sealed_records_that_cannot_be_opened_here_are_not_copied(rows: Rows, keys: Keyring | None) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        await record(store, "run", "a", "b")
    async with JournalStore.from_url(rows.url, keys=keys) as store:
        with pytest.raises(DecodeError) as refused:
            await store.fork_session("run", "copy")
        assert refused.value.session_id == "run"
        assert refused.value.step_name in {"a", "b"}
        assert await store.delete_session("copy") == 0


@pytest.mark.parametrize(
    "change", ["created_at = created_at + 1", "value = (SELECT value FROM journal_steps WHERE step_name = 'a')"]
)
async def test_a_sealed_record_that_was_changed_stops_the_fork_and_nothing_is_written(rows: Rows, change: str) -> None:
    async with JournalStore.from_url(rows.url, keys=OLD) as store:
        await record(store, "run", "a", "~c", "b")
        rows.run(f"UPDATE journal_steps SET {change} WHERE step_name = ?", [("b",)])
        with pytest.raises(IntegrityError) as refused:
            await store.fork_session("run", "copy")
        assert (refused.value.session_id, refused.value.step_name) == ("run", "b")
        assert await store.delete_session("copy") == 0
        # What is not copied harms nobody.
        assert await store.fork_session("run", "copy", before="b") == 2


@pytest.mark.parametrize("allow_unsealed", [False, True])
async def test_a_record_without_a_seal_gets_none(rows: Rows, allow_unsealed: bool) -> None:
    async with JournalStore.from_url(rows.url) as store:
        await store.put_step("run", "footer", 1)
    put_raw(rows, "run", {"plain": pickle.dumps(2)})
    async with JournalStore.from_url(rows.url, keys=OLD, allow_unsealed=allow_unsealed) as store:
        await store.put_step("run", "sealed", 3)
        assert await store.fork_session("run", "copy") == 3
    for name in ("footer", "plain"):
        assert rows.value("copy", name) == rows.value("run", name)
    async with JournalStore.from_url(rows.url, keys=OLD) as strict:
        sealed = await strict.get_step("copy", "sealed")
        assert sealed is not None
        assert sealed.value == 3
        for name in ("footer", "plain"):
            with pytest.raises(IntegrityError, match="not sealed"):
                await strict.get_step("copy", name)


FORKING = """
    import asyncio, sys
    from jeeves_journal import AlreadyRecordedError, JournalStore

    async def main(url, source):
        async with JournalStore.from_url(url) as store:
            await store.get_step("warm", "up")
            print("ready", flush=True)
            for number in range(int(sys.stdin.readline().replace("go", "20"))):
                try:
                    print(await store.fork_session(source, f"copy-{number}"), end=" ")
                except AlreadyRecordedError:
                    print("refused", end=" ")

    asyncio.run(main(*sys.argv[1:]))
"""


async def test_of_processes_that_fork_onto_one_target_at_once_one_does(rows: Rows) -> None:
    async with JournalStore.from_url(rows.url) as store:
        # With no name in common, which a primary key would refuse.
        await record(store, "0", *(f"a{number}" for number in range(20)))
        await record(store, "1", *(f"b{number}" for number in range(20)))
    printed = await asyncio.to_thread(run_together, FORKING, [(rows.url, "0"), (rows.url, "1")])
    answers = [line.removeprefix("ready").split() for line in printed]
    assert [sorted(pair) for pair in zip(*answers, strict=True)] == [["20", "refused"]] * 20
    async with JournalStore.from_url(rows.url) as store:
        for number in range(20):
            assert len(await store.get_steps(f"copy-{number}")) == 20


@pytest.mark.parametrize("is_committed", [True, False])
async def test_a_put_to_the_target_that_is_under_way_is_waited_for(
    migrated_postgres_url: str, is_committed: bool
) -> None:
    async with JournalStore.from_url(migrated_postgres_url) as store:
        await record(store, "run", "a", "b")
        other = await asyncpg.connect(migrated_postgres_url)
        try:
            transaction = other.transaction()
            await transaction.start()
            await other.execute("INSERT INTO journal_steps VALUES ('copy', 'b', $1, 1)", pickle.dumps("put"))
            forking = asyncio.ensure_future(store.fork_session("run", "copy"))
            while not execute(migrated_postgres_url, WAITING):
                await asyncio.sleep(0)
            await (transaction.commit() if is_committed else transaction.rollback())
        finally:
            await other.close()
        if is_committed:
            with pytest.raises(AlreadyRecordedError):
                await forking
            assert await steps_of(store, "copy") == {"b": "put"}
        else:
            assert await forking == 2


async def test_of_a_source_that_grows_meanwhile_a_beginning_is_copied(rows: Rows) -> None:
    """A stream that was put after a step is never copied without it."""
    async with JournalStore.from_url(rows.url) as store, JournalStore.from_url(rows.url) as other:
        ends = asyncio.Event()

        async def put_pairs() -> None:
            number = 0
            while not ends.is_set():
                await record(other, "run", f"{number}", f"~{number}")
                number += 1

        putting = asyncio.ensure_future(put_pairs())
        for number in range(30):
            await store.delete_session("run")
            await record(store, "run", "start")
            await store.fork_session("run", f"copy-{number}")
            names = [name for name in await store.get_steps(f"copy-{number}") if name != "start"]
            # The last one's stream may be on its way.
            for name in names[:-1]:
                assert await store.get_stream(f"copy-{number}", name) is not None
        ends.set()
        await putting


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("keys", [None, OLD])
async def test_our_own_copy_is_none_of_others_where_a_commit_or_its_answer_is_lost(
    migrated_postgres_url: str, way: Way, keys: Keyring | None
) -> None:
    async with JournalStore.from_url(migrated_postgres_url, keys=keys) as store:
        await record(store, "run", "a", "~b", "c")
        async with way(migrated_postgres_url) as url, JournalStore.from_url(url, keys=keys) as far:
            assert await far.fork_session("run", "copy") == 3
        assert await store.get_steps("copy") == await store.get_steps("run")
