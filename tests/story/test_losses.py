"""Whom we lose: a no is tied to what reached the person in 24 hours before, and an alert says when it doubles."""

import pytest

from clarion.journey.permission import Said
from clarion.model import (
    DAY_MS,
    Audience,
    Channel,
    Consent,
    Device,
    Key,
    Message,
    Millis,
    Notification,
    Permission,
    ReceiptKind,
)
from clarion.ports import Dimension, Gone, LossCount, Store
from clarion.testing import ManualClock, SeededChance
from story.world import World, subscription

HOUR_MS = 3_600_000
MIDNIGHT = 1_800_057_600_000  # 2027-01-16


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    """Noon of a day; categories `news` and `offers`."""
    clock.advance(MIDNIGHT + DAY_MS // 2 - clock.now())
    world = await World(store, clock, chance).begin()
    for name in ("news", "offers"):
        await world.define("categories", name=name)
    return world


async def send(world: World, *users: str, **message: object) -> Notification:
    notification = await world.notify(*users, **message)
    await world.work()
    return notification


async def says_no(world: World, user_id: str, category: str, source: str = "unsubscribe") -> None:
    await world.pipeline.consent(world.project, user_id, [Said(category, None, granted=False)], source=source)


async def denies(world: World, user_id: str) -> Device:
    said = subscription(user_id, Permission.DENIED)
    device, _ = await world.pipeline.register(world.project, user_id, said)
    return device


async def counts(world: World, by: Dimension = Dimension.CATEGORY, days: int = 1) -> dict[str, LossCount]:
    _, standings = await world.pipeline.losses.standings(world.project.key, by, days)
    return {each.counts.name: each.counts for each in standings}


async def lost(world: World, by: Dimension = Dimension.CATEGORY, days: int = 1) -> dict[str, tuple[int, int]]:
    """(reached, lost) by name."""
    return {name: (each.reached, each.lost) for name, each in (await counts(world, by, days)).items()}


async def told(world: World, user_id: str) -> list[str]:
    chapters = await world.pipeline.story(world.project, user_id)
    return [chapter.what for chapter in chapters if "loss" in chapter.detail]


async def test_an_opt_out_is_tied_to_the_messages_of_its_category(world: World) -> None:
    for name in ("ada", "bob"):
        await world.subscribe(name)
    await send(world, "ada", "bob", category="offers")
    await send(world, "ada", "bob", category="news")
    world.clock.advance(HOUR_MS)
    await says_no(world, "ada", "offers")
    assert await lost(world) == {"news": (2, 0), "offers": (2, 1)}
    assert (await counts(world))["offers"].opt_outs == 1
    assert await told(world, "ada") == ["Lost for offers by push within a day of a message"]
    assert await told(world, "bob") == []


async def test_who_says_no_thrice_is_lost_once_and_each_message_has_its_part(world: World) -> None:
    await world.subscribe("ada")
    first = await send(world, "ada", category="offers", title="One")
    second = await send(world, "ada", category="offers", title="Two")
    for _ in range(3):
        world.clock.advance(HOUR_MS)
        await says_no(world, "ada", "offers")
    assert await lost(world) == {"offers": (1, 1)}
    assert await told(world, "ada") == ["Lost for offers by push within a day of 2 messages"]
    assert await lost(world, Dimension.CAMPAIGN) == {first.id: (1, 1), second.id: (1, 1)}
    world.clock.advance(DAY_MS)
    await says_no(world, "ada", "offers")
    assert await lost(world, days=3) == {"offers": (1, 1)}


async def test_taps_and_receipts_stand_beside(world: World) -> None:
    for name in ("ada", "bob", "cleo"):
        await world.subscribe(name)
    await world.define("templates", name="deal", locales={"en": {"title": "Mugs"}})
    await send(world, "ada", "bob", "cleo", category="offers", template="deal", title=None)
    ada, bob, _ = sorted(world.browser.sent, key=lambda one: one.address.address)
    await world.device_tells(ada, ReceiptKind.CLICKED)
    await world.device_tells(bob, ReceiptKind.DELIVERED)
    found = (await counts(world, Dimension.TEMPLATE))["deal"]
    assert (found.reached, found.delivered, found.tapped, found.lost) == (3, 2, 1, 0)


async def test_a_campaign_of_an_automation_has_its_name(world: World) -> None:
    await world.subscribe("ada")
    await world.define(
        "automations", name="welcome", on={"event": "came"}, notification={"category": "news", "title": "Hello"}
    )
    await world.happens("ada", "came")
    await world.work()
    await world.happens("ada", "came")
    await world.work()
    await says_no(world, "ada", "news")
    assert await lost(world, Dimension.CAMPAIGN) == {"welcome": (1, 1)}
    assert await lost(world, Dimension.TEMPLATE) == {}


async def test_a_permission_is_tied_to_all_that_its_device_got(world: World) -> None:
    await world.subscribe("ada")
    await world.subscribe("ada", "second")
    for category in ("news", "offers"):
        await send(world, "ada", category=category)
    world.clock.advance(HOUR_MS)
    await denies(world, "ada")
    await denies(world, "ada")
    assert await lost(world) == {"news": (1, 1), "offers": (1, 1)}
    assert (await counts(world))["news"].permissions == 1
    assert await told(world, "ada") == ["Permission was lost within a day of 2 messages"]


async def test_a_permission_of_another_device_is_tied_to_nothing(world: World) -> None:
    await world.subscribe("ada")
    await send(world, "ada")
    await world.subscribe("ada", "later")
    await denies(world, "later")
    said = subscription("later", Permission.DENIED)
    await world.pipeline.register(world.project, "ada", said)
    assert await lost(world) == {"general": (1, 0)}


async def test_a_dead_subscription_is_tied_to_what_it_got_not_to_what_found_it(world: World) -> None:
    await world.subscribe("ada")
    await send(world, "ada", category="offers")
    world.browser.then(Gone())
    await send(world, "ada", category="news")
    assert await lost(world) == {"offers": (1, 1)}
    assert (await counts(world))["offers"].subscriptions == 1
    assert await told(world, "ada") == ["The subscription was lost within a day of a message"]


@pytest.mark.parametrize(("later", "expected"), [(DAY_MS, 1), (DAY_MS + 1, 0)], ids=["24 h", "longer"])
async def test_only_the_last_24_hours_count(world: World, later: int, expected: int) -> None:
    await world.subscribe("ada")
    await send(world, "ada", category="offers")
    world.clock.advance(later)
    await says_no(world, "ada", "offers")
    assert await lost(world, days=2) == {"offers": (1, expected)}
    assert await lost(world, days=1) == {}, "it is counted on the day of the message"


async def test_what_comes_after_the_no_and_what_did_not_arrive_has_no_part(world: World) -> None:
    await world.subscribe("ada")
    await says_no(world, "ada", "offers")
    await world.define("categories", name="security", **{"class": "mandatory"})
    await send(world, "ada", category="security")
    await send(world, "bob", category="news")
    await says_no(world, "bob", "news")
    assert await lost(world) == {"security": (1, 0)}


@pytest.mark.parametrize("source", ["import", "merge"])
async def test_what_was_said_elsewhere_is_no_loss(world: World, source: str) -> None:
    await world.subscribe("ada")
    await send(world, "ada", category="offers")
    await says_no(world, "ada", "offers", source)
    user = await world.store.users.get(world.project.key, "ada")
    assert user is not None
    now = world.clock.now()
    line = Consent(user=user.key, category="offers", channel=Channel.PUSH, granted=False, source="crm", at=now)
    await world.store.consents.take_over(world.project.key, [line])
    assert await lost(world) == {"offers": (1, 0)}


async def test_a_planned_and_a_fired_message_count_when_they_are_sent(world: World) -> None:
    await world.subscribe("ada")
    await world.notify("ada", category="offers", send_at=world.clock.now() + 9 * DAY_MS)
    told, everybody = Message(title="Now!", category="news"), Audience(everyone=True)
    armed = await world.pipeline.notify(world.project, told, everybody, arm=True)
    await world.work()
    assert await lost(world) == {}
    world.clock.advance(3 * DAY_MS)
    await world.pipeline.fire(world.project, armed.id)
    await world.work()
    await says_no(world, "ada", "news")
    assert await lost(world) == {"news": (1, 1)}
    world.clock.advance(6 * DAY_MS)
    await world.work()
    await says_no(world, "ada", "offers")
    assert await lost(world) == {"offers": (1, 1)}
    assert await lost(world, days=9) == {"news": (1, 1), "offers": (1, 1)}


async def test_each_counts_once_a_day_and_days_add_up(world: World) -> None:
    await world.subscribe("ada")
    for _ in range(3):
        await send(world, "ada", category="offers")
        await send(world, "ada", category="offers", title="More")
        await lost(world)
        world.clock.advance(DAY_MS)
    assert await lost(world, days=4) == {"offers": (3, 0)}
    world.clock.advance(30 * DAY_MS)
    assert await lost(world, days=40) == {"offers": (3, 0)}, "what is over is kept as it was counted"


async def test_a_person_who_was_merged_is_one_and_one_who_was_erased_is_none(world: World) -> None:
    device, _, _ = await world.pipeline.register_anonymous(world.project, subscription("shy"))
    await world.subscribe("bob")
    await send(world, device.user_id, "bob", category="offers")
    await says_no(world, device.user_id, "offers")
    await says_no(world, "bob", "offers")
    shy = await world.store.users.get(world.project.key, device.user_id)
    assert shy is not None
    await world.pipeline.merge(world.project, shy, "ada")
    assert await lost(world) == {"offers": (2, 2)}
    assert await told(world, "ada") == ["Lost for offers by push within a day of a message"]
    await world.store.users.erase(world.project.key, "ada")
    assert await lost(world) == {"offers": (1, 1)}


async def test_projects_count_their_own(world: World) -> None:
    other = await World(world.store, world.clock, world.chance).begin("Other")
    await other.define("categories", name="offers")
    for each in (world, other):
        await each.subscribe("ada")
        await each.notify("ada", category="offers")
    await world.work()
    await other.work()
    await says_no(world, "ada", "offers")
    assert (await lost(world), await lost(other)) == ({"offers": (1, 1)}, {"offers": (1, 0)})


async def _days_of_offers(world: World, days: int, losses: int) -> None:
    """A day's message to thirty people, of whom some say no and yes again."""
    people = [f"u{number}" for number in range(30)]
    for _ in range(days):
        await send(world, *people, category="offers")
        for name in people[:losses]:
            await says_no(world, name, "offers")
            await world.pipeline.consent(
                world.project, name, [Said("offers", None, granted=True)], source="preference_page"
            )
        await world.pipeline.losses.sweep()
        world.clock.advance(DAY_MS)


async def test_an_alert_when_it_doubles_and_its_end(world: World) -> None:
    for number in range(30):
        await world.subscribe(f"u{number}")
    await _days_of_offers(world, days=6, losses=1)
    assert await world.store.losses.alerts() == []
    await _days_of_offers(world, days=1, losses=2)
    assert await world.store.losses.alerts() == [], "from 1 to 2 is no news"
    begun = world.clock.now()
    await _days_of_offers(world, days=2, losses=12)
    [alert] = await world.store.losses.alerts(world.project.key)
    assert (alert.dimension, alert.name, alert.since) == (Dimension.CATEGORY, "offers", begun)
    assert (alert.reached, alert.lost, alert.usual_reached) == (60, 24, 210)
    assert alert.ratio_low > 2
    _, [standing] = await world.pipeline.losses.standings(world.project.key, Dimension.CATEGORY, 7)
    assert standing.alert is not None
    assert standing.alert.since == begun
    await _days_of_offers(world, days=2, losses=0)
    assert await world.store.losses.alerts() == []


async def test_what_is_old_is_forgotten(world: World) -> None:
    await world.subscribe("ada")
    await send(world, "ada", category="offers")
    await says_no(world, "ada", "offers")
    await world.pipeline.losses.sweep()
    world.clock.advance(91 * DAY_MS)
    await world.pipeline.losses.sweep()
    assert await world.store.losses.since(world.project.key, 0) == []
    assert await lost(world, days=100) == {"offers": (1, 1)}
    world.clock.advance(320 * DAY_MS)
    await world.pipeline.losses.sweep()
    assert await lost(world, days=500) == {}


async def test_counting_rests_as_its_work_demands(
    world: World, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.subscribe("ada")
    await send(world, "ada", category="offers")
    reached = world.store.losses.reached

    async def slowly(project: Key, day: Millis) -> list[LossCount]:
        clock.advance(100)
        return await reached(project, day)

    monkeypatch.setattr(world.store.losses, "reached", slowly)
    assert await lost(world) == {"offers": (1, 0)}
    await says_no(world, "ada", "offers")
    clock.advance(7_999)
    assert await lost(world) == {"offers": (1, 0)}, "four days took 400 ms: it rests for 8 s"
    clock.advance(1)
    assert await lost(world) == {"offers": (1, 1)}
