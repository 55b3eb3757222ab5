"""Several processes on one PostgreSQL: they share the work and decide one after the other."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from clarion.ports import Effects, NewWork, Store
from contract.support import (
    LEASE_MS,
    NOW,
    claim_one,
    event,
    facts_query,
    new_project,
    new_user,
    pairs_work,
    put_work,
    soon,
    stays_blocked,
)

pytestmark = pytest.mark.parametrize("database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
CONTENT = 42


@pytest.fixture
async def other(store: Store, database: Callable[[], Store]) -> AsyncIterator[Store]:
    """The store of a second process, on the database of the first."""
    opened = database()
    await opened.open()
    yield opened
    await opened.close()


async def test_two_processes_decide_about_one_person_one_after_the_other(store: Store, other: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    query = facts_query([user], content=[CONTENT])
    for _ in range(2):
        await put_work(store, project, pairs_work((1, user)))
    first, second = await store.work.claim("decide", 2, NOW, LEASE_MS)

    async def decide_there() -> bool:
        async with other.steps.deciding(project.key, query) as deciding:
            assert await deciding.commit(second, Effects())
            return (user, CONTENT) in deciding.facts.sent_content

    async with store.steps.deciding(project.key, query) as deciding:
        assert deciding.facts.sent_content == {}
        there = asyncio.create_task(decide_there())
        assert await stays_blocked(there)
        assert await deciding.commit(first, Effects(sent_content=[(user, CONTENT)]))
    assert await soon(there), "the second sees what the first has written"


async def test_two_processes_never_claim_the_same_job(store: Store, other: Store) -> None:
    project = await new_project(store)
    work = [NewWork(project.key, pairs_work((1, number)), NOW) for number in range(60)]
    await store.steps.commit(Effects(work=work))
    calls = [each.work.claim("decide", 5, NOW, LEASE_MS) for each in (store, other) * 6]
    keys = [lease.key for leases in await soon(asyncio.gather(*calls)) for lease in leases]
    assert len(keys) == len(set(keys))
    rest = await store.work.claim("decide", 100, NOW, LEASE_MS)
    assert len(keys) + len(rest) == 60


async def test_a_job_of_a_process_that_died_goes_to_another(store: Store, other: Store) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 1)))
    lost = await claim_one(store)
    held = await claim_one(other, now=lost.until + 1)
    assert not await store.steps.commit(Effects(sent_content=[(1, CONTENT)]), lost)
    assert await other.steps.commit(Effects(), held)


async def test_an_event_id_counts_once_among_all_processes(store: Store, other: Store) -> None:
    project = await new_project(store)
    batches = [[event(f"u{n % 3}", id=f"e{(n + step) % 20}") for step in range(5)] for n in range(40)]
    calls = [(store, other)[n % 2].events.add(project.key, batch, frozenset(), NOW) for n, batch in enumerate(batches)]
    answers = await soon(asyncio.gather(*calls))
    assert sum(sum(answer) for answer in answers) == 20


async def test_two_processes_reserve_different_keys(store: Store, other: Store) -> None:
    calls = [each.trail.reserve(7) for each in (store, other) * 10]
    keys = [key for reserved in await soon(asyncio.gather(*calls)) for key in reserved]
    assert len(keys) == len(set(keys)) == 140
