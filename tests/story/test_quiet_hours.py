"""Quiet hours from end to end: held at night, sent in the morning by what is known then, on every engine."""

from datetime import UTC, datetime

import msgspec
import pytest

from clarion.journey.permission import Said
from clarion.model import Audience, DeliveryState, Message, PreferenceChange, ProjectSettings, QuietHours, UserChange
from clarion.ports import RetryAfter, Store
from clarion.testing import ManualClock, SeededChance
from story.world import World

NIGHT = QuietHours(start="22:00", end="08:00")
EVENING = round(datetime(2027, 1, 26, 22, 12, tzinfo=UTC).timestamp() * 1000)  # in Paris it is 23:12
MORNING = round(datetime(2027, 1, 27, 7, tzinfo=UTC).timestamp() * 1000)  # in Paris it is 08:00
SPREAD_MS = 900_000
HOUR_MS = 3_600_000


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    """Ada is in Paris, where it is night; the project knows of no other quiet hours than these."""
    world = await World(store, clock, chance).begin()
    await go_to(world, EVENING)
    await settings(world, quiet_hours=NIGHT)
    await world.subscribe("ada", timezone="Europe/Paris")
    return world


async def go_to(world: World, moment: int) -> None:
    world.clock.advance(moment - world.clock.now())


async def settings(world: World, **changed: object) -> None:
    project = await world.store.projects.get(world.project.key)
    assert project is not None
    told: ProjectSettings = msgspec.structs.replace(project.settings, **changed)
    world.project = msgspec.structs.replace(project, settings=told)
    await world.store.projects.update(world.project)
    await world.catalog.changed()


async def moves_to(world: World, name: str, zone: str) -> None:
    await world.store.users.put(world.project.key, name, UserChange(timezone=zone), world.clock.now())


async def asks_for(world: World, name: str, hours: QuietHours | None) -> None:
    [key] = (await world.store.users.resolve(world.project.key, [name], 0, create=False)).values()
    change = PreferenceChange(quiet_hours=hours)
    await world.store.preferences.put(world.project.key, key, change, world.clock.now())


async def test_at_night_it_is_held_and_in_the_morning_sent(world: World) -> None:
    notification = await world.notify("ada")
    await world.work()
    [held] = await world.decisions(notification)
    assert (held.reason, world.browser.sent) == ("quiet_hours", [])
    assert held.until is not None
    assert MORNING <= held.until < MORNING + SPREAD_MS
    gate = ["quiet_hours", "hold", "22:00\N{EN DASH}08:00 in Europe/Paris, now 23:12"]
    told = await world.pipeline.story(world.project, "ada", notification.id)  # what `clarion explain` prints
    assert [chapter.detail["gates"][-1] for chapter in told if "gates" in chapter.detail] == [gate]
    await go_to(world, held.until - 1)
    assert await world.work() == 0
    await go_to(world, held.until)
    await world.work()
    [sent] = await world.decisions(notification)
    assert (sent.reason, sent.revision, len(world.browser.sent)) == ("send", 1, 1)
    passed = ["quiet_hours", "pass", "outside 22:00\N{EN DASH}08:00 in Europe/Paris"]
    assert msgspec.json.decode(sent.gates)[-1] == passed


async def test_in_the_morning_all_gates_are_asked_again(world: World) -> None:
    refused, called_off = await world.notify("ada"), await world.notify("ada", title="Another")
    await world.work()
    await world.pipeline.consent(world.project, "ada", [Said("general", None, granted=False)], source="page")
    await world.pipeline.cancel(world.project, called_off.id)
    await go_to(world, MORNING + SPREAD_MS)
    await world.work()
    assert await world.reasons(refused) == {"ada": "opted_out"}
    assert await world.reasons(called_off) == {"ada": "cancelled"}
    assert world.browser.sent == []


async def test_who_has_moved_meanwhile_is_held_where_they_are(world: World) -> None:
    notification = await world.notify("ada")
    await world.work()
    await moves_to(world, "ada", "America/New_York")
    await go_to(world, MORNING + SPREAD_MS)  # there it is 02:15
    await world.work()
    [held] = await world.decisions(notification)
    assert (held.reason, world.browser.sent) == ("quiet_hours", [])
    assert held.until is not None
    assert MORNING + 6 * HOUR_MS <= held.until < MORNING + 6 * HOUR_MS + SPREAD_MS
    await go_to(world, held.until)
    await world.work()
    assert len(world.browser.sent) == 1


async def test_what_would_arrive_stale_is_dropped_at_once(world: World) -> None:
    notification = await world.notify("ada", ttl=3_600)
    await world.work()
    [dropped] = await world.decisions(notification)
    assert dropped.reason == "expired"
    assert msgspec.json.decode(dropped.gates)[-1][2].endswith("now 23:12: would arrive stale")


