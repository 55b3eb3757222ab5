"""Places under caps, on every engine: taken with a decision, counted under its lock, given back with what failed."""

import asyncio
from collections import Counter

import msgspec
import pytest

from clarion.model import Cap, Delivery, DeliveryState, Key, Millis, Notification, Project, Reason, Rolling
from clarion.ports import CapsQuery, Effects, Slot, Store, Taken, Waiting
from clarion.storage.sqlite import SqliteStore
from clarion.testing import ManualClock, MemoryStore, SeededChance
from conftest import OpenDatabase
from contract.support import (
    NOW,
    claim_one,
    decision,
    facts_query,
    new_delivery,
    new_notification,
    new_project,
    new_user,
    new_users,
    outcome,
    pairs_work,
    put_work,
    register,
)
from story.world import World

PEOPLE = 12


def slot(notification: Notification, user: Key, at: Millis = NOW, **more: object) -> Slot:
    told = {"category": "orders", "class_": "informational", "channel": "push"} | more
    return Slot(user=user, notification=notification.key, at=at, **told)  # type: ignore[arg-type]


async def commit(store: Store, project: Project, **effects: object) -> None:
    await put_work(store, project, pairs_work((1, 1)))
    assert await store.steps.commit(Effects(**effects), await claim_one(store))  # type: ignore[arg-type]


async def taken(store: Store, project: Project, user: Key, since: Millis = 0) -> list[Taken]:
    query = facts_query([user], caps=CapsQuery(since, waiting=True, scoped=True))
    return sorted((await store.steps.facts(project.key, query)).taken.get(user, []))


