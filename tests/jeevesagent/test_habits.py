"""What JeevesAgent's users do every day, and what its documentation shows them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jeeves_journal import SqliteJournalStore, SqliteRuntime
from tests.jeevesagent.agents import ANSWER, PROMPT, WHOLE_RUN, Ledger, make_agent
from tests.migrations.databases import path_of, query
from tests.stores.processes import complaints, printed_by, run_python, run_together

DOZEN = range(12)

NEVER_CLOSED = """
import asyncio, sys
from pathlib import Path
from jeeves_journal import PostgresRuntime, SqliteRuntime
from tests.jeevesagent.agents import PROMPT, Ledger, make_agent
url, ledger = sys.argv[1:]
runtime = SqliteRuntime(url.partition("///")[2]) if url.startswith("sqlite") else None

async def main(session_id):
    global runtime
    if runtime is None:
        runtime = await PostgresRuntime.connect(url)
        await runtime.init_schema()
    result = await make_agent(runtime, Ledger(Path(ledger))).run(PROMPT, session_id=session_id)
    print(result.output)

for session_id in ("first", "second", "first"):
    asyncio.run(main(session_id))
"""

ONE_OF_A_DOZEN = """
import asyncio, sys
from pathlib import Path
from jeeves_journal import SqliteRuntime
from tests.jeevesagent.agents import PROMPT, Ledger, make_agent
path, ledger, number = sys.argv[1:]
agent = make_agent(SqliteRuntime(path), Ledger(Path(ledger)))
print("ready", flush=True)
sys.stdin.readline()
print(asyncio.run(agent.run(PROMPT, session_id=number)).output)
"""

ONE_FOR_EACH_CALL = """
import asyncio, importlib, resource, sys
from pathlib import Path
from tests.jeevesagent.agents import PROMPT, Ledger, make_agent
package, path, ledger = sys.argv[1:]
SqliteRuntime = importlib.import_module(package).SqliteRuntime

async def handle(request):
    return await make_agent(SqliteRuntime(path), Ledger(Path(ledger))).run(PROMPT, session_id=request)

async def serve():
    for number in range(100):
        await handle(str(number))
    # These are garbage when the loop ends.
    await asyncio.gather(*(handle(f"last {number}") for number in range(8)))

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
asyncio.run(serve())
"""

LEFT_IN_THE_MIDDLE = """
import asyncio, importlib, os, sys
runtime, first = importlib.import_module(sys.argv[1]).JournaledRuntime(), asyncio.new_event_loop()
begun = first.create_future()

async def hang():
    begun.set_result(None)
    await first.create_future()

async def one():
    return 1

async def run(step):
    async with asyncio.timeout(10), runtime.session("s"):
        return await runtime.step("step", step)

left = first.create_task(run(hang))
first.run_until_complete(begun)
first.close()
print(asyncio.run(run(one)), asyncio.run(run(one)), flush=True)
os._exit(0)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "journal.db"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def test_a_runtime_that_is_never_closed_in_several_event_loops(url: str, tmp_path: Path) -> None:
    ended = run_python(NEVER_CLOSED, url, tmp_path / "ledger", flags=("-W", "default"))
    assert (ended.returncode, ended.stdout.splitlines()) == (0, [ANSWER] * 3), ended.stderr
    assert ended.stderr.count("Warning:") <= 1, ended.stderr
    assert Ledger(tmp_path / "ledger").lines() == sorted(2 * WHOLE_RUN)


@pytest.mark.parametrize("package", ["jeevesagent", "jeeves_journal"])
def test_a_runtime_for_each_call_that_is_never_closed_leaves_nothing_open(
    package: str, path: Path, tmp_path: Path
) -> None:
    ended = run_python(ONE_FOR_EACH_CALL, package, path, tmp_path / "ledger", flags=("-W", "error"))
    assert (ended.returncode, complaints(ended.stderr)) == (0, [])
    assert Ledger(tmp_path / "ledger").lines() == sorted(108 * WHOLE_RUN)


def test_one_store_of_the_module_serves_every_asyncio_run(path: Path) -> None:
    store = SqliteJournalStore(path)

    async def count() -> int:
        entry = await store.get_step("s", "count")
        number = 1 if entry is None else entry.value + 1
        await store.put_step("s", "count", number)
        return number

    assert [asyncio.run(count()) for _ in range(5)] == [1, 2, 3, 4, 5]
    asyncio.run(store.aclose())


@pytest.mark.parametrize("package", ["jeevesagent", "jeeves_journal"])
def test_what_a_closed_event_loop_left_in_the_middle_of_a_step_is_resumed_in_another(package: str) -> None:
    assert printed_by(LEFT_IN_THE_MIDDLE, package) == "1 1"


def test_one_runtime_serves_a_thread_after_another(path: Path, ledger: Ledger) -> None:
    runtime = SqliteRuntime(path)
    for _ in range(3):
        with ThreadPoolExecutor(1) as thread:
            run = make_agent(runtime, ledger).run(PROMPT, session_id="s")
            assert thread.submit(asyncio.run, run).result().output == ANSWER
    assert ledger.lines() == WHOLE_RUN
    asyncio.run(runtime.aclose())


def test_a_dozen_agents_share_one_runtime(path: Path, ledger: Ledger) -> None:
    async def main() -> list[str]:
        async with SqliteRuntime(path) as runtime:
            runs = [make_agent(runtime, ledger).run(PROMPT, session_id=f"s{number}") for number in DOZEN]
            return [result.output for result in await asyncio.gather(*runs)]

    assert asyncio.run(main()) == [ANSWER] * 12
    assert ledger.lines() == sorted(12 * WHOLE_RUN)


def test_a_dozen_agents_have_a_runtime_each_on_one_file(path: Path, ledger: Ledger) -> None:
    async def main() -> list[str]:
        runtimes = [SqliteRuntime(path) for _ in DOZEN]
        runs = [make_agent(runtimes[number], ledger).run(PROMPT, session_id=f"s{number}") for number in DOZEN]
        results = await asyncio.gather(*runs)
        for runtime in runtimes:
            await runtime.aclose()
        return [result.output for result in results]

    assert asyncio.run(main()) == [ANSWER] * 12
    assert ledger.lines() == sorted(12 * WHOLE_RUN)


def test_a_dozen_processes_have_an_agent_each_on_one_file(path: Path, tmp_path: Path) -> None:
    printed = run_together(ONE_OF_A_DOZEN, [(path, tmp_path / "ledger", number) for number in DOZEN])
    assert printed == [ANSWER] * 12
    assert Ledger(tmp_path / "ledger").lines() == sorted(12 * WHOLE_RUN)


def test_users_look_into_the_file_with_plain_sql(sqlite_url: str, ledger: Ledger) -> None:
    async def main() -> None:
        async with SqliteRuntime(path_of(sqlite_url)) as runtime:
            await make_agent(runtime, ledger).run(PROMPT, session_id="s")

    asyncio.run(main())
    assert query(sqlite_url, "SELECT session_id, count(*) FROM journal_steps GROUP BY session_id") == [("s", 7)]
