"""What the machine found, as it can be read: each was wrong once."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from clarion.journey.permission import Said
from clarion.model import Audience, Cap, DeliveryState, Message, PreferenceChange, QuietHours, User, UserChange
from clarion.ports import Lease, RetryAfter, Store
from clarion.testing import SeededChance
from invariants.platform import AnyClock
from invariants.strategies import HOUR_MS, NIGHT
from story.world import World, subscription, titles


@pytest.fixture
async def world(store: Store, clock: AnyClock, chance: SeededChance) -> World:
    """Ada, with a browser, and categories that nobody can switch off, or can."""
    world = await World(store, clock, chance).begin()
    await world.define("categories", name="security", **{"class": "mandatory"})
    await world.subscribe("ada")
    return world


async def visitor(world: World, address: str = "visitor") -> User:
    device, _, _ = await world.pipeline.register_anonymous(world.project, subscription(address))
    user = await world.store.users.get(world.project.key, device.user_id)
    assert user is not None
    return user


async def take(world: World, queue: str) -> Lease:
    [lease] = await world.store.work.claim(queue, 1, world.clock.now(), 15_000)
    return lease


async def do(world: World, queue: str) -> None:
    await world.pipeline.step(await take(world, queue))


async def rules(world: World, **changed: object) -> None:
    world.project = msgspec.structs.replace(
        world.project, settings=msgspec.structs.replace(world.project.settings, **changed)
    )
    await world.store.projects.update(world.project)
    await world.catalog.changed()


async def test_a_no_to_what_cannot_be_switched_off_stops_nothing_at_the_last_look(world: World) -> None:
    notification = await world.notify("ada", category="security")
    await do(world, "decide")
    await world.pipeline.consent(world.project, "ada", [Said("security", None, granted=False)], source="page")
    await world.work()
    assert await world.reasons(notification) == {"ada": "send"}
    assert len(world.browser.sent) == 1


async def test_who_is_meant_under_two_names_gets_it_once(world: World) -> None:
    anonymous = await visitor(world)
    notification = await world.notify("ada", anonymous.user_id)
    await world.pipeline.merge(world.project, anonymous, "ada")
    await world.work()
    assert await world.reasons(notification) == {"ada": "send"}
    assert len(world.browser.sent) == 2, "one for each browser"


async def test_who_was_held_under_both_names_gets_it_once(world: World) -> None:
    anonymous = await visitor(world)
    notification = await world.notify("ada", anonymous.user_id, send_at=world.clock.now() + HOUR_MS)
    await world.work()
    await world.pipeline.merge(world.project, anonymous, "ada")
    world.clock.advance(HOUR_MS)
    await world.work()
    assert await world.reasons(notification) == {"ada": "send"}
    assert len(world.browser.sent) == 2


async def test_what_was_sent_to_either_name_was_sent(world: World) -> None:
    anonymous = await visitor(world)
    notification = await world.notify("eve", anonymous.user_id)
    await world.work()
    assert await world.reasons(notification) == {"eve": "no_device", anonymous.user_id: "send"}
    await world.pipeline.merge(world.project, anonymous, "eve")
    assert await world.reasons(notification) == {"eve": "send"}


async def test_who_gets_a_name_of_their_own_while_a_broadcast_is_decided_is_not_forgotten(world: World) -> None:
    anonymous = await visitor(world)
    everybody = Audience(everyone=True)
    notification = await world.pipeline.notify(world.project, Message(title="Hello"), everybody)
    await do(world, "audience")
    await world.pipeline.merge(world.project, anonymous, "eve")
    await world.work()
    assert await world.reasons(notification) == {"ada": "send", "eve": "send"}
    assert len(world.browser.sent) == 2


async def test_who_was_erased_is_in_no_record_of_what_was_never_fired(world: World) -> None:
    await world.subscribe("bob")
    everybody = Audience(everyone=True)
    notification = await world.pipeline.notify(world.project, Message(title="Goal!"), everybody, arm=True)
    await world.work()
    await world.store.users.erase(world.project.key, "bob")
    world.clock.advance(hours=24 * 8)
    await world.work()
    assert await world.reasons(notification) == {"ada": "expired"}
    progress = await world.store.trail.progress(world.project.key, notification.key)
    assert progress.reasons == {"expired": 1}


async def test_what_is_taken_back_is_said_of_whom_they_have_become(world: World) -> None:
    anonymous = await visitor(world)
    notification = await world.notify(anonymous.user_id)
    await do(world, "decide")
    await world.pipeline.merge(world.project, anonymous, "ada")
    await world.pipeline.cancel(world.project, notification.id)
    await world.work()
    assert await world.reasons(notification) == {"ada": "cancelled"}
    progress = await world.store.trail.progress(world.project.key, notification.key)
    assert progress.reasons == {"cancelled": 1}


async def test_what_has_reached_one_device_stays_sent(world: World) -> None:
    """Another device's message waits in another queue, and is called off."""
    elsewhere = msgspec.structs.replace(
        subscription("x"), address="https://updates.push.services.mozilla.com/wpush/v2/x"
    )
    await world.pipeline.register(world.project, "ada", elsewhere)
    notification = await world.notify("ada")
    await do(world, "decide")
    first, _ = sorted(await world.store.work.waiting())
    await do(world, first)
    await world.pipeline.cancel(world.project, notification.id)
    await world.work()
    assert sorted(await world.states(notification)) == [DeliveryState.FAILED, DeliveryState.ACCEPTED]
    assert await world.reasons(notification) == {"ada": "send"}


