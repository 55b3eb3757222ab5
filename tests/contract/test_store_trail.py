"""Notifications and what became of them, as the API shows it."""

import asyncio

from clarion.model import Audience, DeliveryState, Message, Notification, Project, Reason, Urgency
from clarion.ports import AudienceWork, DecisionRecord, DeliveryRecord, Effects, NewWork, Page, Store
from contract.support import (
    NOW,
    claim,
    claim_one,
    decision,
    delivery,
    every_page,
    make_notification,
    new_delivery,
    new_notification,
    new_project,
    new_user,
    new_users,
    outcome,
    put_work,
    register,
    the_delivery,
)


async def decisions(store: Store, project: Project, cursor: str | None = None, **query) -> Page[DecisionRecord]:
    told = {"notification": None, "user": None, "reason": None, "limit": 100} | query
    return await store.trail.decisions(project.key, cursor=cursor, **told)


async def deliveries(store: Store, project: Project, cursor: str | None = None, **query) -> Page[DeliveryRecord]:
    told = {"notification": None, "user": None, "state": None, "limit": 100} | query
    return await store.trail.deliveries(project.key, cursor=cursor, **told)


async def test_reserved_keys_rise_and_are_never_given_twice(store: Store) -> None:
    first = await store.trail.reserve(3)
    second = await store.trail.reserve(1000)
    assert (len(first), len(second)) == (3, 1000)
    assert first == sorted(first)
    assert second == sorted(second)
    assert len({*first, *second}) == 1003


async def test_callers_at_the_same_time_get_different_keys(store: Store) -> None:
    given = await asyncio.gather(*(store.trail.reserve(2) for _ in range(200)))
    assert len({key for keys in given for key in keys}) == 400


async def test_a_notification_comes_back_as_it_was_given(store: Store) -> None:
    project = await new_project(store)
    message = Message(title="Hällo 🎁", data={"n": [1, None]}, urgency=Urgency.HIGH, ttl=60, apns={"aps": {}})
    notification = await new_notification(
        store,
        project,
        message=message,
        to=Audience(users=["u1", "u2"]),
        created_at=NOW - 1,
        send_at=NOW + 5,
        automation="a",
        event=7,
    )
    assert await store.trail.notification(project.key, "n1") == notification
    assert await store.trail.load(project.key, [notification.key, 999_999]) == {notification.key: notification}


async def test_an_unknown_notification_is_none(store: Store) -> None:
    project = await new_project(store)
    assert await store.trail.notification(project.key, "nothing") is None
    assert await store.trail.load(project.key, []) == {}


async def test_pages_of_notifications_cover_each_once_newest_first(store: Store) -> None:
    project = await new_project(store)
    ids = [(await new_notification(store, project, f"n{number}")).id for number in range(7)]
    pages = await every_page(lambda cursor: store.trail.notifications(project.key, cursor, 3))
    assert [[item.id for item in page] for page in pages] == [ids[:3:-1], ids[3:0:-1], ids[:1]]


async def test_a_cancelled_notification_says_since_when_and_cancels_once(store: Store) -> None:
    project = await new_project(store)
    notification = await new_notification(store, project)
    assert await store.trail.cancel(project.key, notification.key, NOW + 5)
    assert not await store.trail.cancel(project.key, notification.key, NOW + 9)
    found = await store.trail.notification(project.key, "n1")
    assert found is not None
    assert found.cancelled_at == NOW + 5


async def test_cancelling_what_is_not_there_is_false(store: Store) -> None:
    project = await new_project(store)
    assert not await store.trail.cancel(project.key, 999_999, NOW)


async def test_cancelling_makes_the_waiting_work_of_the_notification_due_at_once(store: Store) -> None:
    project = await new_project(store)
    notification = await new_notification(store, project, "n1")
    other = await new_notification(store, project, "n2")
    for each in (notification, other):
        await put_work(store, project, AudienceWork(notification=each.key), NOW + 9000, notification=each.key)
    await store.trail.cancel(project.key, notification.key, NOW + 5)
    assert [lease.notification for lease in await claim(store, "audience", NOW + 5)] == [notification.key]


