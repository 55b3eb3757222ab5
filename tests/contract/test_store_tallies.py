"""Sums over the newest rows, the same on every engine: by hour, of one project, and no dearer than was asked for."""

from clarion.model import DeliveryState, DeviceKind, Reason
from clarion.ports import HOUR_MS, Decided, Delivered, Effects, Store
from contract.support import NOW, decision, delivery, make_notification, new_project, new_users, outcome, register

HOUR = NOW - NOW % HOUR_MS


async def sent(store: Store, project, id: str, users, states=(), reason: Reason = Reason.SEND, **fields):
    """A notification with a decision for each user, and for the first ones a delivery in a state."""
    notification = await make_notification(store, project, id, **fields)
    decisions = [decision(notification, user, reason) for user in users]
    devices = [
        await register(store, project, user, address=f"https://x.example/{user}") for user in users[: len(states)]
    ]
    queued = [delivery(notification, device) for device in devices]
    await store.steps.commit(Effects(notifications=[notification], decisions=decisions, deliveries=queued))
    moved = [outcome(one, state) for one, state in zip(queued, states, strict=True) if state]
    await store.steps.commit(Effects(outcomes=moved))
    return notification


async def test_sums_are_by_the_hour_that_a_notification_was_due_in(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    users = list(await new_users(store, project, 4))
    await sent(store, project, "old", users[:1], created_at=HOUR - 3 * HOUR_MS)
    await sent(store, project, "one", users, [DeliveryState.ACCEPTED] * 3, created_at=HOUR)
    await sent(store, project, "two", users[:2], [DeliveryState.FAILED], created_at=HOUR + HOUR_MS - 1)
    await sent(store, project, "planned", users[:1], [0], created_at=HOUR, send_at=HOUR + 2 * HOUR_MS)
    await sent(store, project, "no", users, reason=Reason.NO_CONSENT, created_at=HOUR + HOUR_MS)
    theirs = list(await new_users(store, other, 2))
    await sent(store, other, "theirs", theirs, [DeliveryState.ACCEPTED], created_at=HOUR)

    tally = await store.tallies.lately(project.key, HOUR, 1_000)
    assert tally.whole
    assert sorted(tally.decisions, key=lambda one: one.hour) == [
        Decided(HOUR, Reason.SEND, 6),
        Decided(HOUR + HOUR_MS, Reason.NO_CONSENT, 4),
        Decided(HOUR + 2 * HOUR_MS, Reason.SEND, 1),
    ]
    web = DeviceKind.WEBPUSH
    assert sorted(tally.deliveries, key=lambda one: (one.hour, one.state)) == [
        Delivered(HOUR, web, DeliveryState.FAILED, 1),
        Delivered(HOUR, web, DeliveryState.ACCEPTED, 3),
        Delivered(HOUR + 2 * HOUR_MS, web, DeliveryState.QUEUED, 1),
    ]
    assert (await store.tallies.lately(other.key, HOUR, 1_000)).decisions == [Decided(HOUR, Reason.SEND, 2)]
    empty = await store.tallies.lately((await new_project(store, "empty")).key, HOUR, 1_000)
    assert (list(empty.decisions), list(empty.deliveries), empty.whole) == ([], [], True)


async def test_only_the_newest_rows_are_read_and_it_is_said_when_that_left_something_out(store: Store) -> None:
    project = await new_project(store)
    users = list(await new_users(store, project, 3))
    await sent(store, project, "old", users, created_at=HOUR - HOUR_MS)
    await sent(store, project, "new", users, created_at=HOUR)
    tally = await store.tallies.lately(project.key, HOUR - HOUR_MS, 4)
    assert sum(one.count for one in tally.decisions) == 4
    assert Decided(HOUR, Reason.SEND, 3) in tally.decisions
    assert not tally.whole
    assert (await store.tallies.lately(project.key, HOUR, 4)).whole, "what is left out is older than what was asked for"


async def test_each_notification_of_a_list_is_counted_up_to_a_bound(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    users = list(await new_users(store, project, 3))
    one = await sent(
        store, project, "one", users, [DeliveryState.ACCEPTED, DeliveryState.ACCEPTED, DeliveryState.FAILED]
    )
    two = await sent(store, project, "two", users, [DeliveryState.ACCEPTED])
    none = await sent(store, project, "none", users)
    theirs = await sent(store, other, "theirs", list(await new_users(store, other, 1)), [DeliveryState.ACCEPTED])
    keys = [one.key, two.key, none.key, theirs.key]
    found = await store.tallies.of_notifications(project.key, keys, 100)
    assert {key: dict(states) for key, states in found.items()} == {
        one.key: {DeliveryState.ACCEPTED: 2, DeliveryState.FAILED: 1},
        two.key: {DeliveryState.ACCEPTED: 1},
    }
    bounded = await store.tallies.of_notifications(project.key, keys, 2)
    assert sum(bounded[one.key].values()) == 2
    assert await store.tallies.of_notifications(project.key, [], 2) == {}
