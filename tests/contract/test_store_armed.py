"""Armed notifications in the store: fired once, nothing left behind, and every change since is known."""

import asyncio

import pytest

from clarion.model import DeliveryState, DeviceKind, Key, Notification, Project
from clarion.ports import ArmedWork, CatchUpWork, Effects, Facts, FactsQuery, NewWork, Sent, Store
from contract.support import (
    NOW,
    armed_work,
    claim,
    claim_one,
    consent,
    decision,
    delivery,
    new_armed,
    new_notification,
    new_project,
    new_user,
    new_users,
    outcome,
    receipt,
    register,
)

LANE = "deliver.apns.{}.production/app"


async def jobs(store: Store, project: Project, now: int = NOW) -> list[ArmedWork]:
    return [
        lease.job for lease in await claim(store, LANE.format(project.key), now) if isinstance(lease.job, ArmedWork)
    ]


async def test_what_is_armed_is_due_at_its_fire_or_at_its_end(store: Store) -> None:
    project = await new_project(store)
    armed = await new_armed(store, project)
    assert await jobs(store, project) == []
    progress = await store.trail.progress(project.key, armed.key)
    assert (progress.due_at, progress.working) == (armed.armed_until, True)
    queues = await store.trail.fire(project.key, armed.key, NOW)
    assert queues == ["audience", LANE.format(project.key)]
    assert [job.notification for job in await jobs(store, project)] == [armed.key]
    assert (await claim_one(store, "audience")).job == CatchUpWork(notification=armed.key)
    stored = await store.trail.notification(project.key, armed.id)
    assert stored is not None
    assert (stored.fired_at, stored.is_armed) == (NOW, False)


async def test_it_is_fired_once_however_many_call_at_once(store: Store) -> None:
    project = await new_project(store)
    armed = await new_armed(store, project)
    fired = await asyncio.gather(*(store.trail.fire(project.key, armed.key, NOW + n) for n in range(5)))
    assert sorted(map(bool, fired)) == [False] * 4 + [True]
    assert len(await claim(store, "audience", NOW + 9)) == 1


@pytest.mark.parametrize("ended", ["cancelled", "over", "elsewhere", "never armed"])
async def test_what_is_not_armed_any_more_is_not_fired(store: Store, ended: str) -> None:
    project = await new_project(store)
    armed = await new_armed(store, project)
    if ended == "cancelled":
        await store.trail.cancel(project.key, armed.key, NOW)
    if ended == "never armed":
        armed = await new_notification(store, project)
    owner = await new_project(store, "other") if ended == "elsewhere" else project
    assert await store.trail.fire(owner.key, armed.key, NOW + 1_000 * (ended == "over")) == []
    assert await claim(store, "audience", NOW + 1_000) == []


@pytest.mark.parametrize("begun", ["fired", "cancelled"])
async def test_a_batch_that_is_armed_after_the_fire_is_due_at_once(store: Store, begun: str) -> None:
    project = await new_project(store)
    armed = await new_armed(store, project)
    if begun == "fired":
        await store.trail.fire(project.key, armed.key, NOW)
    else:
        await store.trail.cancel(project.key, armed.key, NOW)
    assert len(await jobs(store, project)) == 1
    await store.steps.commit(
        Effects(work=[_waiting(project, armed, waits=True), _waiting(project, armed, waits=False)])
    )
    assert [job.waits for job in await jobs(store, project)] == [True]


def _waiting(project: Project, armed: Notification, *, waits: bool) -> NewWork:
    job = ArmedWork(
        **{name: getattr(armed_work(armed), name) for name in ArmedWork.__struct_fields__} | {"waits": waits}
    )
    return NewWork(project=project.key, job=job, due_at=NOW + 900, notification=armed.key)