async def test_cancelling_leaves_a_job_with_the_worker_that_holds_it(store: Store) -> None:
    project = await new_project(store)
    notification = await new_notification(store, project)
    await put_work(store, project, AudienceWork(notification=notification.key), notification=notification.key)
    lease = await claim_one(store, "audience")
    await store.trail.cancel(project.key, notification.key, NOW + 5)
    assert await claim(store, "audience", NOW + 5) == []
    assert await store.steps.commit(Effects(), lease)


async def test_progress_counts_reasons_and_states_and_knows_when_work_is_left(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 3)
    devices = [await register(store, project, user, f"https://push.example/{user}") for user in users[:2]]
    notification = await new_notification(store, project)
    empty = await store.trail.progress(project.key, notification.key)
    assert (empty.reasons, empty.deliveries, empty.working) == ({}, {}, False)
    work = NewWork(project.key, AudienceWork(notification=notification.key), NOW, notification.key)
    reasons = (Reason.SEND, Reason.SEND, Reason.NO_DEVICE)
    effects = Effects(
        decisions=[decision(notification, user, reason) for user, reason in zip(users, reasons, strict=True)],
        deliveries=[delivery(notification, device) for device in devices],
        outcomes=[outcome(delivery(notification, devices[0]), DeliveryState.ACCEPTED)],
        work=[work],
    )
    await store.steps.commit(effects)
    progress = await store.trail.progress(project.key, notification.key)
    assert progress.reasons == {"send": 2, "no_device": 1}
    assert progress.deliveries == {DeliveryState.QUEUED: 1, DeliveryState.ACCEPTED: 1}
    assert progress.working
    lease = await claim_one(store, "audience")
    assert (await store.trail.progress(project.key, notification.key)).working, "leased is not done"
    await store.steps.commit(Effects(), lease)
    assert not (await store.trail.progress(project.key, notification.key)).working


async def test_decisions_of_a_notification_come_in_user_order(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 5)
    notification, other = [await new_notification(store, project, id) for id in ("n1", "n2")]
    await store.steps.commit(
        Effects(
            decisions=[
                *(decision(notification, user) for user in users),
                decision(other, users[0], Reason.NO_DEVICE),
            ]
        )
    )
    pages = await every_page(lambda cursor: decisions(store, project, cursor, notification=notification.key, limit=2))
    ids = await store.users.ids(project.key, users)
    assert [[record.user_id for record in page] for page in pages] == [
        [ids[user] for user in chunk] for chunk in (users[:2], users[2:4], users[4:])
    ]


