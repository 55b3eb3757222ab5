"""A moment for everybody: prepared ahead, fired once, and true to what people said in between."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import msgspec
import pytest

from clarion.errors import Conflict, NotFound
from clarion.journey.arming import OVERLAP_MS
from clarion.journey.changes import Fired, FiredOnes
from clarion.journey.delivering import Commit
from clarion.journey.permission import Said
from clarion.model import Audience, DeliveryState, DeviceKind, Message, Notification, ReceiptKind
from clarion.ports import (
    Accepted,
    ArmedWork,
    BadCredentials,
    Changes,
    Effects,
    Gone,
    Lease,
    Outgoing,
    ProviderOutcome,
    Quarantined,
    Rejected,
    RetryAfter,
    Store,
)
from clarion.storage.postgres import PostgresStore
from clarion.testing import ManualClock, SeededChance
from story.world import World, subscription, titles

DAY_MS = 86_400_000
LONG_AGO_MS = 3_600_000
MOZILLA = "https://updates.push.services.mozilla.com/wpush/v2/"


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    """Three people with a browser each, for an hour already."""
    world = await World(store, clock, chance).begin()
    for name in ("ada", "bob", "eve"):
        await world.subscribe(name)
    clock.advance(LONG_AGO_MS)
    return world


async def arm(world: World, to: Audience | None = None, **message: object) -> Notification:
    """Armed, and prepared a while ago."""
    told = Message(**{"title": "Goal!", **message})  # type: ignore[arg-type]
    notification = await world.pipeline.notify(world.project, told, to or Audience(everyone=True), arm=True)
    await world.work()
    assert world.browser.sent == []
    world.clock.advance(LONG_AGO_MS)
    return notification


async def fire(world: World, notification: Notification) -> None:
    world.clock.advance(LONG_AGO_MS)
    await world.pipeline.fire(world.project, notification.id)
    await world.work()


async def do(world: World, queue: str) -> None:
    """What is due there, and not what comes of it."""
    for lease in await world.store.work.claim(queue, 10, world.clock.now(), 15_000):
        await world.pipeline.step(lease)


def addresses(world: World) -> list[str]:
    return sorted(message.address.address.removeprefix("https://push.example/") for message in world.browser.sent)


async def test_nothing_leaves_before_the_fire_and_everything_after_it_once(world: World) -> None:
    notification = await arm(world)
    assert await world.reasons(notification) == {"ada": "send", "bob": "send", "eve": "send"}
    assert await world.states(notification) == []
    fired = await world.pipeline.fire(world.project, notification.id)
    await world.work()
    assert addresses(world) == ["ada", "bob", "eve"]
    assert await world.states(notification) == [DeliveryState.ACCEPTED] * 3
    world.clock.advance(1)
    again = await world.pipeline.fire(world.project, notification.id)
    assert again.fired_at == fired.fired_at
    assert await world.work() == 0
    assert len(world.browser.sent) == 3


async def test_the_time_to_live_counts_from_the_fire(world: World) -> None:
    notification = await arm(world, ttl=60)
    await fire(world, notification)
    assert {message.ready.expires_at - world.clock.now() for message in world.browser.sent} == {60_000}


async def test_who_said_no_meanwhile_gets_nothing_and_who_said_yes_gets_it(world: World) -> None:
    await world.define("categories", name="news", **{"class": "marketing"})
    for name in ("ada", "bob"):
        await world.pipeline.consent(world.project, name, [Said("news", None, granted=True)], source="form")
    world.clock.advance(LONG_AGO_MS)
    notification = await arm(world, category="news")
    await world.pipeline.consent(world.project, "ada", [Said("news", None, granted=False)], source="form")
    await world.pipeline.consent(world.project, "eve", [Said("news", None, granted=True)], source="form")
    await fire(world, notification)
    assert addresses(world) == ["bob", "eve"]
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send", "eve": "send"}


async def test_no_in_the_second_of_the_fire_counts(world: World) -> None:
    notification = await arm(world)
    await world.pipeline.fire(world.project, notification.id)
    await world.pipeline.consent(world.project, "ada", [Said("general", None, granted=False)], source="form")
    await world.work()
    assert addresses(world) == ["bob", "eve"]
    assert (await world.reasons(notification))["ada"] == "opted_out"


async def test_changes_after_the_catch_up_count_until_the_batch_leaves(world: World) -> None:
    notification = await arm(world)
    await world.pipeline.fire(world.project, notification.id)
    [catch_up] = await world.store.work.claim("audience", 1, world.clock.now(), 15_000)
    await world.pipeline.step(catch_up)
    await world.pipeline.consent(world.project, "ada", [Said("general", None, granted=False)], source="form")
    await world.subscribe("bob", "bob-anew", previous_address="https://push.example/bob")
    await world.work()
    assert addresses(world) == ["bob-anew", "eve"]
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send", "eve": "send"}


async def test_devices_are_those_that_are_there_at_the_fire(world: World) -> None:
    [gone] = await world.store.devices.of_user(world.project.key, await key_of(world, "ada"))
    notification = await arm(world)
    await world.store.devices.delete(world.project.key, gone.id)
    await world.subscribe("bob", "bob-anew", previous_address="https://push.example/bob")
    await world.subscribe("eve", "eve-too")
    await world.subscribe("new")
    await fire(world, notification)
    assert addresses(world) == ["bob-anew", "eve", "eve-too", "new"]
    assert await world.reasons(notification) == {"ada": "no_device", "bob": "send", "eve": "send", "new": "send"}


async def test_a_registration_that_tells_nothing_new_changes_nothing(world: World) -> None:
    device = subscription("zoe")
    await world.pipeline.register(world.project, "zoe", device)
    world.clock.advance(LONG_AGO_MS)
    notification = await arm(world)
    await world.pipeline.register(world.project, "zoe", device)
    changes = await world.store.steps.changes(world.project.key, notification.created_at)
    assert (changes.users, changes.devices) == ({}, {})
    await fire(world, notification)
    assert addresses(world) == ["ada", "bob", "eve", "zoe"]


async def test_a_device_that_went_to_somebody_else_shows_that_persons_message(world: World) -> None:
    notification = await arm(world, title="For {{ user.user_id }}")
    await world.subscribe("fay", "ada")
    await fire(world, notification)
    assert set(titles(world.browser.sent)) == {"For fay", "For bob", "For eve"}
    assert addresses(world) == ["ada", "bob", "eve"]
    assert (await world.reasons(notification))["ada"] == "no_device"


async def test_whose_device_went_to_somebody_else_gets_it_once_on_the_other(world: World) -> None:
    """The batches leave one after the other, and in between it is decided anew."""
    other = msgspec.structs.replace(subscription("other"), address=f"{MOZILLA}other")
    await world.pipeline.register(world.project, "ada", other)
    world.clock.advance(LONG_AGO_MS)
    notification = await arm(world)
    await world.subscribe("fay", "ada")
    await world.pipeline.fire(world.project, notification.id)
    batches = sorted(queue for queue in await world.store.work.waiting() if queue.startswith("deliver."))
    for queue in (*batches[:1], "decide", *batches[1:], "decide"):
        await do(world, queue)
    await world.work()
    assert addresses(world) == ["ada", "bob", "eve", f"{MOZILLA}other"]
    assert set((await world.reasons(notification)).values()) == {"send"}


async def test_a_device_that_goes_to_somebody_else_after_it_showed_it_shows_that_persons_message_too(
    world: World,
) -> None:
    notification = await arm(world, title="For {{ user.user_id }}")
    await world.pipeline.fire(world.project, notification.id)
    for lease in [lease for lease in await world.due() if isinstance(lease.job, ArmedWork)]:
        await world.pipeline.step(lease)
    await world.subscribe("fay", "ada")
    world.clock.advance(seconds=16)
    await world.work()
    assert sorted(titles(world.browser.sent)) == ["For ada", "For bob", "For eve", "For fay"]
    assert {one.user_id for one in await world.deliveries(notification)} == {"ada", "bob", "eve", "fay"}


async def composed(world: World, to: Audience) -> Notification:
    """Armed, decided and composed, and not prepared yet."""
    notification = await world.pipeline.notify(world.project, Message(title="Goal!"), to, arm=True)
    for queue in ("audience", "decide"):
        await do(world, queue)
    world.clock.advance(1)
    return notification


@pytest.mark.parametrize("named", ["everyone", "user", "device"])
@pytest.mark.parametrize("returns", [False, True])
async def test_whose_device_went_before_it_was_prepared_is_decided_anew(
    world: World, named: str, returns: bool
) -> None:
    """`returns`: it comes back when all is over."""
    [device] = await world.store.devices.of_user(world.project.key, await key_of(world, "ada"))
    audiences = {"user": Audience(users=["ada"]), "device": Audience(devices=[device.id])}
    notification = await composed(world, audiences.get(named, Audience(everyone=True)))
    await world.subscribe("fay", "ada")
    await world.work()
    await fire(world, notification)
    if returns:
        await world.subscribe("ada", "ada")
        await world.work()
    assert (await world.reasons(notification))["ada"] == "no_device"


async def test_who_turned_out_to_be_somebody_before_it_was_prepared_gets_it_as_that_person(world: World) -> None:
    device, _, _ = await world.pipeline.register_anonymous(world.project, subscription("phone"))
    notification = await composed(world, Audience(users=[device.user_id]))
    anonymous = await world.store.users.by_key(world.project.key, device.user)
    assert anonymous is not None
    await world.pipeline.merge(world.project, anonymous, "zoe")
    await world.work()
    await fire(world, notification)
    assert addresses(world) == ["phone"]
    assert await world.reasons(notification) == {"zoe": "send"}


async def test_who_turns_out_to_be_somebody_just_before_they_are_decided_anew_gets_it_as_that_person(
    world: World,
) -> None:
    device, _, _ = await world.pipeline.register_anonymous(world.project, subscription("phone"))
    world.clock.advance(LONG_AGO_MS)
    notification = await arm(world, Audience(users=[device.user_id]))
    await world.subscribe(device.user_id, "phone")  # with new keys
    await world.pipeline.fire(world.project, notification.id)
    for lease in [lease for lease in await world.due() if isinstance(lease.job, ArmedWork)]:
        await world.pipeline.step(lease)
    anonymous = await world.store.users.by_key(world.project.key, device.user)
    assert anonymous is not None
    await world.pipeline.merge(world.project, anonymous, "zoe")
    world.clock.advance(seconds=16)
    await world.work()
    assert addresses(world) == ["phone"]
    assert {one.user_id for one in await world.deliveries(notification)} == {"zoe"}


async def test_what_failed_and_is_decided_anew_twice_is_tried_again_once(world: World) -> None:
    """By the second batch of a person, and by the catch-up."""
    phones = [subscription("ada"), msgspec.structs.replace(subscription("other"), address=f"{MOZILLA}other")]
    await world.pipeline.register(world.project, "ada", phones[1])
    world.clock.advance(LONG_AGO_MS)
    notification = await arm(world, Audience(users=["ada"]))
    for phone in phones:
        await world.pipeline.register(world.project, "ada", msgspec.structs.replace(phone, locale="de"))
    await world.pipeline.fire(world.project, notification.id)
    first, second = sorted(queue for queue in await world.store.work.waiting() if queue.startswith("deliver."))
    world.browser.then(Rejected("400"))
    for queue in (first, "decide", first, second, "audience", "decide"):
        await do(world, queue)
    await world.work()
    assert len(world.browser.sent) == 3, "one of the two for the second time"
    assert await world.states(notification) == [DeliveryState.ACCEPTED] * 2


async def test_what_is_on_its_way_again_is_not_decided_otherwise_before_its_last_look(world: World) -> None:
    """The device is somebody else's only while the catch-up looks."""
    notification = await arm(world, Audience(users=["ada"]))
    await world.subscribe("ada", "ada")  # with new keys
    await world.pipeline.fire(world.project, notification.id)
    [batch] = [queue for queue in await world.store.work.waiting() if queue.startswith("deliver.")]
    await do(world, batch)
    await do(world, "decide")
    await world.subscribe("fay", "ada")
    await do(world, "audience")
    await do(world, "decide")
    await world.subscribe("ada", "ada")
    await world.work()
    assert addresses(world) == ["ada"]
    assert await world.reasons(notification) == {"ada": "send"}