async def test_places_are_read_with_the_facts_of_their_people(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    users = await new_users(store, project, 3)
    first, second = await new_notification(store, project), await new_notification(store, project, "n2")
    await commit(
        store,
        project,
        slots=[slot(first, users[0], NOW - 5), slot(second, users[0]), slot(first, users[1], category="a", class_="b")],
    )
    assert await taken(store, project, users[0]) == [
        Taken(users[0], NOW - 5, first.key, "orders", "informational", "push"),
        Taken(users[0], NOW, second.key, "orders", "informational", "push"),
    ]
    plain = await store.steps.facts(project.key, facts_query(users[1:], caps=CapsQuery(0, waiting=False)))
    assert plain.taken == {users[1]: [Taken(users[1], NOW, first.key)]}, "what it was is asked for when a cap needs it"
    assert [place.notification for place in await taken(store, project, users[0], NOW - 4)] == [second.key]
    assert await taken(store, project, users[2]) == []
    assert await taken(store, other, users[0]) == []
    without = await store.steps.facts(project.key, facts_query(users))
    assert (without.taken, without.waiting) == ({}, {})


async def test_who_waits_is_told_with_what_decides_their_turn(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    waits = await new_notification(store, project)
    called_off = await new_notification(store, project, "n2")
    held = [decision(one, user, Reason.CAP_WAIT, until=NOW + 9) for one in (waits, called_off)]
    await commit(store, project, decisions=held)
    await store.trail.cancel(project.key, called_off.key, NOW)
    query = facts_query([user], caps=CapsQuery(0, waiting=True))
    found = (await store.steps.facts(project.key, query)).waiting
    assert found == {user: [Waiting(waits.key, "general", 0, waits.expires_at, NOW + 9)]}
    query = facts_query([user], caps=CapsQuery(0, waiting=False))
    assert (await store.steps.facts(project.key, query)).waiting == {}


async def test_a_place_is_kept_while_a_delivery_may_arrive_and_given_back_after_the_last(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    notification = await new_notification(store, project)
    sent: list[Delivery] = []
    for number in range(2):
        device = await register(store, project, user, f"https://push.example/{number}")
        sent.append(await new_delivery(store, notification, device))
    await commit(store, project, slots=[slot(notification, user)])
    await commit(store, project, outcomes=[outcome(sent[0], DeliveryState.FAILED, reason=Reason.DEVICE_GONE)])
    assert len(await taken(store, project, user)) == 1
    await commit(store, project, outcomes=[outcome(sent[1], DeliveryState.EXPIRED, reason=Reason.EXPIRED)])
    assert await taken(store, project, user) == []


async def test_a_withdrawn_decision_gives_back_its_place_alone(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 2)
    first, second = await new_notification(store, project), await new_notification(store, project, "n2")
    await commit(store, project, slots=[slot(one, user) for one in (first, second) for user in users])
    await commit(store, project, revised=[decision(first, users[0], Reason.CANCELLED)])
    assert [place.notification for place in await taken(store, project, users[0])] == [second.key]
    assert len(await taken(store, project, users[1])) == 2


async def test_decided_to_send_once_more_it_takes_one_place(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    notification = await new_notification(store, project)
    await commit(store, project, slots=[slot(notification, user, NOW + 9_000, armed=True)])
    await commit(store, project, revised=[decision(notification, user)], slots=[slot(notification, user, NOW + 1)])
    assert [place.at for place in await taken(store, project, user)] == [NOW + 1]


async def test_what_was_armed_counts_from_its_fire_and_keeps_its_place(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    armed = await new_notification(store, project, armed_until=NOW + 9_000)
    await commit(store, project, slots=[slot(armed, user, NOW + 9_000, armed=True)])
    assert [place.at for place in await taken(store, project, user)] == [NOW + 9_000]
    await store.trail.fire(project.key, armed.key, NOW + 5)
    assert [place.at for place in await taken(store, project, user)] == [NOW + 5]
    await commit(store, project, revised=[decision(armed, user, Reason.OPTED_OUT)])
    assert len(await taken(store, project, user)) == 1, "a batch may have left already"


async def test_places_go_with_a_merge_and_end_with_the_person(store: Store) -> None:
    project = await new_project(store)
    known = await new_user(store, project)
    anonymous = (await store.users.create_anonymous(project.key, "anon", NOW)).key
    notification = await new_notification(store, project)
    await commit(store, project, slots=[slot(notification, anonymous)])
    await store.users.merge(project.key, anonymous, known, NOW)
    assert len(await taken(store, project, known)) == 1
    await commit(store, project, revised=[decision(notification, anonymous, Reason.CANCELLED)])
    assert await taken(store, project, known) == [], "what is on its way still names the former person"
    await commit(store, project, slots=[slot(notification, known)])
    await store.users.erase(project.key, "u1")
    assert await store.steps.forget_slots(0, 0, 10) is None


async def test_old_places_are_forgotten_some_people_at_a_time(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 5)
    old, new = await new_notification(store, project), await new_notification(store, project, "n2")
    places = [slot(one, user, at) for one, at in ((old, NOW - 10), (new, NOW)) for user in users]
    await commit(store, project, slots=places)
    after: Key | None = 0
    walked = []
    while (after := await store.steps.forget_slots(NOW, after, 2)) is not None:
        walked.append(after)
    assert walked == [users[1], users[3], users[4]]
    assert [[place.notification for place in await taken(store, project, user)] for user in users] == [[new.key]] * 5


@pytest.mark.parametrize("at_cap", ["drop", "wait"])
async def test_two_workers_at_once_never_both_pass(
    database: OpenDatabase, clock: ManualClock, chance: SeededChance, at_cap: str
) -> None:
    """Two processes on PostgreSQL; elsewhere one process decides, with as many workers."""
    store = database()
    await store.open()
    shared = isinstance(store, MemoryStore | SqliteStore)
    second = store if shared else database()
    if second is not store:
        await second.open()
    try:
        await _race(store, second, clock, chance, at_cap)
    finally:
        for each in {id(one): one for one in (store, second)}.values():
            await each.close()


async def _race(store: Store, second: Store, clock: ManualClock, chance: SeededChance, at_cap: str) -> None:
    world = await World(store, clock, chance).begin()
    other = World(second, clock, SeededChance(7))
    other.project = world.project
    cap = Cap(name="two", limit=2, per=Rolling(seconds=3600), at_cap=at_cap)  # type: ignore[arg-type]
    capped = msgspec.structs.replace(world.project.settings, caps=[cap])
    await store.projects.update(msgspec.structs.replace(world.project, settings=capped))
    people = [f"p{number}" for number in range(PEOPLE)]
    for person in people:
        await world.subscribe(person)
    made = [await world.notify(*people, title=f"n{number}", ttl=5 * 3600) for number in range(6)]
    leases = await world.due()
    assert len(leases) == len(made)
    await asyncio.gather(*((world, other)[at % 2].pipeline.step(lease) for at, lease in enumerate(leases)))
    await world.work()
    assert _each(world) == dict.fromkeys(people, 2)
    if at_cap == "wait":
        for sent in (4, 6):
            clock.advance(hours=1)
            leases = await world.due()
            await asyncio.gather(*((world, other)[at % 2].pipeline.step(lease) for at, lease in enumerate(leases)))
            clock.advance(seconds=2)
            await world.work()
            assert _each(world, other) == dict.fromkeys(people, sent)
    for notification in made:
        assert set((await world.reasons(notification)).values()) <= {"send", "cap_reached"}


def _each(*worlds: World) -> dict[str, int]:
    messages = [message for world in worlds for message in world.browser.sent]
    return dict(Counter(message.address.address.removeprefix("https://push.example/") for message in messages))