async def test_a_decision_is_shown_with_public_ids(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    notification = await new_notification(store, project)
    gates = '[["quiet_hours","hold",22]]'
    hold = decision(notification, user, Reason.QUIET_HOURS, until=NOW + 9, gates=gates, at=NOW + 1)
    await store.steps.commit(Effects(decisions=[hold]))
    [record] = (await decisions(store, project, notification=notification.key)).items
    assert (record.notification_id, record.user_id, record.reason) == ("n1", "u1", Reason.QUIET_HOURS)
    assert (record.until, record.gates, record.at) == (NOW + 9, gates, NOW + 1)


async def test_decisions_of_a_user_come_newest_first(store: Store) -> None:
    project = await new_project(store)
    user, other = await new_users(store, project, 2)
    made: list[Notification] = []
    for number in range(5):
        made.append(await new_notification(store, project, f"n{number}", created_at=NOW + number))
        both = [decision(made[-1], each, at=NOW + number) for each in (user, other)]
        await store.steps.commit(Effects(decisions=both))
    pages = await every_page(lambda cursor: decisions(store, project, cursor, user=user, limit=2))
    assert [[record.notification_id for record in page] for page in pages] == [["n4", "n3"], ["n2", "n1"], ["n0"]]


async def test_decisions_are_filtered_by_reason_and_by_both(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 4)
    notification = await new_notification(store, project)
    reasons = [Reason.SEND, Reason.NO_CONSENT, Reason.SEND, Reason.NO_CONSENT]
    pairs = zip(users, reasons, strict=True)
    await store.steps.commit(Effects(decisions=[decision(notification, user, reason) for user, reason in pairs]))
    ids = await store.users.ids(project.key, users)
    filtered = {"notification": notification.key, "reason": Reason.NO_CONSENT}
    found = await every_page(lambda cursor: decisions(store, project, cursor, **filtered, limit=1))
    assert [record.user_id for page in found for record in page] == [ids[users[1]], ids[users[3]]]
    [one] = (await decisions(store, project, notification=notification.key, user=users[0])).items
    assert one.user_id == ids[users[0]]
    assert (await decisions(store, project, user=users[0], reason=Reason.NO_CONSENT)).items == []


async def test_a_delivery_is_shown_with_public_ids(store: Store) -> None:
    project = await new_project(store)
    device = await register(store, project, await new_user(store, project), id="d1")
    notification = await new_notification(store, project)
    queued = await new_delivery(store, notification, device)
    record = await the_delivery(store, project, queued)
    assert (record.notification, record.notification_id) == (notification.key, "n1")
    assert (record.user_id, record.device, record.device_id, record.kind) == ("u1", device.key, "d1", device.kind)
    assert (record.state, record.reason, record.provider_id) == (DeliveryState.QUEUED, None, None)
    assert (record.attempts, record.created_at, record.updated_at) == (0, NOW, NOW)


async def test_deliveries_come_newest_notification_first(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 2)
    devices = [await register(store, project, user, f"https://push.example/{user}") for user in users]
    for number in range(3):
        notification = await new_notification(store, project, f"n{number}")
        for device in devices:
            await new_delivery(store, notification, device)
    for query, each in (({}, 2), ({"user": users[0]}, 1)):
        pages = await every_page(lambda cursor, query=query: deliveries(store, project, cursor, **query, limit=3))
        shown = [record.notification_id for page in pages for record in page]
        assert shown == [id for id in ("n2", "n1", "n0") for _ in range(each)]
        keys = [(record.notification, record.device) for page in pages for record in page]
        assert len(keys) == len(set(keys))
    assert all(len(page) <= 3 for page in pages)


async def test_deliveries_are_filtered_by_notification_and_state(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 4)
    devices = [await register(store, project, user, f"https://push.example/{user}") for user in users]
    notification, other = [await new_notification(store, project, id) for id in ("n1", "n2")]
    queued = [await new_delivery(store, notification, device) for device in devices]
    await new_delivery(store, other, devices[0])
    done = [outcome(one, DeliveryState.ACCEPTED) for one in queued[1:3]]
    await store.steps.commit(Effects(outcomes=done))
    assert len((await deliveries(store, project, notification=notification.key)).items) == 4
    accepted = {"notification": notification.key, "state": DeliveryState.ACCEPTED}
    pages = await every_page(lambda cursor: deliveries(store, project, cursor, **accepted, limit=1))
    assert [record.device for page in pages for record in page] == [device.key for device in devices[1:3]]
    assert len((await deliveries(store, project, state=DeliveryState.QUEUED)).items) == 3


async def test_the_trail_still_names_a_device_that_was_deleted(store: Store) -> None:
    project = await new_project(store)
    device = await register(store, project, await new_user(store, project), id="d1")
    notification = await new_notification(store, project)
    queued = await new_delivery(store, notification, device)
    await store.devices.delete(project.key, "d1")
    assert (await the_delivery(store, project, queued)).device_id == "d1"


async def test_a_delivery_stays_with_the_user_it_was_meant_for_when_its_device_moves(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    device = await register(store, project, first)
    queued = await new_delivery(store, await new_notification(store, project), device)
    await register(store, project, second)
    ids = await store.users.ids(project.key, [first])
    assert (await the_delivery(store, project, queued)).user_id == ids[first]
    assert (await deliveries(store, project, user=second)).items == []


async def test_making_a_notification_does_not_store_it(store: Store) -> None:
    project = await new_project(store)
    made = await make_notification(store, project)
    assert await store.trail.load(project.key, [made.key]) == {}