async def test_what_went_before_it_was_prepared_is_cancelled_too(world: World) -> None:
    notification = await composed(world, Audience(users=["ada"]))
    await world.subscribe("fay", "ada")
    await world.work()
    await world.pipeline.cancel(world.project, notification.id)
    await world.work()
    assert await world.reasons(notification) == {"ada": "cancelled"}


async def test_who_turned_out_to_be_somebody_gets_it_once_as_that_person(world: World) -> None:
    device, _, _ = await world.pipeline.register_anonymous(world.project, subscription("phone"))
    world.clock.advance(LONG_AGO_MS)
    notification = await arm(world)
    anonymous = await world.store.users.by_key(world.project.key, device.user)
    assert anonymous is not None
    await world.pipeline.merge(world.project, anonymous, "ada")
    await fire(world, notification)
    assert addresses(world) == ["ada", "bob", "eve", "phone"]
    assert {one.user_id for one in await world.deliveries(notification)} == {"ada", "bob", "eve"}


async def test_who_was_erased_gets_nothing_and_leaves_no_trace(world: World) -> None:
    notification = await arm(world)
    await world.store.users.erase(world.project.key, "ada")
    await fire(world, notification)
    assert addresses(world) == ["bob", "eve"]
    assert set(await world.reasons(notification)) == {"bob", "eve"}
    assert {one.user_id for one in await world.deliveries(notification)} == {"bob", "eve"}


