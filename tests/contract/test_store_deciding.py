"""Deciding under a lock: two workers can never both pass a count."""

import asyncio
from contextlib import suppress

import pytest

from clarion.model import Key, Project, Reason
from clarion.ports import Deciding, Effects, FactsQuery, Lease, Store
from contract.support import (
    NOW,
    claim,
    claim_one,
    decision,
    event,
    facts_query,
    new_notification,
    new_project,
    new_user,
    new_users,
    pairs_work,
    put_work,
    reasons_of,
    soon,
    stays_blocked,
    stolen_lease,
)

CONTENT = 42


class Decider:
    """A worker that decides when it is told: each reserves content for its users."""

    def __init__(self, store: Store, project: Project, users: list[Key], lease: Lease) -> None:
        self._store, self._project, self._users, self._lease = store, project, users, lease
        self.inside = asyncio.Event()
        self.go_on = asyncio.Event()

    async def run(self) -> set[Key]:
        """Who had got the content already when it was our turn."""
        query = facts_query(self._users, content=[CONTENT])
        async with self._store.steps.deciding(self._project.key, query) as deciding:
            self.inside.set()
            await self.go_on.wait()
            seen = {user for user, _ in deciding.facts.sent_content}
            new = [(user, CONTENT) for user in self._users if user not in seen]
            assert await deciding.commit(self._lease, Effects(sent_content=new))
            return seen


async def _lease(store: Store, project: Project) -> Lease:
    await put_work(store, project, pairs_work((1, 1)))
    return await claim_one(store)


async def test_a_decision_is_written_with_its_lease_finished(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    notification = await new_notification(store, project)
    lease = await _lease(store, project)
    async with store.steps.deciding(project.key, facts_query([user])) as deciding:
        assert [recipient.key for recipient in deciding.facts.recipients] == [user]
        assert await deciding.commit(lease, Effects(decisions=[decision(notification, user)]))
    assert await reasons_of(store, project, notification) == {"send": 1}
    assert await claim(store, now=lease.until + 1) == []


async def test_facts_inside_are_the_same_as_outside(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 4)
    for query in (facts_query(users[1:3]), FactsQuery(span=(users[0], users[2]))):
        async with store.steps.deciding(project.key, query) as deciding:
            assert deciding.facts == await store.steps.facts(project.key, query)


async def test_deciding_under_a_stolen_lease_writes_nothing(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    notification = await new_notification(store, project)
    lost, held = await stolen_lease(store, project)
    effects = Effects(decisions=[decision(notification, user)], sent_content=[(user, CONTENT)])
    async with store.steps.deciding(project.key, facts_query([user])) as deciding:
        assert not await deciding.commit(lost, effects)
    assert await reasons_of(store, project, notification) == {}
    async with store.steps.deciding(project.key, facts_query([user], content=[CONTENT])) as deciding:
        assert deciding.facts.sent_content == {}
        assert await deciding.commit(held, effects)


async def test_leaving_without_commit_writes_nothing_and_leaves_the_job(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    lease = await _lease(store, project)
    with pytest.raises(RuntimeError, match="a bug"):
        async with store.steps.deciding(project.key, facts_query([user])):
            raise RuntimeError("a bug")
    async with store.steps.deciding(project.key, facts_query([user])):
        pass
    assert [again.key for again in await claim(store, now=lease.until + 1)] == [lease.key]


async def test_two_decidings_over_the_same_people_go_one_after_the_other(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 4)
    leases = [await _lease(store, project) for _ in range(2)]
    first = Decider(store, project, users[:3], leases[0])
    second = Decider(store, project, users[1:], leases[1])
    second.go_on.set()
    running = asyncio.create_task(first.run())
    await soon(first.inside.wait())
    waiting = asyncio.create_task(second.run())
    assert await stays_blocked(waiting)
    first.go_on.set()
    assert await soon(running) == set()
    assert await soon(waiting) == set(users[1:3])


async def test_many_decidings_at_once_each_see_what_those_before_wrote(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 6)
    deciders = []
    for number in range(6):
        deciders.append(Decider(store, project, [users[number], users[(number + 1) % 6]], await _lease(store, project)))
        deciders[-1].go_on.set()
    seen = await soon(asyncio.gather(*(decider.run() for decider in deciders)))
    assert sum(map(len, seen)) == 6, "each person is reached by exactly one of two"


async def test_cancelled_inside_it_writes_nothing_and_lets_go(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    lease = await _lease(store, project)
    decider = Decider(store, project, [user], lease)
    task = asyncio.create_task(decider.run())
    await soon(decider.inside.wait())
    task.cancel()
    with suppress(asyncio.CancelledError):
        await soon(task)
    again = Decider(store, project, [user], lease)
    again.go_on.set()
    assert await soon(again.run()) == set()


async def test_cancelled_while_waiting_it_blocks_nobody_after_it(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    first, second, third = [Decider(store, project, [user], await _lease(store, project)) for _ in range(3)]
    running = asyncio.create_task(first.run())
    await soon(first.inside.wait())
    waiting = asyncio.create_task(second.run())
    assert await stays_blocked(waiting)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await soon(waiting)
    first.go_on.set()
    third.go_on.set()
    assert await soon(running) == set()
    assert await soon(third.run()) == {user}


async def test_other_writes_get_through_once_a_deciding_is_over(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    lease = await _lease(store, project)

    async def write() -> list[bool]:
        return await store.events.add(project.key, [event("u1")], frozenset(), NOW)

    async with store.steps.deciding(project.key, facts_query([user])) as deciding:
        writing = asyncio.create_task(write())
        await asyncio.sleep(0)
        assert await soon(_commit(deciding, lease))
    assert await soon(writing) == [True]


async def test_reads_go_on_while_somebody_decides(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    notification = await new_notification(store, project)
    lease = await _lease(store, project)
    async with store.steps.deciding(project.key, facts_query([user])) as deciding:
        assert await soon(store.trail.load(project.key, [notification.key])) == {notification.key: notification}
        assert await soon(store.users.get(project.key, "u1")) is not None
        effects = Effects(decisions=[decision(notification, user, Reason.DUPLICATE)])
        assert await soon(deciding.commit(lease, effects))
    assert await reasons_of(store, project, notification) == {"duplicate": 1}


async def _commit(deciding: Deciding, lease: Lease) -> bool:
    return await deciding.commit(lease, Effects())