async def test_changes_name_people_and_devices_of_one_project_since_a_moment(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    registering, deleting, saying, idle, erased, moved = await new_users(store, project, 6)
    await register(store, other, await new_user(store, other), now=NOW + 5)
    devices = {
        user: await register(store, project, user, f"https://push.example/{user}")
        for user in (registering, deleting, idle)
    }
    anonymous = await store.users.create_anonymous(project.key, "anon", NOW)
    anonymous_device = await register(store, project, anonymous.key, "https://push.example/anon")
    await register(store, project, registering, f"https://push.example/{registering}", locale="de", now=NOW + 5)
    await register(store, project, idle, f"https://push.example/{idle}", now=NOW + 5)  # tells nothing new
    await store.consents.append(project.key, [consent(saying, granted=False, at=NOW + 6)])
    await store.users.merge(project.key, anonymous.key, moved, NOW + 7)
    changes = await store.steps.changes(project.key, NOW + 1)
    assert changes.users == {registering: NOW + 5, saying: NOW + 6, anonymous.key: NOW + 7, moved: NOW + 7}
    assert changes.devices == {devices[registering].key: NOW + 5, anonymous_device.key: NOW + 7}
    assert changes.successors == {anonymous.key: moved}
    # These two take the time from the store's own clock.
    await store.devices.delete(project.key, devices[deleting].id)
    await store.users.erase(project.key, "u4")
    changes = await store.steps.changes(project.key, NOW)
    assert deleting in changes.users
    assert devices[deleting].key in changes.devices
    assert changes.successors[erased] is None


async def test_a_device_that_goes_from_hand_to_hand_has_changed_for_everybody(store: Store) -> None:
    project = await new_project(store)
    first, second, third = await new_users(store, project, 3)
    device = await register(store, project, first)
    await register(store, project, second, now=NOW + 5)
    await register(store, project, third, now=NOW + 9)
    changes = await store.steps.changes(project.key, NOW + 1)
    assert changes.users == {first: NOW + 5, second: NOW + 9, third: NOW + 9}
    assert changes.devices == {device.key: NOW + 9}


async def test_two_devices_of_a_person_go_to_somebody_else_in_one_moment(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    for owner, now in ((first, NOW), (second, NOW + 5)):
        for address in ("https://push.example/1", "https://push.example/2"):
            await register(store, project, owner, address, now=now)
    changes = await store.steps.changes(project.key, NOW + 1)
    assert changes.users == {first: NOW + 5, second: NOW + 5}


@pytest.mark.parametrize("ids", [None, ["a", None, "c"]])
async def test_deliveries_begin_with_their_outcome(store: Store, ids: list[str | None] | None) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 3)
    armed = await new_armed(store, project, "armed", *users)
    devices = [(await register(store, project, user, f"https://push.example/{user}")).key for user in users]
    sent = Sent(armed.key, DeviceKind.WEBPUSH, users, devices, ids, NOW)
    for _ in range(2):  # after a crash the same is written again
        decisions = [decision(armed, user) for user in users]
        assert await store.steps.commit(Effects(sent=[sent], decisions=decisions))
    page = await store.trail.deliveries(
        project.key, notification=armed.key, user=None, state=None, cursor=None, limit=9
    )
    assert [(each.device, each.state, each.provider_id, each.attempts) for each in page.items] == [
        (device, DeliveryState.ACCEPTED, id, 1) for device, id in zip(devices, ids or [None] * 3, strict=True)
    ]


async def test_a_device_that_was_faster_than_the_books_is_believed_after_a_fire_only(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    device = await register(store, project, user)
    armed = await new_armed(store, project, "armed", user)
    early = delivery(armed, device)
    assert await store.trail.add_receipts([receipt(project, early)], NOW) == [False]
    await store.trail.fire(project.key, armed.key, NOW)
    assert await store.trail.add_receipts([receipt(project, early)], NOW) == [True]
    sent = Sent(armed.key, DeviceKind.WEBPUSH, [user], [device.key], None, NOW)
    await store.steps.commit(Effects(sent=[sent], decisions=[decision(armed, user)]))
    [told] = (
        await store.trail.deliveries(project.key, notification=armed.key, user=None, state=None, cursor=None, limit=9)
    ).items
    assert told.state is DeliveryState.DISPLAYED


async def test_facts_tell_what_became_of_them_before(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 3)
    notification = await new_notification(store, project)
    devices = [await register(store, project, user, f"https://push.example/{user}") for user in users]
    queued = [delivery(notification, device) for device in devices[:2]]
    await store.steps.commit(
        Effects(
            decisions=[decision(notification, user) for user in users],
            deliveries=queued,
            outcomes=[outcome(queued[1], DeliveryState.FAILED)],
        )
    )
    expected: tuple[frozenset[tuple[Key, Key, Key]], dict[tuple[Key, Key], int]] = (
        frozenset({(notification.key, users[0], devices[0].key)}),
        {(notification.key, user): NOW for user in users},
    )
    for query in (FactsQuery(users=users), FactsQuery(span=(users[0], users[-1]))):
        without: Facts = await store.steps.facts(project.key, query)
        assert (without.begun, without.chosen) == (frozenset(), {})
        asked = FactsQuery(span=query.span, users=query.users, again=[notification.key])
        facts = await store.steps.facts(project.key, asked)
        assert (facts.begun, facts.chosen) == expected


async def test_what_came_to_nothing_is_on_its_way_again_with_a_decision_that_is_revised(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    notification = await new_notification(store, project)
    device = await register(store, project, user)
    again = delivery(notification, device)
    told = {"decisions": [decision(notification, user)], "deliveries": [again]}
    await store.steps.commit(Effects(**told, outcomes=[outcome(again, DeliveryState.FAILED)]))  # type: ignore[arg-type]
    for revised, begun in (([], set()), ([decision(notification, user)], {(notification.key, user, device.key)})):
        await store.steps.commit(Effects(revised=revised, deliveries=[again]))
        facts = await store.steps.facts(project.key, FactsQuery(users=[user], again=[notification.key]))
        assert facts.begun == begun