async def test_named_people_and_devices_stay_the_only_ones(world: World) -> None:
    [named] = await world.store.devices.of_user(world.project.key, await key_of(world, "bob"))
    to_users = await arm(world, Audience(users=["ada"]))
    to_devices = await arm(world, Audience(devices=[named.id]))
    for name in ("ada", "bob"):
        await world.subscribe(name, f"{name}-too")
    await world.subscribe("new")
    await fire(world, to_users)
    assert addresses(world) == ["ada", "ada-too"]
    await fire(world, to_devices)
    assert addresses(world) == ["ada", "ada-too", "bob"]


async def test_cancelled_is_never_sent_and_cannot_be_fired(world: World) -> None:
    notification = await arm(world)
    await world.pipeline.cancel(world.project, notification.id)
    with pytest.raises(Conflict, match="is cancelled"):
        await world.pipeline.fire(world.project, notification.id)
    await world.work()
    assert set((await world.reasons(notification)).values()) == {"cancelled"}
    assert world.browser.sent == []
    assert not (await world.store.trail.progress(world.project.key, notification.key)).working


async def test_what_is_cancelled_in_the_middle_stops_there(world: World) -> None:
    notification = await arm(world)
    await world.pipeline.fire(world.project, notification.id)
    await world.pipeline.cancel(world.project, notification.id)
    await world.work()
    assert world.browser.sent == []
    assert set((await world.reasons(notification)).values()) == {"cancelled"}


