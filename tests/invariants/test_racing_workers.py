"""Workers that race over many notifications to the same people: whoever is first, no window holds more than its cap."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from zoneinfo import ZoneInfo

import msgspec
import pytest

from clarion.model import Cap, CategoryClass, Notification, Rolling
from clarion.ports import Store
from clarion.storage.postgres import PostgresStore
from clarion.testing import SeededChance
from invariants.oracle import HOLDS
from invariants.platform import AnyClock
from invariants.readings import same_window
from invariants.strategies import HOUR_MS
from story.world import World

PEOPLE = [f"p{number}" for number in range(6)]
CAPS = [
    Cap(name="hour", limit=2, per=Rolling(seconds=3_600)),
    Cap(name="day", limit=5, per="day", at_cap="wait"),
    Cap(name="offers", limit=1, per=Rolling(seconds=7_200), category="offers", at_cap="wait"),
]
WORKERS = 4
ROUNDS = 4
A_ROUND = 8


@pytest.fixture
async def worlds(
    database: Callable[[], Store], clock: AnyClock, chance: SeededChance
) -> AsyncIterator[Sequence[World]]:
    """As many processes as the engine allows: two on PostgreSQL, else one; each with workers of its own."""
    stores: list[Store] = [database()]
    if isinstance(stores[0], PostgresStore):
        stores.append(database())
    for store in stores:
        await store.open()
    first = await World(stores[0], clock, chance).begin()
    worlds = [first, World(stores[-1], clock, SeededChance(7))]
    worlds[1].project = first.project
    yield worlds
    for store in stores:
        await store.close()


async def begin(world: World, caps: Sequence[Cap]) -> None:
    for name, class_ in (("orders", CategoryClass.INFORMATIONAL), ("offers", CategoryClass.MARKETING)):
        await world.define("categories", name=name, default=True, channels=["push"], **{"class": class_.value})
    settings = msgspec.structs.replace(world.project.settings, caps=list(caps), default_timezone="Asia/Tokyo")
    await world.store.projects.update(msgspec.structs.replace(world.project, settings=settings))
    await world.catalog.changed()
    for person in PEOPLE:
        await world.subscribe(person)
        await world.subscribe(person, f"{person} too")


async def race(worlds: Sequence[World]) -> None:
    """Workers take what is due, in whatever order, until nothing is."""

    async def work(number: int) -> None:
        world, chance, idle = worlds[number % len(worlds)], random.Random(number), 0
        while idle < 3:
            due = [queue for queue, at in (await world.store.work.waiting()).items() if at <= world.clock.now()]
            chance.shuffle(due)
            taken = [one for queue in due for one in await world.store.work.claim(queue, 2, world.clock.now(), 60_000)]
            for lease in taken:
                await world.pipeline.step(lease)
            idle = 0 if due else idle + 1
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(number) for number in range(WORKERS)))


async def test_however_workers_race_no_cap_is_exceeded_and_nobody_gets_anything_twice(
    worlds: Sequence[World], clock: AnyClock
) -> None:
    world, chance = worlds[0], random.Random(1)
    await begin(world, CAPS)
    made: list[Notification] = []
    for _ in range(ROUNDS):
        for number in range(A_ROUND):
            told = {"category": chance.choice(["orders", "offers"]), "title": f"{number}", "ttl": 40 * 3_600}
            whom = PEOPLE if number % 2 else chance.sample(PEOPLE, 3)
            made.append(await worlds[number % 2].notify(*whom, priority=chance.randrange(3), **told))
        await race(worlds)
        clock.advance(chance.choice([HOUR_MS // 2, HOUR_MS, 5 * HOUR_MS]))
    while waiting := await world.store.work.waiting():
        clock.advance(max(0, min(waiting.values()) - clock.now()))
        await race(worlds)
    await no_cap_is_exceeded(world, worlds, made)


async def no_cap_is_exceeded(world: World, worlds: Sequence[World], made: Sequence[Notification]) -> None:
    got = Counter((one.ready.notification, one.address.address) for each in worlds for one in each.browser.sent)
    assert set(got.values()) == {1}
    sent: list[tuple[str, str, int]] = []
    for notification in made:
        for one in await world.decisions(notification):
            assert str(one.reason) not in HOLDS
            reached = (notification.key, f"https://push.example/{one.user_id}") in got
            assert reached == (one.reason == "send")
            sent += [(one.user_id, notification.message.category, one.at)] if reached else []
    assert len(sent) > 2 * len(PEOPLE)
    zone = ZoneInfo("Asia/Tokyo")
    for cap in CAPS:
        for person, about, last in sent:
            mine = [
                at
                for user, category, at in sent
                if user == person and at <= last and cap.category in {None, category} and cap.category in {None, about}
            ]
            assert sum(same_window(cap, at, last, zone) for at in mine) <= cap.limit, cap.name
