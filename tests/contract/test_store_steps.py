"""What one step wants written: all of it in one transaction, or nothing."""

import pytest

from clarion.model import DeliveryState, DeviceState, DeviceVerdict, Reason
from clarion.ports import AudienceWork, Effects, NewWork, SpanWork, Store
from contract.support import (
    NOW,
    claim,
    decision,
    delivery,
    facts_query,
    make_notification,
    new_delivery,
    new_notification,
    new_project,
    new_user,
    new_users,
    outcome,
    pairs_work,
    put_work,
    reasons_of,
    register,
    stolen_lease,
    the_delivery,
)


async def test_all_of_the_effects_are_written_together(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    device = await register(store, project, user)
    notification = await make_notification(store, project)
    effects = Effects(
        notifications=[notification],
        decisions=[decision(notification, user)],
        deliveries=[delivery(notification, device)],
        device_verdicts=[DeviceVerdict(device.key, DeviceState.QUARANTINED, "400", NOW)],
        sent_content=[(user, -(2**62))],
        work=[NewWork(project.key, SpanWork(notification.key, 1, 9), NOW, notification.key)],
    )
    assert await store.steps.commit(effects)
    assert await store.trail.notification(project.key, "n1") == notification
    progress = await store.trail.progress(project.key, notification.key)
    assert (progress.reasons, progress.working) == ({"send": 1}, True)
    assert progress.deliveries == {DeliveryState.QUEUED: 1}
    [found] = await store.devices.of_user(project.key, user)
    assert found.state is DeviceState.QUARANTINED
    facts = await store.steps.facts(project.key, facts_query([user], content=[-(2**62)]))
    assert facts.sent_content == {(user, -(2**62)): NOW}


async def test_a_step_under_a_stolen_lease_writes_nothing(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    device = await register(store, project, user)
    known = await new_notification(store, project, "known")
    queued = await new_delivery(store, known, device)
    lost, held = await stolen_lease(store, project)
    new = await make_notification(store, project, "new")
    effects = Effects(
        notifications=[new],
        decisions=[decision(new, user)],
        revised=[decision(known, user, Reason.EXPIRED)],
        deliveries=[delivery(new, device)],
        outcomes=[outcome(queued, DeliveryState.ACCEPTED)],
        device_verdicts=[DeviceVerdict(device.key, DeviceState.RETIRED, "410", NOW)],
        sent_content=[(user, 5)],
        work=[NewWork(project.key, AudienceWork(notification=new.key), NOW, new.key)],
    )
    assert not await store.steps.commit(effects, lost)
    assert await store.trail.notification(project.key, "new") is None
    assert await reasons_of(store, project, known) == {"send": 1}
    assert (await the_delivery(store, project, queued)).state is DeliveryState.QUEUED
    assert await store.devices.of_user(project.key, user) == [device]
    assert (await store.steps.facts(project.key, facts_query([user], content=[5]))).sent_content == {}
    assert await claim(store, "audience") == []
    assert await store.steps.commit(effects, held)
    assert await store.trail.notification(project.key, "new") == new


async def test_a_known_notification_is_skipped_with_all_the_work_that_names_it(store: Store) -> None:
    project = await new_project(store)
    first = await new_notification(store, project, "same")
    again = await make_notification(store, project, "same")
    other = await make_notification(store, project, "other")
    effects = Effects(
        notifications=[again, other],
        work=[
            NewWork(project.key, AudienceWork(notification=again.key), NOW, again.key),
            NewWork(project.key, AudienceWork(notification=other.key), NOW, other.key),
            NewWork(project.key, pairs_work((again.key, 1), (other.key, 1), (again.key, 2)), NOW),
            NewWork(project.key, pairs_work((again.key, 3)), NOW),
        ],
    )
    assert await store.steps.commit(effects)
    assert await store.trail.notification(project.key, "same") == first
    assert await store.trail.load(project.key, [again.key]) == {}
    assert [lease.job for lease in await claim(store, "audience")] == [AudienceWork(notification=other.key)]
    assert [lease.job for lease in await claim(store, "decide")] == [pairs_work((other.key, 1))]


async def test_two_notifications_of_one_id_in_one_step_are_one(store: Store) -> None:
    project = await new_project(store)
    first, second = [await make_notification(store, project, "same") for _ in range(2)]
    work = [NewWork(project.key, pairs_work((each.key, 1)), NOW, each.key) for each in (first, second)]
    assert await store.steps.commit(Effects(notifications=[first, second], work=work))
    assert await store.trail.notification(project.key, "same") == first
    assert [lease.notification for lease in await claim(store)] == [first.key]


async def test_a_skipped_notification_still_finishes_the_lease(store: Store) -> None:
    project = await new_project(store)
    await new_notification(store, project, "same")
    await put_work(store, project, pairs_work((1, 1)))
    [lease] = await claim(store)
    again = await make_notification(store, project, "same")
    assert await store.steps.commit(Effects(notifications=[again]), lease)
    assert await claim(store, now=lease.until + 1) == []


async def test_a_decision_stands_when_it_is_recorded_again(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    notification = await new_notification(store, project)
    await store.steps.commit(Effects(decisions=[decision(notification, first, Reason.OPTED_OUT)]))
    await store.steps.commit(Effects(decisions=[decision(notification, first), decision(notification, second)]))
    assert await reasons_of(store, project, notification) == {"opted_out": 1, "send": 1}


async def test_a_revision_replaces_the_hold_before_it(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    notification = await new_notification(store, project)
    hold = decision(notification, user, Reason.QUIET_HOURS, until=NOW + 9)
    await store.steps.commit(Effects(decisions=[hold]))
    [before] = (await _decisions(store, project.key, notification.key)).items
    await store.steps.commit(Effects(revised=[decision(notification, user, Reason.SEND, at=NOW + 9, gates="[]")]))
    [after] = (await _decisions(store, project.key, notification.key)).items
    assert (before.reason, before.until, before.at) == (Reason.QUIET_HOURS, NOW + 9, NOW)
    assert (after.reason, after.until, after.at, after.gates) == (Reason.SEND, None, NOW + 9, "[]")
    assert after.revision == before.revision + 1


async def test_a_delivery_queued_again_is_the_same_delivery(store: Store) -> None:
    project = await new_project(store)
    device = await register(store, project, await new_user(store, project))
    notification = await new_notification(store, project)
    queued = await new_delivery(store, notification, device)
    await store.steps.commit(Effects(outcomes=[outcome(queued, DeliveryState.ACCEPTED, provider_id="p1")]))
    await store.steps.commit(Effects(deliveries=[queued]))
    assert (await the_delivery(store, project, queued)).state is DeliveryState.ACCEPTED


async def test_an_outcome_is_kept_with_what_the_provider_said(store: Store) -> None:
    project = await new_project(store)
    device = await register(store, project, await new_user(store, project))
    queued = await new_delivery(store, await new_notification(store, project), device)
    retried = outcome(queued, DeliveryState.QUEUED, reason=Reason.PROVIDER_ERROR, attempts=1)
    await store.steps.commit(Effects(outcomes=[retried]))
    waiting = await the_delivery(store, project, queued)
    assert (waiting.state, waiting.reason, waiting.attempts) == (DeliveryState.QUEUED, Reason.PROVIDER_ERROR, 1)
    await store.steps.commit(Effects(outcomes=[outcome(queued, DeliveryState.ACCEPTED, provider_id="p1", attempts=2)]))
    done = await the_delivery(store, project, queued)
    assert (done.state, done.reason, done.provider_id, done.attempts) == (DeliveryState.ACCEPTED, None, "p1", 2)


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("shared", [True, False])
async def test_outcomes_of_a_batch_keep_what_is_their_own_and_what_they_share(
    store: Store, count: int, shared: bool
) -> None:
    project = await new_project(store)
    notification = await new_notification(store, project)
    users = await new_users(store, project, count)
    devices = [await register(store, project, user, f"https://push.example/{user}") for user in users]
    queued = [delivery(notification, device) for device in devices]
    bystander = delivery(notification, await register(store, project, users[0], "https://push.example/other"))
    decisions = [decision(notification, device.user) for device in devices]
    await store.steps.commit(Effects(decisions=decisions, deliveries=[*queued, bystander]))
    fates = (
        {"state": DeliveryState.ACCEPTED, "reason": None, "attempts": 1},
        {"state": DeliveryState.FAILED, "reason": Reason.DEVICE_GONE, "attempts": 2},
    )
    told = {one.device: fates[0 if shared else at % 2] for at, one in enumerate(queued)}
    ids = {one.device: None if shared else f'{{p,"{at}' for at, one in enumerate(queued)}
    outcomes = [outcome(one, **told[one.device], provider_id=ids[one.device]) for one in queued]
    assert await store.steps.commit(Effects(outcomes=outcomes))
    for one in queued:
        found = await the_delivery(store, project, one)
        kept = {"state": found.state, "reason": found.reason, "attempts": found.attempts}
        assert (kept, found.provider_id) == (told[one.device], ids[one.device])
    assert (await the_delivery(store, project, bystander)).state is DeliveryState.QUEUED


async def test_an_outcome_of_a_delivery_that_is_gone_is_no_error(store: Store) -> None:
    project = await new_project(store)
    device = await register(store, project, await new_user(store, project))
    notification = await new_notification(store, project)
    never_queued = delivery(notification, device)
    assert await store.steps.commit(Effects(outcomes=[outcome(never_queued, DeliveryState.ACCEPTED)]))
    assert (await store.trail.progress(project.key, notification.key)).deliveries == {}


async def test_content_sent_again_keeps_the_latest_time(store: Store) -> None:
    project = await new_project(store)
    user, other = await new_users(store, project, 2)
    notification = await new_notification(store, project)
    for at in (NOW, NOW + 5):
        effects = Effects(revised=[decision(notification, user, at=at)], sent_content=[(user, 7)])
        await store.steps.commit(effects)
    facts = await store.steps.facts(project.key, facts_query([user, other], content=[7, 8]))
    assert facts.sent_content == {(user, 7): NOW + 5}


async def test_one_commit_takes_thousands_of_rows(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 2500)
    notification = await new_notification(store, project)
    await store.steps.commit(
        Effects(
            decisions=[decision(notification, user) for user in users],
            sent_content=[(user, 1) for user in users],
            work=[NewWork(project.key, pairs_work((notification.key, user)), NOW) for user in users],
        )
    )
    assert await reasons_of(store, project, notification) == {"send": 2500}
    assert (await store.work.backlog())["decide"] == 2500


@pytest.mark.parametrize("size", [1, 2, 3, 10])
async def test_spans_cover_all_users_in_key_order(store: Store, size: int) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    users = []
    for number in range(7):  # interleaved, so that keys have gaps
        users.append(await new_user(store, project, f"u{number}"))
        await new_user(store, other, f"u{number}")
    spans = await store.steps.user_span(project.key, 0, size, 100)
    covered = [[key for key in users if first <= key <= last] for first, last in spans]
    assert [key for span in covered for key in span] == sorted(users)
    assert all(0 < len(span) <= size for span in covered)


async def test_spans_go_on_where_the_last_ones_stopped(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 10)
    seen, after = [], 0
    for _ in range(2):
        spans = await store.steps.user_span(project.key, after, 3, 2)
        assert len(spans) == 2
        seen += [key for key in users for first, last in spans if first <= key <= last]
        after = spans[-1][1]
    assert seen == users
    assert await store.steps.user_span(project.key, users[-1], 3, 2) == []


async def _decisions(store: Store, project: int, notification: int):
    return await store.trail.decisions(
        project, notification=notification, user=None, reason=None, cursor=None, limit=10
    )