async def test_what_is_never_fired_expires_after_seven_days(world: World) -> None:
    notification = await arm(world)
    world.clock.advance(7 * DAY_MS)
    with pytest.raises(Conflict, match="not fired within seven days"):
        await world.pipeline.fire(world.project, notification.id)
    await world.work()
    assert set((await world.reasons(notification)).values()) == {"expired"}
    assert world.browser.sent == []
    assert not (await world.store.trail.progress(world.project.key, notification.key)).working


async def test_only_what_is_armed_can_be_fired(world: World) -> None:
    notification = await world.notify("ada")
    with pytest.raises(Conflict, match="not armed"):
        await world.pipeline.fire(world.project, notification.id)
    with pytest.raises(NotFound):
        await world.pipeline.fire(world.project, "0" * 32)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
async def test_fired_while_it_is_still_being_armed_everybody_gets_it_once(world: World, steps: int) -> None:
    notification = await world.pipeline.notify(world.project, Message(title="Goal!"), Audience(everyone=True), arm=True)
    held = []
    for _ in range(steps):
        leases = await world.due()
        held += leases[1:]
        if leases:
            await world.pipeline.step(leases[0])
    await world.pipeline.fire(world.project, notification.id)
    for lease in held:
        await world.pipeline.step(lease)
    await world.work()
    assert addresses(world) == ["ada", "bob", "eve"]
    assert await world.states(notification) == [DeliveryState.ACCEPTED] * 3


