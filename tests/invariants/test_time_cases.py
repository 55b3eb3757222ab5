"""The table of time cases, from end to end: what happens to a message at a moment, where clocks and calendars are odd.

The rules alone stand in tests/story/test_quiet_rules.py and test_caps.py.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from clarion.model import Cap, QuietHours, Rolling, UserChange
from clarion.testing import ManualClock, MemoryStore, SeededChance
from invariants.strategies import NIGHT
from story.world import World

MORNINGS = QuietHours(start="02:30", end="08:00")
DAY = Cap(name="day", limit=1, per="day", at_cap="wait")
WEEK = Cap(name="week", limit=1, per="week", at_cap="wait")
ROLLING = Cap(name="rolling", limit=1, per=Rolling(seconds=86_400), at_cap="wait")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def utc(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


async def there(zone: str, now: str, **rules: Any) -> World:
    """Ada, in a zone, at a moment in UTC."""
    clock = ManualClock(at(now))
    world = await World(MemoryStore(clock), clock, SeededChance()).begin()
    settings = msgspec.structs.replace(world.project.settings, quiet_hours_spread_s=0, **rules)
    await world.store.projects.update(msgspec.structs.replace(world.project, settings=settings))
    await world.catalog.changed()
    await world.subscribe("ada")
    await moves(world, zone)
    return world


async def moves(world: World, zone: str) -> None:
    await world.store.users.put(world.project.key, "ada", UserChange(timezone=zone), world.clock.now())


async def arrives(world: World) -> list[str]:
    """When what is under way leaves, in UTC."""
    await world.work()
    while waiting := await world.store.work.waiting():
        world.clock.advance(max(0, min(waiting.values()) - world.clock.now()))
        await world.work()
    return [utc(call.now) for call in world.browser.calls for _ in call.batch]


NIGHTS = [
    # zone, quiet hours, sent at, arrives at (UTC)
    ("Europe/Berlin", NIGHT, "2027-03-27T22:00", "2027-03-28T06:00"),  # the clocks go forward: an hour less to wait
    ("Europe/Berlin", NIGHT, "2026-10-24T21:00", "2026-10-25T07:00"),  # and back: an hour more
    ("Europe/Berlin", MORNINGS, "2027-03-28T00:59", "2027-03-28T00:59"),  # 02:30 never comes: it begins at the turn
    ("Europe/Berlin", MORNINGS, "2027-03-28T01:00", "2027-03-28T06:00"),
    ("America/New_York", NIGHT, "2027-03-14T06:00", "2027-03-14T12:00"),
    ("America/New_York", NIGHT, "2026-11-01T05:00", "2026-11-01T13:00"),
    ("Pacific/Kiritimati", NIGHT, "2026-11-26T10:00", "2026-11-26T18:00"),  # UTC+14: tomorrow already
    ("Pacific/Pago_Pago", NIGHT, "2026-11-26T10:00", "2026-11-26T19:00"),  # UTC-11: still yesterday
    ("Europe/Berlin", NIGHT, "2028-02-28T22:00", "2028-02-29T07:00"),
    ("Europe/Berlin", NIGHT, "2028-02-29T22:00", "2028-03-01T07:00"),
    ("Europe/Berlin", QuietHours(start="00:00", end="24:00", days=("tue",)), "2028-02-29T12:00", "2028-02-29T23:00"),
]


@pytest.mark.parametrize(("zone", "quiet", "now", "until"), NIGHTS)
async def test_what_is_sent_at_night_arrives_in_the_morning(zone: str, quiet: QuietHours, now: str, until: str) -> None:
    world = await there(zone, now, quiet_hours=quiet)
    await world.notify("ada")
    assert await arrives(world) == [until]


MOVES = [
    # from, to, sent at; moved at once; arrives at (UTC)
    ("Europe/Berlin", "America/New_York", "2026-11-26T22:00", "2026-11-27T13:00"),  # asleep once more where they are
    ("Europe/Berlin", "Asia/Tokyo", "2026-11-26T22:00", "2026-11-27T07:00"),  # it is looked at when Berlin gets up
    ("Pacific/Pago_Pago", "Pacific/Kiritimati", "2026-11-26T10:00", "2026-11-26T19:00"),  # the same hour, next day
    ("Europe/Berlin", "America/New_York", "2026-10-31T22:00", "2026-11-01T13:00"),  # into their change of clocks
]


@pytest.mark.parametrize(("zone", "new", "now", "until"), MOVES)
async def test_who_moves_while_it_is_held_gets_it_outside_of_both_nights(
    zone: str, new: str, now: str, until: str
) -> None:
    world = await there(zone, now, quiet_hours=NIGHT)
    await world.notify("ada")
    await world.work()
    await moves(world, new)
    assert await arrives(world) == [until]


CALENDARS = [
    # zone, cap, first sent at, second at; the second arrives at (UTC)
    ("Europe/Berlin", DAY, "2026-11-26T22:59", "2026-11-26T23:00", "2026-11-26T23:00"),  # two minutes, two days
    ("Europe/Berlin", ROLLING, "2026-11-26T22:59", "2026-11-26T23:00", "2026-11-27T22:59"),  # but not 24 hours
    ("Europe/Berlin", DAY, "2027-03-27T23:00", "2027-03-28T01:00", "2027-03-28T22:00"),  # a day of 23 hours
    ("Europe/Berlin", ROLLING, "2027-03-27T23:00", "2027-03-28T01:00", "2027-03-28T23:00"),
    ("Europe/Berlin", DAY, "2026-10-24T22:00", "2026-10-25T01:00", "2026-10-25T23:00"),  # a day of 25 hours
    ("Europe/Berlin", ROLLING, "2026-10-24T22:00", "2026-10-25T01:00", "2026-10-25T22:00"),
    ("Pacific/Kiritimati", DAY, "2026-11-26T09:59", "2026-11-26T10:00", "2026-11-26T10:00"),
    ("Pacific/Pago_Pago", DAY, "2026-11-26T10:59", "2026-11-26T11:00", "2026-11-26T11:00"),
    ("Pacific/Pago_Pago", DAY, "2026-11-26T11:00", "2026-11-27T10:59", "2026-11-27T11:00"),
    ("Europe/Berlin", DAY, "2028-02-28T23:00", "2028-02-29T22:59", "2028-02-29T23:00"),  # 29 February is a day
    ("Europe/Berlin", WEEK, "2028-02-28T12:00", "2028-03-01T12:00", "2028-03-05T23:00"),  # and in this week
    ("Europe/Berlin", WEEK, "2028-02-27T22:59", "2028-02-27T23:00", "2028-02-27T23:00"),  # which began on Monday
]


@pytest.mark.parametrize(("zone", "cap", "first", "second", "until"), CALENDARS)
async def test_a_day_is_a_day_on_the_wall_and_a_window_is_hours(
    zone: str, cap: Cap, first: str, second: str, until: str
) -> None:
    world = await there(zone, first, caps=[cap])
    await world.notify("ada")
    await world.work()
    world.clock.advance(at(second) - world.clock.now())
    await world.notify("ada", ttl=10 * 86_400)
    assert await arrives(world) == [first, until]


async def test_who_moves_over_the_date_line_has_the_day_of_where_they_are() -> None:
    """One today in Pago Pago; in Kiritimati it is tomorrow already, and that day has had none at noon here."""
    world = await there("Pacific/Pago_Pago", "2026-11-26T09:00", caps=[DAY])
    await world.notify("ada")
    await world.work()
    world.clock.advance(hours=3)
    await moves(world, "Pacific/Kiritimati")  # 02:00 on the 27th; the first came at 23:00 on the 26th by this clock
    await world.notify("ada")
    assert await arrives(world) == ["2026-11-26T09:00", "2026-11-26T12:00"]
