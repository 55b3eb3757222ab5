"""Saying no, or pausing marketing, counts for everything that was not handed over yet: planned, held, queued, armed."""

from collections.abc import Awaitable, Callable

import pytest

from clarion.journey.permission import Said
from clarion.model import Audience, DeliveryState, Message, Notification, PreferenceChange
from clarion.ports import RetryAfter, Store
from clarion.testing import ManualClock, SeededChance
from story.world import World

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
Change = Callable[[World, str], Awaitable[None]]


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    """Two people who want offers, each with a browser."""
    world = await World(store, clock, chance).begin()
    await world.define("categories", name="offers", **{"class": "marketing"})
    for name in ("ada", "bob"):
        await world.subscribe(name)
        await world.pipeline.consent(world.project, name, [Said("offers", None, granted=True)], source="form")
    clock.advance(HOUR_MS)
    return world


async def ask(world: World, user_id: str, change: PreferenceChange) -> None:
    user = await world.store.users.get(world.project.key, user_id)
    assert user is not None
    await world.store.preferences.put(world.project.key, user.key, change, world.clock.now())


async def pauses(world: World, user_id: str) -> None:
    await ask(world, user_id, PreferenceChange(marketing_paused_until=world.clock.now() + 30 * DAY_MS))


async def resumes(world: World, user_id: str) -> None:
    await ask(world, user_id, PreferenceChange(marketing_paused_until=None))


async def says_no(world: World, user_id: str) -> None:
    await world.pipeline.consent(world.project, user_id, [Said("offers", None, granted=False)], source="unsubscribe")


either = pytest.mark.parametrize("says", [pauses, says_no])


def reached(world: World) -> list[str]:
    return sorted(message.address.address.removeprefix("https://push.example/") for message in world.browser.sent)


async def arm(world: World) -> Notification:
    told, everybody = Message(title="Mugs!", category="offers"), Audience(everyone=True)
    notification = await world.pipeline.notify(world.project, told, everybody, arm=True)
    await world.work()
    world.clock.advance(HOUR_MS)
    return notification


async def fire(world: World, notification: Notification) -> None:
    await world.pipeline.fire(world.project, notification.id)
    await world.work()


@either
async def test_before_it_is_decided(world: World, says: Change) -> None:
    await says(world, "ada")
    notification = await world.notify("ada", "bob", category="offers")
    await world.work()
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send"}
    assert reached(world) == ["bob"]


@either
async def test_what_is_planned(world: World, says: Change) -> None:
    notification = await world.notify("ada", "bob", category="offers", send_at=world.clock.now() + HOUR_MS)
    await world.work()
    assert await world.reasons(notification) == {"ada": "schedule", "bob": "schedule"}
    await says(world, "ada")
    world.clock.advance(HOUR_MS)
    await world.work()
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send"}
    assert reached(world) == ["bob"]


@either
async def test_what_is_held_by_quiet_hours(world: World, says: Change) -> None:
    local = (world.clock.now() % DAY_MS) // HOUR_MS
    quiet = {"start": f"{local:02}:00", "end": f"{(local + 2) % 24:02}:00"}
    await world.define("categories", name="offers", **{"class": "marketing", "quiet_hours": quiet})
    notification = await world.notify("ada", "bob", category="offers")
    await world.work()
    assert await world.reasons(notification) == {"ada": "quiet_hours", "bob": "quiet_hours"}
    await says(world, "ada")
    world.clock.advance(3 * HOUR_MS)
    await world.work()
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send"}
    assert reached(world) == ["bob"]


@either
async def test_what_is_composed_and_waits_for_its_turn(world: World, says: Change) -> None:
    notification = await world.notify("ada", "bob", category="offers")
    [lease] = await world.due()
    await world.pipeline.step(lease)
    assert await world.reasons(notification) == {"ada": "send", "bob": "send"}
    await says(world, "ada")
    await world.work()
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send"}
    assert reached(world) == ["bob"]


@either
async def test_what_waits_for_another_attempt(world: World, says: Change) -> None:
    world.browser.then(RetryAfter(seconds=60))
    notification = await world.notify("ada", category="offers")
    await world.work()
    await says(world, "ada")
    world.clock.advance(2 * 60_000)
    await world.work()
    assert len(world.browser.sent) == 1
    [delivery] = await world.deliveries(notification)
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "opted_out")


@either
async def test_what_is_armed(world: World, says: Change) -> None:
    notification = await arm(world)
    await says(world, "ada")
    world.clock.advance(HOUR_MS)
    await fire(world, notification)
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send"}
    assert reached(world) == ["bob"]


@either
async def test_in_the_second_of_the_fire(world: World, says: Change) -> None:
    notification = await arm(world)
    await world.pipeline.fire(world.project, notification.id)
    await says(world, "ada")
    await world.work()
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send"}
    assert reached(world) == ["bob"]


async def test_who_resumes_before_the_fire_gets_it(world: World) -> None:
    await pauses(world, "ada")
    world.clock.advance(HOUR_MS)
    notification = await arm(world)
    assert await world.reasons(notification) == {"ada": "opted_out", "bob": "send"}
    await resumes(world, "ada")
    await fire(world, notification)
    assert reached(world) == ["ada", "bob"]


async def test_a_pause_is_over_by_itself_and_the_reason_says_until_when(world: World) -> None:
    await pauses(world, "ada")
    first = await world.notify("ada", category="offers")
    await world.work()
    [decision] = await world.decisions(first)
    assert "marketing paused until 20" in decision.gates
    later = await world.notify("ada", category="offers", send_at=world.clock.now() + 30 * DAY_MS)
    await world.work()
    world.clock.advance(30 * DAY_MS)
    await world.work()
    assert await world.reasons(later) == {"ada": "send"}
    assert reached(world) == ["ada"]


async def test_a_pause_stops_marketing_alone(world: World) -> None:
    await world.define("categories", name="security", **{"class": "mandatory"})
    await pauses(world, "ada")
    sent = [await world.notify("ada", category=category) for category in ("general", "security")]
    await world.work()
    assert [await world.reasons(one) for one in sent] == [{"ada": "send"}] * 2
    assert reached(world) == ["ada", "ada"]


async def test_a_dry_run_knows_who_paused(world: World) -> None:
    await pauses(world, "ada")
    run = await world.pipeline.dry_run(
        world.project, Message(title="Mugs!", category="offers"), Audience(everyone=True)
    )
    assert run.counts == {"opted_out": 1, "send": 1}