async def test_a_batch_whose_lease_was_voided_goes_on_waiting(world: World) -> None:
    notification = await arm(world)
    for lease in await world.due(at=notification.armed_until):
        await world.pipeline.step(lease)
    assert await world.work() == 0
    await fire(world, notification)
    assert addresses(world) == ["ada", "bob", "eve"]


async def test_the_same_content_is_no_duplicate_of_itself(world: World) -> None:
    notification = await arm(world, content_key="goal-1")
    await world.subscribe("ada", "ada-too")
    await fire(world, notification)
    assert addresses(world) == ["ada", "ada-too", "bob", "eve"]
    await world.pipeline.notify(world.project, Message(title="Goal!", content_key="goal-1"), Audience(users=["ada"]))
    await world.work()
    assert len(world.browser.sent) == 4


async def test_what_fails_at_the_fire_is_tried_again_and_retired_as_always(world: World) -> None:
    notification = await arm(world)
    world.browser.then(RetryAfter(seconds=5), Gone())
    await fire(world, notification)
    assert sorted(await world.states(notification)) == [
        DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.ACCEPTED
    ]  # fmt: skip
    world.clock.advance(6_000)
    await world.work()
    assert sorted(await world.states(notification)) == [
        DeliveryState.FAILED, DeliveryState.ACCEPTED, DeliveryState.ACCEPTED
    ]  # fmt: skip
    assert len(world.browser.sent) == 4
    first, again = world.browser.sent[0], world.browser.sent[3]
    assert (first.ready.id, first.body) == (again.ready.id, again.body)
    assert again.ready.attempts == 1


async def test_what_is_tried_again_is_decided_anew_when_its_device_changed(world: World) -> None:
    notification = await arm(world)
    world.browser.then(RetryAfter(seconds=5), RetryAfter(seconds=5))
    await fire(world, notification)
    waiting = [message.address.address for message in world.browser.sent[:2]]
    changed, same = (address.removeprefix("https://push.example/") for address in waiting)
    await world.subscribe(changed, f"{changed}-anew", previous_address=waiting[0])
    world.clock.advance(6_000)
    await world.work()
    sent = [message.address.address.removeprefix("https://push.example/") for message in world.browser.sent[3:]]
    assert sorted(sent) == sorted([f"{changed}-anew", same])
    assert await world.states(notification) == [DeliveryState.ACCEPTED] * 3


async def test_what_cannot_be_prepared_has_failed_before_the_fire(world: World) -> None:
    world.browser.unpreparable["https://push.example/ada"] = Quarantined("useless keys")
    notification = await arm(world)
    [failed] = await world.deliveries(notification)
    assert (failed.user_id, failed.state) == ("ada", DeliveryState.FAILED)
    world.browser.unpreparable.clear()
    await world.subscribe("ada", "ada")  # with new keys
    await fire(world, notification)
    assert addresses(world) == ["ada", "bob", "eve"]
    assert await world.states(notification) == [DeliveryState.ACCEPTED] * 3


@pytest.fixture
async def refused(world: World) -> World:
    """Their browsers' service refuses us: the lane is stopped."""
    for name in ("ada", "bob", "eve"):
        moved = {"address": f"{MOZILLA}{name}", "previous_address": f"https://push.example/{name}"}
        await world.pipeline.register(world.project, name, msgspec.structs.replace(subscription(name), **moved))
    world.clock.advance(LONG_AGO_MS)
    return world


async def stop(world: World) -> None:
    """Until a minute from now nothing leaves."""
    world.browser.otherwise = BadCredentials("403 BadJwtToken")
    await world.notify("ada")
    await world.work()
    assert len(await world.store.stoppages.all()) == 1
    world.browser.calls.clear()


async def test_fired_while_its_service_is_stopped_it_is_held_and_then_sent_once(refused: World) -> None:
    notification = await arm(refused)
    await stop(refused)
    await refused.pipeline.fire(refused.project, notification.id)
    await refused.work()
    assert refused.browser.calls == []
    assert (await refused.store.trail.progress(refused.project.key, notification.key)).working
    refused.browser.otherwise = Accepted()
    refused.clock.advance(60_000)
    await refused.work()
    assert await refused.states(notification) == [DeliveryState.ACCEPTED] * 3
    assert {one.attempts for one in await refused.deliveries(notification)} == {1}
    assert len({message.ready.id for message in refused.browser.sent if message.body}) == 3