@pytest.mark.parametrize("merges", [False, True])
async def test_what_was_late_wakes_nobody_where_they_are_by_now(world: World, merges: bool) -> None:
    """It was 08:00 where they were when it was decided, and is 23:05 in Anchorage."""
    await rules(world, quiet_hours=NIGHT)
    await world.store.users.put(world.project.key, "eve", UserChange(timezone="America/Anchorage"), world.clock.now())
    anonymous = await visitor(world)
    world.browser.then(RetryAfter(60.0))
    notification = await world.notify(anonymous.user_id if merges else "ada")
    await world.work()
    if merges:
        await world.pipeline.merge(world.project, anonymous, "eve")
    else:
        await world.store.users.put(
            world.project.key, "ada", UserChange(timezone="America/Anchorage"), world.clock.now()
        )
    world.clock.advance(minutes=5)
    await world.work()
    [delivery] = await world.deliveries(notification)
    assert (delivery.state, delivery.reason, len(world.browser.sent)) == (DeliveryState.QUEUED, "quiet_hours", 1)


async def test_a_first_decision_that_is_late_does_not_follow_that_of_the_fire(world: World) -> None:
    """Bob's devices changed, so that the fire decided about him; then a worker comes back from the dead."""
    device = await world.subscribe("bob")
    await world.store.devices.delete(world.project.key, device.id)
    to = Audience(users=["bob"])
    notification = await world.pipeline.notify(world.project, Message(title="Goal!"), to, arm=True)
    await world.pipeline.fire(world.project, notification.id)
    await take(world, "decide")
    await world.work()
    assert await world.reasons(notification) == {"bob": "no_device"}
    await world.subscribe("bob")
    world.clock.advance(seconds=16)
    await world.work()
    assert await world.reasons(notification) == {"bob": "no_device"}
    assert world.browser.sent == []


async def test_what_is_held_at_its_fire_is_no_duplicate_of_itself(world: World) -> None:
    """It was reserved for ada as it was armed; she asked for quiet after that, and had nothing of it yet."""
    ada = await world.store.users.get(world.project.key, "ada")
    assert ada is not None
    message = Message(title="Goal!", content_key="goal", ttl=86_400)
    notification = await world.pipeline.notify(world.project, message, Audience(users=["ada"]), arm=True)
    await world.work()
    now = datetime.fromtimestamp(world.clock.now() / 1000, UTC)
    hours = QuietHours(start=f"{now:%H:%M}", end=f"{now + timedelta(minutes=30):%H:%M}")
    await world.store.preferences.put(
        world.project.key, ada.key, PreferenceChange(quiet_hours=hours), world.clock.now()
    )
    await world.pipeline.fire(world.project, notification.id)
    world.clock.advance(101)
    await world.work()
    assert await world.reasons(notification) == {"ada": "quiet_hours"}
    world.clock.advance(minutes=45)
    await world.work()
    assert await world.reasons(notification) == {"ada": "send"}
    assert len(world.browser.sent) == 1


async def test_what_is_replaced_on_its_way_keeps_its_place_for_what_comes_instead(world: World) -> None:
    await rules(world, caps=[Cap(name="one", limit=1, per="day")])
    first = await world.notify("ada")
    await do(world, "decide")
    await world.pipeline.updating.replace(world.project, first.id, {"title": "Anew"})
    await world.work()
    world.clock.advance(minutes=1)
    second = await world.notify("ada")
    await world.work()
    assert await world.reasons(second) == {"ada": "cap_reached"}
    assert titles(world.browser.sent) == ["Anew"]


async def test_an_older_no_of_whom_they_turn_out_to_be_counts_at_the_last_look(world: World) -> None:
    await world.pipeline.consent(world.project, "ada", [Said("general", None, granted=False)], source="page")
    world.clock.advance(1000)
    anonymous = await visitor(world)
    notification = await world.notify(anonymous.user_id)
    await do(world, "decide")
    await world.pipeline.merge(world.project, anonymous, "ada")
    await world.work()
    assert await world.reasons(notification) == {"ada": "opted_out"}
    assert world.browser.sent == []


async def test_a_no_stops_nothing_that_only_takes_away_what_is_shown(world: World) -> None:
    notification = await world.notify("ada")
    await world.work()
    withdrawal = await world.pipeline.updating.withdraw(world.project, notification.id)
    await do(world, "audience")
    await do(world, "decide")
    await world.pipeline.consent(world.project, "ada", [Said("general", None, granted=False)], source="page")
    await world.work()
    assert await world.reasons(withdrawal) == {"ada": "send"}
    assert len(world.browser.sent) == 2


async def test_whose_device_changed_between_the_fire_and_the_preparation_is_decided_anew(world: World) -> None:
    everybody = Audience(everyone=True)
    notification = await world.pipeline.notify(world.project, Message(title="Goal!"), everybody, arm=True)
    await do(world, "audience")
    await do(world, "decide")
    await world.pipeline.fire(world.project, notification.id)
    await do(world, "audience")
    await world.subscribe("eve", "ada")
    await world.work()
    assert (await world.reasons(notification))["ada"] == "no_device"