async def test_urgent_classes_pass_and_urgency_alone_does_not(world: World) -> None:
    await world.define("categories", name="security", **{"class": "mandatory"})
    await world.define("categories", name="taxi", quiet_hours="none")
    alarm, taxi = await world.notify("ada", category="security"), await world.notify("ada", category="taxi")
    urgent = await world.notify("ada", urgency="high")
    await world.work()
    found = [await world.reasons(one) for one in (alarm, taxi, urgent)]
    assert found == [{"ada": "send"}, {"ada": "send"}, {"ada": "quiet_hours"}]
    await asks_for(world, "ada", NIGHT)
    alarm, taxi = await world.notify("ada", category="security"), await world.notify("ada", category="taxi")
    await world.work()
    assert [await world.reasons(one) for one in (alarm, taxi)] == [{"ada": "send"}, {"ada": "quiet_hours"}]


async def test_ones_own_quiet_hours_hold_where_the_project_has_none(world: World) -> None:
    await settings(world, quiet_hours=None)
    await world.subscribe("bob", timezone="Europe/Paris")
    await asks_for(world, "ada", QuietHours(start="23:00", end="23:30"))
    notification = await world.notify("ada", "bob")
    await world.work()
    assert await world.reasons(notification) == {"ada": "quiet_hours", "bob": "send"}
    # She takes it back. What waits comes at its time.
    await asks_for(world, "ada", None)
    await go_to(world, EVENING + HOUR_MS)
    await world.work()
    assert await world.reasons(notification) == {"ada": "send", "bob": "send"}


async def test_a_dry_run_tells_who_would_wait(world: World) -> None:
    await world.subscribe("bob", timezone="America/New_York")
    run = await world.pipeline.dry_run(world.project, Message(title="Hi"), Audience(everyone=True))
    assert run.counts == {"quiet_hours": 1, "send": 1}
    assert [one.until is not None for one in run.decisions] == [True, False]


async def test_what_was_late_does_not_leave_at_night(world: World) -> None:
    """Decided in time, but the push service was down."""
    await moves_to(world, "ada", "Europe/London")
    await go_to(world, EVENING + 23 * HOUR_MS + HOUR_MS // 2)  # 21:42
    world.browser.then(RetryAfter(seconds=1_800))
    notification = await world.notify("ada")
    await world.work()
    assert len(world.browser.sent) == 1
    await go_to(world, EVENING + 24 * HOUR_MS + HOUR_MS // 2)
    await world.work()
    [delivery] = await world.deliveries(notification)
    assert (delivery.state, delivery.reason, len(world.browser.sent)) == (DeliveryState.QUEUED, "quiet_hours", 1)
    await go_to(world, MORNING + 25 * HOUR_MS + SPREAD_MS)
    await world.work()
    [delivery] = await world.deliveries(notification)
    assert (delivery.state, delivery.reason, len(world.browser.sent)) == (DeliveryState.ACCEPTED, None, 2)


@pytest.mark.parametrize("content_key", [None, "goal-1"])
async def test_what_is_fired_at_night_wakes_nobody(world: World, content_key: str | None) -> None:
    await go_to(world, MORNING + 6 * HOUR_MS)
    await world.subscribe("bob", timezone="America/New_York")
    world.clock.advance(HOUR_MS)
    told = Message(title="Goal!", content_key=content_key)
    notification = await world.pipeline.notify(world.project, told, Audience(everyone=True), arm=True)
    await world.work()
    await go_to(world, EVENING + 24 * HOUR_MS)  # in New York it is 17:12
    await world.pipeline.fire(world.project, notification.id)
    await world.work()
    assert [one.address.address for one in world.browser.sent] == ["https://push.example/bob"]
    if content_key is None:
        assert await world.reasons(notification) == {"ada": "quiet_hours", "bob": "send"}
    await go_to(world, MORNING + 24 * HOUR_MS + SPREAD_MS)
    await world.work()
    assert len(world.browser.sent) == 2
    assert await world.reasons(notification) == {"ada": "send", "bob": "send"}


async def test_hours_of_their_own_hold_at_the_fire_whenever_they_were_asked_for(world: World) -> None:
    """Where nobody else has any: those from before the arming, and those from after it."""
    await settings(world, quiet_hours=None)
    await asks_for(world, "ada", NIGHT)
    for name in ("bob", "cat"):
        await world.subscribe(name, timezone="Europe/Paris")
    await go_to(world, MORNING + 6 * HOUR_MS)
    notification = await world.pipeline.notify(world.project, Message(title="Goal!"), Audience(everyone=True), arm=True)
    await world.work()
    world.clock.advance(HOUR_MS)
    await asks_for(world, "bob", NIGHT)
    await go_to(world, EVENING + 24 * HOUR_MS)
    await world.pipeline.fire(world.project, notification.id)
    await world.work()
    assert await world.reasons(notification) == {"ada": "quiet_hours", "bob": "quiet_hours", "cat": "send"}
    assert [one.address.address for one in world.browser.sent] == ["https://push.example/cat"]


async def test_arming_at_night_disturbs_nobody_and_holds_nobody_back(world: World) -> None:
    told = Message(title="Goal!")
    notification = await world.pipeline.notify(world.project, told, Audience(everyone=True), arm=True)
    await world.work()
    [armed] = await world.decisions(notification)
    assert msgspec.json.decode(armed.gates)[-1] == ["quiet_hours", "pass", "armed: asked at the fire"]
    await go_to(world, MORNING)
    await world.pipeline.fire(world.project, notification.id)
    await world.work()
    assert len(world.browser.sent) == 1