async def test_fired_while_its_service_is_stopped_it_expires_in_time(refused: World) -> None:
    notification = await arm(refused, ttl=20)
    await stop(refused)
    await refused.pipeline.fire(refused.project, notification.id)
    [queue] = [name for name in await refused.store.work.waiting() if name.startswith("deliver.")]
    await refused.store.work.postpone(queue, refused.clock.now() + 60_000)
    await refused.work()
    refused.clock.advance(22_001)
    await refused.work()
    assert await refused.states(notification) == [DeliveryState.EXPIRED] * 3
    assert refused.browser.calls == []


async def test_a_batch_tried_again_after_its_fire_expires_in_time(refused: World) -> None:
    notification = await arm(refused, ttl=20)
    refused.browser.then(Accepted(), RetryAfter(seconds=5), RetryAfter(seconds=5))
    await refused.pipeline.fire(refused.project, notification.id)
    await refused.work()
    [queue] = await refused.store.work.waiting()
    await refused.store.work.postpone(queue, refused.clock.now() + 60_000)
    refused.clock.advance(22_001)
    await refused.work()
    assert sorted(await refused.states(notification)) == [
        DeliveryState.EXPIRED, DeliveryState.EXPIRED, DeliveryState.ACCEPTED
    ]  # fmt: skip


async def test_a_stop_and_its_end_leave_alone_what_still_waits_for_its_fire(refused: World) -> None:
    notification = await arm(refused)
    await stop(refused)
    lasts = notification.armed_until or 0
    for at in (refused.clock.now() + 60_000, lasts + 3_600_000):
        for queue in await refused.store.work.waiting():
            await refused.store.work.postpone(queue, at)
    await refused.pipeline.credential_changed(refused.project, DeviceKind.WEBPUSH)
    refused.browser.otherwise = Accepted()
    await refused.work()
    assert await refused.states(notification) == []
    refused.clock.advance(lasts + 2_001 - refused.clock.now())
    await refused.work()
    assert set((await refused.reasons(notification)).values()) == {"expired"}
    assert not (await refused.store.trail.progress(refused.project.key, notification.key)).working


async def test_fired_with_a_rate_it_leaves_in_chunks_and_everybody_gets_it_once(world: World) -> None:
    [key] = await world.store.projects.credentials(world.project.key, DeviceKind.WEBPUSH)
    await world.store.projects.replace_credential(msgspec.structs.replace(key, rate=1))
    await world.catalog.changed()
    notification = await arm(world)
    begun = world.clock.now()
    await world.pipeline.fire(world.project, notification.id)
    await world.work()
    assert [call.now - begun for call in world.browser.calls] == [0, 1_000, 2_000]
    assert await world.states(notification) == [DeliveryState.ACCEPTED] * 3


async def test_changes_are_read_once_and_forgotten_when_nothing_is_sent_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await arm(world), await arm(world)
    for each in (first, second):
        await fire(world, each)
    known, asked = FiredOnes(world.store, world.clock), []
    changes = world.store.steps.changes

    async def read(project: int, since: int) -> Changes:
        asked.append(since + OVERLAP_MS)
        return await changes(project, since)

    monkeypatch.setattr(world.store.steps, "changes", read)

    async def look(notification: Notification, minutes: int) -> int:
        world.clock.advance(minutes=minutes)
        assert isinstance(await known.get(world.project.key, notification.key), Fired)
        return asked[-1]

    assert await look(first, 0) == first.created_at
    assert await look(first, 9) == world.clock.now() - 9 * 60_000
    assert await look(second, 9) == second.created_at
    assert await look(first, 0) == world.clock.now() - 9 * 60_000, "not so long ago"
    assert await look(second, 11) == world.clock.now() - 11 * 60_000
    assert await look(first, 0) == first.created_at


