"""By the clock on each person's wall: over all zones, across changes of the clocks, on every engine."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from clarion.model import Audience, LocalTime, Message, Notification, UserChange
from clarion.ports import Store
from clarion.testing import ManualClock, SeededChance
from story.world import World, payload

HOUR_MS = 3_600_000
ZONES = {
    "first": "Pacific/Kiritimati",  # 14 hours ahead of UTC
    "tokyo": "Asia/Tokyo",
    "delhi": "Asia/Kolkata",
    "paris": "Europe/Paris",
    "york": "America/New_York",
    "last": "Etc/GMT+12",
}


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    world = await World(store, clock, chance).begin()
    go_to(world, at("2027-12-01T08:30"))
    return world


def go_to(world: World, moment: int) -> None:
    world.clock.advance(moment - world.clock.now())


async def lives_in(world: World, name: str, zone: str) -> None:
    await world.store.users.put(world.project.key, name, UserChange(timezone=zone), world.clock.now())


async def everywhere(world: World) -> None:
    for name, zone in ZONES.items():
        await world.subscribe(name)
        await lives_in(world, name, zone)


async def notify(world: World, local: LocalTime, *names: str, **more: object) -> Notification:
    to = Audience(users=list(names)) if names else Audience(everyone=True)
    message = Message(**{"title": "Good morning", **more})  # type: ignore[arg-type]
    return await world.pipeline.notify(world.project, message, to, local_time=local)


async def who_gets_it_when(world: World, hours: int) -> dict[str, str]:
    """By person: the moment in UTC at which their message left, looked at every quarter of an hour."""
    names = {}
    for _ in range(hours * 4):
        await world.work()
        for message in world.browser.sent[len(names) :]:
            [device] = [one for one in ZONES if message.address.address.endswith(one)]
            assert device not in names
            names[device] = datetime.fromtimestamp(world.clock.now() / 1000, UTC).strftime("%dT%H:%M")
        world.clock.advance(HOUR_MS // 4)
    return names


async def test_on_a_day_the_world_gets_it_within_26_hours_and_everybody_at_nine(world: World) -> None:
    await everywhere(world)
    go_to(world, at("2027-12-03T12:00"))
    notification = await notify(world, LocalTime(at="2027-12-05T09:00"))
    assert notification.send_at == at("2027-12-04T19:00")  # nobody is looked up before the first may get it
    assert await who_gets_it_when(world, 61) == {
        "first": "04T19:00",
        "tokyo": "05T00:00",
        "delhi": "05T03:30",
        "paris": "05T08:00",
        "york": "05T14:00",
        "last": "05T21:00",
    }
    assert await world.work() == 0


PASSED = {
    "next_day": {"tokyo": "02T00:00", "paris": "02T08:00", "york": "01T14:00"},
    "at_once": {"tokyo": "01T08:30", "paris": "01T08:30", "york": "01T14:00"},
    "skip": {"york": "01T14:00"},
}


@pytest.mark.parametrize("form", ["09:00", "2027-12-01T09:00"])
@pytest.mark.parametrize("passed", list(PASSED))
async def test_who_had_already_passed(world: World, passed: str, form: str) -> None:
    """Half past nine in Paris."""
    await everywhere(world)
    local = LocalTime(at=form, passed=passed)  # type: ignore[arg-type]
    notification = await notify(world, local, "tokyo", "paris", "york")
    assert await who_gets_it_when(world, 26) == PASSED[passed]
    left_out = {name for name, reason in (await world.reasons(notification)).items() if reason == "time_passed"}
    assert left_out == ({"tokyo", "paris"} if passed == "skip" else set())


async def test_what_it_says_of_who_waits(world: World) -> None:
    await everywhere(world)
    await world.subscribe("nowhere")
    notification = await notify(world, LocalTime(at="15:00"), "york", "nowhere")
    await world.work()
    held = {one.user_id: one for one in await world.decisions(notification)}
    assert {one.reason for one in held.values()} == {"schedule"}
    assert held["york"].until == at("2027-12-01T15:00", "America/New_York")
    assert held["nowhere"].until == at("2027-12-01T15:00")
    said = {name: msgspec.json.decode(one.gates)[-1] for name, one in held.items()}
    assert said["york"] == ["local_time", "hold", "15:00 in America/New_York"]
    assert said["nowhere"] == ["local_time", "hold", "15:00 in UTC, the project's"]
    run = await world.pipeline.dry_run(
        world.project, Message(title="Hi"), Audience(users=["york", "paris"]), local_time=LocalTime(at="09:30")
    )
    assert run.counts == {"schedule": 1, "send": 1}


async def test_people_of_a_zone_wait_together(world: World) -> None:
    for number in range(40):
        await lives_in(world, f"u{number}", ["Asia/Tokyo", "Europe/Paris"][number % 2])
    await notify(world, LocalTime(at="12:00"))
    await world.work()
    jobs = await world.store.work.backlog()
    assert jobs == {"decide": 2}


async def test_who_moves_while_they_wait_gets_it_where_they_are(world: World) -> None:
    await everywhere(world)
    notification = await notify(world, LocalTime(at="10:00"), "paris", "delhi", "york")
    await world.work()
    await lives_in(world, "paris", "America/New_York")  # it is early there: she waits again
    await lives_in(world, "york", "Europe/Paris")  # it is over there when their turn comes: not a day later still
    assert await who_gets_it_when(world, 26) == {"paris": "01T15:00", "york": "01T15:00", "delhi": "02T04:30"}
    assert set((await world.reasons(notification)).values()) == {"send"}


CLOCKS = [
    ("Europe/Berlin", "2028-03-26", "02:30", "2028-03-26T01:30"),  # left out: half an hour after the gap, 03:30
    ("Europe/Berlin", "2028-10-29", "02:30", "2028-10-29T00:30"),  # twice: the first time
    ("Australia/Lord_Howe", "2028-10-01", "02:15", "2028-09-30T15:45"),  # half an hour is left out there
    ("America/New_York", "2028-11-05", "01:30", "2028-11-05T05:30"),
]


@pytest.mark.parametrize(("zone", "day", "clock_there", "expected"), CLOCKS)
async def test_where_the_clocks_change(world: World, zone: str, day: str, clock_there: str, expected: str) -> None:
    await world.subscribe("ada")
    await lives_in(world, "ada", zone)
    go_to(world, at(f"{day}T00:10", zone))
    notified = [await notify(world, LocalTime(at=text), "ada") for text in (f"{day}T{clock_there}", clock_there)]
    await world.work()
    for notification in notified:
        [held] = await world.decisions(notification)
        assert held.until == at(expected)
    go_to(world, at(expected))
    await world.work()
    assert len(world.browser.sent) == 2
    world.clock.advance(1)
    tomorrow = await notify(world, LocalTime(at=clock_there), "ada")  # it may say so once more today: that is over
    await world.work()
    [held] = await world.decisions(tomorrow)
    assert held.until is not None
    there = datetime.fromtimestamp(held.until / 1000, ZoneInfo(zone)).replace(tzinfo=None)
    assert there == datetime.fromisoformat(f"{day}T{clock_there}") + timedelta(days=1)


async def test_a_time_to_live_counts_from_ones_own_hour(world: World) -> None:
    await everywhere(world)
    notification = await notify(world, LocalTime(at="10:00"), "paris", "york", ttl=600)
    go_to(world, at("2027-12-01T15:00"))
    await world.work()  # nobody worked for hours: in Paris it is over
    assert await world.reasons(notification) == {"paris": "expired", "york": "send"}
    [sent] = world.browser.sent
    assert sent.ready.expires_at == at("2027-12-01T15:10")
    assert payload(sent)["title"] == "Good morning"
