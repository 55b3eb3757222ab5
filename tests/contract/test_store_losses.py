"""Losses and what is counted by day, on every engine."""

import itertools
from pathlib import Path

import pytest

from clarion.model import DAY_MS, DeliveryState, DeviceState, DeviceVerdict, Notification, Project
from clarion.ports import Dimension, Effects, LossCount, LossKind, Store
from clarion.storage.sqlite import SqliteStore
from contract.support import NOW, decision, delivery, new_notification, new_project, new_user, outcome, register

DAY = NOW - NOW % DAY_MS


async def reach(store: Store, project: Project, user_id: str, id: str, at: int) -> Notification:
    """A notification of that time that reached somebody."""
    user = await new_user(store, project, user_id)
    device = await register(store, project, user, f"https://push.example/{user_id}")
    sent = await new_notification(store, project, id, created_at=at)
    queued = delivery(sent, device)
    accepted = [outcome(queued, DeliveryState.ACCEPTED)]
    decided = [decision(sent, user, at=at)]
    await store.steps.commit(Effects(decisions=decided, deliveries=[queued], outcomes=accepted))
    return sent


async def names(store: Store, project: Project, day: int) -> set[str]:
    found = await store.losses.reached(project.key, day)
    return {each.name for each in found if each.dimension is Dimension.CAMPAIGN}


async def test_a_day_begins_and_ends_at_midnight(store: Store) -> None:
    """However many were made before and after, by other projects too."""
    shop, other = await new_project(store, "shop"), await new_project(store, "other")
    moments = [-3 * DAY_MS, -DAY_MS, -1, 0, 1, DAY_MS - 1, DAY_MS, 2 * DAY_MS]
    for number, at in enumerate(moments):
        for project in (other, shop):
            await reach(store, project, f"u{number}", f"n{number}", DAY + at)
    for day in range(-4, 4):
        begin, end = day * DAY_MS, (day + 1) * DAY_MS
        told = {f"n{number}" for number, at in enumerate(moments) if begin <= at < end}
        assert await names(store, shop, DAY + day * DAY_MS) == told, day


async def test_keys_and_times_may_be_minutes_apart(store: Store) -> None:
    """Clocks of two machines differ."""
    shop = await new_project(store)
    for number, at in enumerate([-3_600_000, 100_000, -100_000, 200_000, -1, 0, -200_000, 3_600_000]):
        await reach(store, shop, f"u{number}", f"n{number}", DAY + at)
    assert await names(store, shop, DAY) == {"n1", "n3", "n5", "n7"}
    assert await names(store, shop, DAY - DAY_MS) == {"n0", "n2", "n4", "n6"}


@pytest.mark.parametrize(
    ("state", "sent_at", "lost"),
    [(DeviceState.RETIRED, NOW, 1), (DeviceState.RETIRED, NOW - 1, 0), (DeviceState.QUARANTINED, NOW, 0)],
    ids=["proof", "older than its registration", "doubt"],
)
async def test_a_subscription_is_lost_on_proof_and_once(
    store: Store, state: DeviceState, sent_at: int, lost: int
) -> None:
    shop = await new_project(store)
    user = await new_user(store, shop)
    device = await register(store, shop, user)
    notification = await new_notification(store, shop)
    for number in range(3):
        verdict = DeviceVerdict(device.key, state, "gone", sent_at)
        told = decision(notification, user, at=NOW + number)
        await store.steps.commit(Effects(revised=[told], device_verdicts=[verdict]))
    found = await store.losses.of_user(shop.key, user)
    assert [(each.kind, each.device, each.at) for each in found] == [(LossKind.SUBSCRIPTION, device.key, NOW)][:lost]


async def test_counts_of_later_days_are_replaced_and_those_before_stay(store: Store) -> None:
    shop, other = await new_project(store, "shop"), await new_project(store, "other")

    def count(day: int, reached: int) -> LossCount:
        return LossCount(dimension=Dimension.CATEGORY, name="news", day=day, reached=reached, lost=1)

    for project in (shop, other):
        await store.losses.put(project.key, 0, [count(1, 1), count(2, 2), count(3, 4)])
    await store.losses.put(shop.key, 2, [count(3, 8)])
    sums = [await store.losses.sums(shop.key, Dimension.CATEGORY, *span) for span in ((1, 4), (1, 3), (2, 3))]
    assert [[(each.reached, each.lost) for each in some] for some in sums] == [[(9, 2)], [(1, 1)], []]
    [untouched] = await store.losses.sums(other.key, Dimension.CATEGORY, 0, 9)
    assert untouched.reached == 7


async def test_a_key_that_was_fetched_ahead_is_used_soon_or_never(
    sqlite_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise keys would not rise with time, and a day would not be found by them."""
    server, command = SqliteStore(sqlite_folder), SqliteStore(sqlite_folder, server=False)
    await server.open()
    await command.open()
    seconds = itertools.count(0.0, 61.0)
    [first] = await server.trail.reserve(1)
    [second] = await server.trail.reserve(1)
    [between] = await command.trail.reserve(1)
    monkeypatch.setattr("clarion.storage.trail.time.monotonic", lambda: 1e12 + next(seconds))
    [later] = await server.trail.reserve(1)
    assert first < second < between < later
    await command.close()
    await server.close()