async def test_told_to_end_in_the_middle_of_a_batch_it_writes_down_what_left_and_gives_back_the_rest(
    world: World,
) -> None:
    [key] = await world.store.projects.credentials(world.project.key, DeviceKind.WEBPUSH)
    await world.store.projects.replace_credential(msgspec.structs.replace(key, rate=1))
    await world.catalog.changed()
    notification = await arm(world)
    later = await world.notify("ada", "bob", "eve")
    ending, world.pipeline = world.pipeline, world.another_pipeline()
    await ending.fire(world.project, notification.id)

    def answer(_: Outgoing) -> ProviderOutcome:
        ending.end()
        return Accepted()

    world.browser.otherwise = answer
    while not world.browser.sent:
        for lease in await world.due():
            await ending.step(lease)
    for lease in await world.due():
        await ending.step(lease)
    assert len(world.browser.sent) == 1
    states = await world.states(notification) + await world.states(later)
    assert states.count(DeliveryState.ACCEPTED) == 1
    for _ in range(8):
        world.clock.advance(1_000)
        await world.work()
    assert await world.states(notification) == await world.states(later) == [DeliveryState.ACCEPTED] * 3
    assert len(world.browser.sent) == 6


async def test_a_receipt_that_is_faster_than_the_books_counts(world: World) -> None:
    notification = await arm(world)
    await world.pipeline.fire(world.project, notification.id)
    books = Books()
    pipeline = world.another_pipeline(recorder=books)
    for lease in await world.due():
        await pipeline.step(lease)
    shown = next(message for message in world.browser.sent if message.address.address.endswith("ada"))
    assert await world.device_tells(shown, ReceiptKind.DISPLAYED) == [True]
    await books.write()
    await world.work()
    told = {one.user_id: one.state for one in await world.deliveries(notification)}
    assert told == {"ada": DeliveryState.DISPLAYED, "bob": DeliveryState.ACCEPTED, "eve": DeliveryState.ACCEPTED}
    assert len(world.browser.sent) == 3


async def test_who_was_erased_or_merged_before_the_books_were_written(world: World) -> None:
    device, _, _ = await world.pipeline.register_anonymous(world.project, subscription("phone"))
    world.clock.advance(LONG_AGO_MS)
    notification = await arm(world)
    await world.pipeline.fire(world.project, notification.id)
    books = Books()
    pipeline = world.another_pipeline(recorder=books)
    for lease in await world.due():
        await pipeline.step(lease)
    anonymous = await world.store.users.by_key(world.project.key, device.user)
    assert anonymous is not None
    await world.pipeline.merge(world.project, anonymous, "bob")
    await world.store.users.erase(world.project.key, "ada")
    await books.write()
    assert [one.user_id for one in await world.deliveries(notification)] == ["bob", "bob", "eve"]


@pytest.mark.postgres
async def test_fired_from_two_processes_at_once_it_is_sent_once(
    postgres_url: str, clock: ManualClock, chance: SeededChance
) -> None:
    async with AsyncExitStack() as stack:
        worlds = []
        for _ in range(2):
            store = PostgresStore(postgres_url, now=clock.now)
            await store.open()
            stack.push_async_callback(store.close)
            worlds.append(World(store, clock, chance))
        one, other = worlds
        await one.begin()
        other.project, other.founded = one.project, one.founded
        for number in range(30):
            await one.subscribe(f"u{number}")
        clock.advance(LONG_AGO_MS)
        # Thirty batches of one, so that each process gets some.
        notifications = [await arm(one, Audience(users=[f"u{number}"])) for number in range(30)]
        await asyncio.gather(
            *(world.pipeline.fire(world.project, each.id) for each in notifications for world in worlds)
        )
        await asyncio.gather(one.work(), other.work())
        sent = [message.ready.id for world in worlds for message in world.browser.sent]
        assert len(sent) == len(set(sent)) == 30
        assert all([await one.states(each) == [DeliveryState.ACCEPTED] for each in notifications])


class Books:
    """A recorder that writes when it is told to."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Lease, Effects, Commit]] = []

    @contextmanager
    def sending(self) -> Iterator[None]:
        yield

    async def record(self, lease: Lease, effects: Effects, commit: Commit) -> None:
        self._waiting.append((lease, effects, commit))

    async def write(self) -> None:
        for lease, effects, commit in self._waiting:
            await commit(lease, effects)


async def key_of(world: World, user_id: str) -> int:
    user = await world.store.users.get(world.project.key, user_id)
    assert user is not None
    return user.key
