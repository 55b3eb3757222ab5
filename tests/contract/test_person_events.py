"""SQLite's events by their people: whatever is added, settled, merged, erased and forgotten, they are the events."""

import asyncio
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clarion.storage import person_events
from clarion.storage.sqlite import SqliteStore
from contract.support import NOW, event, new_project, new_user, soon

NOTHING: frozenset[str] = frozenset()
PEOPLE = ("u1", "u2", "u3")
ADDED = st.tuples(
    st.just("add"), st.lists(st.tuples(st.sampled_from(PEOPLE), st.integers(0, 3)), min_size=1, max_size=4)
)
DONE = st.one_of(
    ADDED,
    ADDED,
    st.tuples(st.just("settle"), st.integers(1, 3)),
    st.tuples(st.just("merge"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("erase"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("forget"), st.integers(0, 3)),
)
_numbers = count()


@pytest.fixture
def engine(sqlite_folder: Path) -> Iterator[tuple[SqliteStore, asyncio.Runner]]:
    store = SqliteStore(sqlite_folder)
    with asyncio.Runner() as runner:
        runner.run(store.open())
        yield store, runner
        runner.run(store.close())


def in_both(folder: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The events, and what the two tables say of them."""
    database = sqlite3.connect(folder / "clarion.db")
    columns = "project, person, name, occurred_at"
    told = database.execute(f"SELECT {columns}, key FROM event ORDER BY key").fetchall()
    tables = " UNION ALL ".join(f"SELECT {columns}, event FROM {name}" for name in ("person_event", "person_event_new"))
    kept = database.execute(f"SELECT * FROM ({tables}) ORDER BY 5").fetchall()
    database.close()
    return told, kept


def test_the_tables_hold_each_event_once(engine: tuple[SqliteStore, asyncio.Runner], sqlite_folder: Path) -> None:
    store, runner = engine

    async def run(steps: list[tuple[str, object]]) -> None:
        project = (await new_project(store, f"p{next(_numbers)}")).key
        for what, about in steps:
            await _do(store, project, what, about)
            told, kept = in_both(sqlite_folder)
            assert kept == told
        for user_id in PEOPLE:
            user = await store.users.get(project, user_id)
            if user is not None:
                mine = [row for row in in_both(sqlite_folder)[0] if row[1] == user.key]
                assert len(await store.events.of_user(project, user.key, 1_000)) == len(mine)

    @settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.lists(DONE, min_size=2, max_size=10))
    def check(steps: list[tuple[str, object]]) -> None:
        runner.run(run(steps))

    check()


async def _do(store: SqliteStore, project: int, what: str, about: object) -> None:
    match what, about:
        case "add", list(events):
            told = [event(user_id, "abc"[days % 3], occurred_at=NOW - days * 86_400_000) for user_id, days in events]
            await store.events.add(project, told, NOTHING, NOW)
        case "settle", int(number):
            after = 0
            while after := await store._database.write(person_events.settle, after, number):
                pass
        case "merge", str(user_id):
            anonymous = await store.users.create_anonymous(project, f"anon-{next(_numbers)}", NOW)
            await store.events.add(project, [event(anonymous.user_id, "a")], NOTHING, NOW)
            known = await store.users.get(project, user_id)
            if known is not None:
                await store.users.merge(project, anonymous.key, known.key, NOW)
        case "erase", str(user_id):
            await store.users.erase(project, user_id)
        case "forget", int(days):
            await store.events.forget(project, NOW - days * 86_400_000)


async def test_many_new_events_are_settled_by_and_by(sqlite_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NEW", 100), ("_LOOK_AGAIN", 50), ("_A_FEW", 20)):
        monkeypatch.setattr(person_events, name, value)
    store = SqliteStore(sqlite_folder)
    await store.open()
    project = await new_project(store)
    users = [await new_user(store, project, f"u{number}") for number in range(10)]
    for first in range(0, 500, 50):
        told = [event(f"u{number % 10}") for number in range(first, first + 50)]
        await store.events.add(project.key, told, NOTHING, NOW)

    async def few_are_new() -> None:
        while await store._database.read(person_events._count_new) > 100:  # noqa: ASYNC110 - only the database knows
            await asyncio.sleep(0.01)

    await soon(few_are_new())
    told, kept = in_both(sqlite_folder)
    assert len(told) == 500
    assert kept == told
    assert [len(await store.events.of_user(project.key, user, 100)) for user in users] == [50] * 10
    await store.close()
