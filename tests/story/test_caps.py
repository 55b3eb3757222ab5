"""Not too often: caps in a rolling window and in the person's own day and week, dropped or waited for."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clarion.journey.rules.calendars import calendar_day, calendar_week
from clarion.model import (
    DAY_MS,
    Audience,
    Cap,
    CategoryClass,
    DeliveryState,
    Message,
    Notification,
    Reason,
    Rolling,
    UserChange,
)
from clarion.ports import Accepted, Gone, Outgoing
from clarion.testing import ManualClock, MemoryStore, SeededChance
from clarion.testing.clock import START
from story.world import World, titles

HOUR_MS = 3_600_000
CLASSES = {
    "security": CategoryClass.MANDATORY,
    "orders": CategoryClass.INFORMATIONAL,
    "offers": CategoryClass.MARKETING,
}


async def capped(world: World, *caps: Cap, users: Sequence[str] = ("ada",)) -> World:
    """Categories of each class that nobody refuses, people with a browser, and these caps."""
    for name, class_ in CLASSES.items():
        await world.define("categories", name=name, default=True, channels=["push"], **{"class": class_.value})
    for user in users:
        await world.subscribe(user)
    await set_caps(world, *caps)
    return world


async def set_caps(world: World, *caps: Cap) -> None:
    changed = msgspec.structs.replace(world.project.settings, caps=list(caps))
    world.project = msgspec.structs.replace(world.project, settings=changed)
    await world.store.projects.update(world.project)
    await world.catalog.changed()


def cap(limit: int, per: Any = 24 * 3600, name: str = "all", **more: Any) -> Cap:
    return Cap(name=name, limit=limit, per=per if isinstance(per, str) else Rolling(seconds=per), **more)


async def send(world: World, *users: str, **message: Any) -> Notification:
    notification = await world.notify(*(users or ("ada",)), **{"category": "orders", **message})
    await world.work()
    return notification


async def decide(world: World) -> None:
    """Only that: what is to be sent is not sent yet."""
    for lease in await world.store.work.claim("decide", 10, world.clock.now(), 15_000):
        await world.pipeline.step(lease)


async def reason(world: World, notification: Notification, user: str = "ada") -> str:
    return (await world.reasons(notification))[user]


async def gate(world: World, notification: Notification) -> list[str]:
    """What the gate of the caps said."""
    [decided] = await world.decisions(notification)
    return next(each for each in msgspec.json.decode(decided.gates) if each[0] == "caps")


async def test_at_the_cap_it_is_dropped_and_the_gate_says_how_many_it_counted(world: World) -> None:
    await capped(world, cap(2))
    sent = [await send(world) for _ in range(3)]
    assert [await reason(world, one) for one in sent] == ["send", "send", "cap_reached"]
    assert await gate(world, sent[1]) == ["caps", "pass", "all: 1 of 2 in 24 h"]
    assert await gate(world, sent[2]) == ["caps", "drop", "all: 2 of 2 in 24 h"]
    told = await world.pipeline.story(world.project, "ada", sent[2].id)
    assert "all: 2 of 2 in 24 h" in repr([msgspec.structs.asdict(chapter) for chapter in told])
    world.clock.advance(DAY_MS - 1)
    assert await reason(world, await send(world)) == "cap_reached"
    world.clock.advance(1)
    assert await reason(world, await send(world)) == "send"


async def test_without_caps_there_is_no_gate_and_nothing_is_counted(world: World) -> None:
    await capped(world)
    [decided] = await world.decisions(await send(world))
    assert "caps" not in decided.gates
    await set_caps(world, cap(1))
    assert await reason(world, await send(world)) == "send"


async def test_a_cap_counts_its_class_or_category_and_never_the_mandatory(world: World) -> None:
    await capped(
        world,
        cap(1, name="marketing", class_=CategoryClass.MARKETING),
        cap(2, name="orders", category="orders", channel="push"),
    )
    for _ in range(3):
        assert await gate(world, await send(world, category="security")) == ["caps", "pass", "mandatory"]
    assert await gate(world, await send(world, category="general")) == ["caps", "pass", "none applies"]
    assert [await reason(world, await send(world, category="offers")) for _ in range(2)] == ["send", "cap_reached"]
    assert [await reason(world, await send(world)) for _ in range(3)] == ["send", "send", "cap_reached"]


async def test_one_that_waits_gets_the_first_place_that_is_free(world: World) -> None:
    await capped(world, cap(1, 3600, at_cap="wait"))
    await send(world, title="first")
    world.clock.advance(1000)
    waiting = await send(world, title="second")
    [held] = await world.decisions(waiting)
    assert (held.reason, held.until) == (Reason.CAP_WAIT, START + HOUR_MS)
    stale = await send(world, ttl=3599)
    assert await reason(world, stale) == "expired", "a place is free when its time is over"
    world.clock.advance(HOUR_MS - 1001)
    await world.work()
    assert titles(world.browser.sent) == ["first"]
    world.clock.advance(1)
    await world.work()
    assert titles(world.browser.sent) == ["first", "second"]


async def test_who_waits_goes_in_order_of_priority_then_expiry_then_age_and_newcomers_queue_behind(
    world: World,
) -> None:
    await capped(world, cap(1, 3600, at_cap="wait"))
    await send(world, title="zero")
    for title, more in (("d", {"ttl": 90_000}), ("c", {"ttl": 80_000}), ("b", {"priority": 1}), ("a", {"priority": 2})):
        assert await reason(world, await send(world, title=title, **more)) == "cap_wait"
    world.clock.advance(hours=1)
    newcomer = await send(world, title="e", ttl=100_000)
    assert titles(world.browser.sent)[-1] == "a"
    assert (await gate(world, newcomer))[1] == "hold"
    for _ in range(5):
        world.clock.advance(hours=1, seconds=2)
        await world.work()
    assert titles(world.browser.sent) == ["zero", "a", "b", "c", "d", "e"]


async def test_a_newcomer_leaves_the_free_place_to_those_ahead(world: World) -> None:
    await capped(world, cap(2, 3600, at_cap="wait"))
    await send(world, title="one")
    cancelled = await world.notify("ada", category="orders", title="two")
    await decide(world)
    ahead = await world.notify("ada", category="orders", title="ahead", priority=5)
    await decide(world)
    assert await reason(world, ahead) == "cap_wait"
    await world.pipeline.cancel(world.project, cancelled.id)
    await world.work()
    newcomer = await send(world, title="newcomer")
    assert await gate(world, newcomer) == ["caps", "hold", "all: 1 of 2 in 1 h (1 waiting ahead)"]
    assert await gate(world, await send(world, title="urgent", priority=9)) == ["caps", "pass", "all: 1 of 2 in 1 h"]


async def test_two_for_one_person_in_one_batch_are_counted_by_turn(world: World) -> None:
    await capped(world, cap(1))
    for name in ("low", "high"):
        notification = {"category": "orders", "title": name, "priority": 1 if name == "high" else 0}
        await world.define("automations", name=name, on={"event": "seen"}, notification=notification)
    await world.happens("ada", "seen")
    await world.work()
    assert titles(world.browser.sent) == ["high"]


async def test_what_composing_drops_takes_no_place(world: World) -> None:
    await capped(world, cap(1), users=("ada",))
    broken = await send(world, title="{{ 1 / user.nothing }}{{ user.x.y.z }}", priority=9)
    assert await reason(world, broken) == "template_error"
    assert await reason(world, await send(world)) == "send"


async def test_a_place_comes_back_with_a_cancellation_a_withdrawal_and_the_failure_of_all_deliveries(
    world: World,
) -> None:
    await capped(world, cap(1))
    await world.subscribe("ada", "ada-2")

    async def taken_back(how: str) -> None:
        notification = await world.notify("ada", category="orders")
        await decide(world)
        assert await reason(world, notification) == "send"
        if how == "cancel":
            await world.pipeline.cancel(world.project, notification.id)
        elif how == "fail":
            world.browser.then(Gone("410", None), Gone("410", None))
        await world.work()

    await taken_back("cancel")
    await taken_back("fail")
    await world.subscribe("ada")
    await world.subscribe("ada", "ada-2")
    world.browser.then(Gone("410", None))
    half = await send(world)
    assert sorted(await world.states(half)) == [DeliveryState.FAILED, DeliveryState.ACCEPTED]
    assert await reason(world, await send(world)) == "cap_reached", "one device of two has it"


async def test_what_is_armed_counts_until_its_fire_is_known_and_from_then_on_since_the_fire(world: World) -> None:
    await capped(world, cap(1, 3600))
    armed = await world.pipeline.notify(
        world.project, Message(title="Goal!", category="orders"), Audience(users=["ada"]), arm=True
    )
    await world.work()
    world.clock.advance(hours=5)
    assert await reason(world, await send(world)) == "cap_reached", "it may be fired at any moment"
    await world.pipeline.fire(world.project, armed.id)
    await world.work()
    assert titles(world.browser.sent) == ["Goal!"]
    world.clock.advance(HOUR_MS - 1)
    assert await reason(world, await send(world)) == "cap_reached"
    world.clock.advance(1)
    assert await reason(world, await send(world)) == "send"


async def test_an_armed_one_that_is_called_off_gives_its_place_back(world: World) -> None:
    await capped(world, cap(1))
    armed = await world.pipeline.notify(
        world.project, Message(title="Goal!", category="orders"), Audience(users=["ada"]), arm=True
    )
    await world.work()
    await world.pipeline.cancel(world.project, armed.id)
    await world.work()
    assert await reason(world, await send(world)) == "send"


async def test_a_dry_run_counts_caps_and_takes_no_place(world: World) -> None:
    await capped(world, cap(1), users=("ada", "bob"))
    await send(world, "ada")
    message = Message(title="Hi", category="orders")
    for _ in range(2):
        dry = await world.pipeline.dry_run(world.project, message, Audience(everyone=True))
        assert dry.counts == {"cap_reached": 1, "send": 1}
    assert await reason(world, await send(world, "bob"), "bob") == "send"


async def test_a_day_is_the_persons_own_also_when_their_clock_changes(world: World) -> None:
    await capped(world, cap(1, "day", at_cap="wait"))
    await world.store.users.put(world.project.key, "ada", UserChange(timezone="Europe/Vienna"), world.clock.now())
    evening = datetime(2027, 3, 27, 22, 59, tzinfo=UTC)  # 23:59 there, before a day of 23 hours
    world.clock.advance(_ms(evening) - world.clock.now())
    assert await reason(world, await send(world)) == "send"
    world.clock.advance(minutes=1)
    assert await gate(world, await send(world)) == ["caps", "pass", "all: 0 of 1 today"]
    waiting = await send(world)
    [held] = await world.decisions(waiting)
    assert held.until == _ms(datetime(2027, 3, 28, 22, 0, tzinfo=UTC))


# --- calendars -------------------------------------------------------------------------------------------------------


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _there(at: int, zone: str) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Vienna", "2027-03-28T10:00:00Z", 23),
        ("Europe/Vienna", "2027-10-31T10:00:00Z", 25),
        ("Africa/Cairo", "2024-04-26T12:00:00Z", 23),  # there is no midnight: 00:00 becomes 01:00
        ("Asia/Beirut", "2024-10-26T12:00:00Z", 25),  # 00:00 becomes 23:00
        ("Pacific/Kiritimati", "2028-02-29T03:00:00Z", 24),  # UTC+14
        ("Pacific/Pago_Pago", "2028-02-29T03:00:00Z", 24),  # UTC-11
        ("Australia/Lord_Howe", "2027-04-04T00:00:00Z", 24.5),
        ("Pacific/Apia", "2011-12-30T09:00:00Z", 24),  # the last hour before a day that never was
    ],
)
def test_days_are_as_long_as_they_are_there(zone: str, moment: str, hours: float) -> None:
    now = _ms(datetime.fromisoformat(moment))
    day = calendar_day(now, ZoneInfo(zone))
    assert (day.end - day.start) / HOUR_MS == hours
    assert _there(day.start, zone).date() == _there(day.end - 1, zone).date() == _there(now, zone).date()


ZONES = ("Europe/Vienna", "America/St_Johns", "America/Asuncion", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia", "UTC")


@given(now=st.integers(0, 2_000_000_000_000), zone=st.sampled_from(ZONES))
@example(now=_ms(datetime(2007, 11, 4, 2, 45, tzinfo=UTC)), zone="America/St_Johns")  # 00:01 became 23:01
def test_now_lies_in_its_day_and_its_week(now: int, zone: str) -> None:
    day, week = calendar_day(now, ZoneInfo(zone)), calendar_week(now, ZoneInfo(zone))
    assert week.start <= day.start <= now < day.end <= week.end
    assert _there(week.start, zone).weekday() == 0
    assert day.end - day.start <= 26 * HOUR_MS
    assert week.end - week.start <= 8 * DAY_MS


# --- whatever happens ------------------------------------------------------------------------------------------------


class Op(NamedTuple):
    """What happens: a message to somebody, a jump of the clock, a cancellation, a device that is gone."""

    kind: str
    user: str
    category: str
    number: int
    ttl: int


ops = st.lists(
    st.builds(
        Op,
        kind=st.sampled_from(["send", "send", "send", "later", "jump", "jump", "cancel", "gone"]),
        user=st.sampled_from(["ada", "bob"]),
        category=st.sampled_from([*CLASSES, "orders"]),
        number=st.integers(0, 9),
        ttl=st.sampled_from([600, 7200, 3 * 86_400]),
    ),
    min_size=5,
    max_size=25,
)
JUMPS_MS = (1, 60_000, 600_000, HOUR_MS - 1, HOUR_MS, 2 * HOUR_MS, 5 * HOUR_MS, DAY_MS, DAY_MS + 1, 3 * DAY_MS)
PLACES = {"ada": "Europe/Vienna", "bob": "Asia/Beirut"}
scopes = st.sampled_from([{}, {"class_": CategoryClass.MARKETING}, {"category": "orders"}, {"channel": "push"}])
rules = st.lists(
    st.builds(
        lambda limit, per, scope, at_cap: cap(limit, per, at_cap=at_cap, **scope),
        st.integers(1, 3),
        st.sampled_from(["day", "week", 600, 3600, 86_400, 100_000]),
        scopes,
        st.sampled_from(["drop", "wait"]),
    ),
    min_size=1,
    max_size=3,
)


def matches(one: Cap, category: str) -> bool:
    class_ = CLASSES[category]
    return class_ is not CategoryClass.MANDATORY and one.category in {None, category} and one.class_ in {None, class_}


def window_of(one: Cap, at: int, zone: str) -> date | tuple[int, int] | None:
    there = _there(at, zone)
    if one.per == "day":
        return there.date()
    return there.isocalendar()[:2] if one.per == "week" else None


def most(one: Cap, times: Sequence[int], zone: str) -> int:
    """The most of these times that one window holds, reckoned without the code under test."""
    if isinstance(one.per, Rolling):
        length = one.per.seconds * 1000
        return max((sum(end - length < at <= end for at in times) for end in times), default=0)
    windows = [window_of(one, at, zone) for at in times]
    return max(map(windows.count, windows), default=0)


class Arrived:
    """Devices that take everything, except the next `gone` messages; `messages`: of which notifications."""

    def __init__(self) -> None:
        self.gone = 0
        self.messages: set[int] = set()

    def answer(self, message: Outgoing) -> Accepted | Gone:
        if self.gone:
            self.gone -= 1
            return Gone("410", None)
        self.messages.add(message.ready.notification)
        return Accepted()


@settings(max_examples=100)
@given(caps=rules, story=ops, autumn=st.booleans())
def test_no_cap_is_ever_exceeded_and_everybody_gets_one_final_decision(
    caps: list[Cap], story: list[Op], autumn: bool
) -> None:
    start = datetime(2026, 10, 24, 20, tzinfo=UTC) if autumn else datetime(2027, 3, 27, 20, tzinfo=UTC)
    asyncio.run(_live_through(caps, story, _ms(start)))


async def _live_through(caps: list[Cap], story: list[Op], start: int) -> None:
    clock = ManualClock(start)
    world = await World(MemoryStore(clock), clock, SeededChance()).begin()
    await capped(world, *caps, users=list(PLACES))
    for user, zone in PLACES.items():
        await world.store.users.put(world.project.key, user, UserChange(timezone=zone), clock.now())
    made: list[tuple[Notification, Op]] = []
    arrived = Arrived()
    world.browser.otherwise = arrived.answer
    for op in story:
        await _happens(world, op, made, arrived)
    for _ in range(3 * len(made) + 3):  # the end of all that waits
        clock.advance(DAY_MS // 2)
        await world.work()
    await _nothing_waits(world, made)
    await _no_cap_is_exceeded(world, caps, made, arrived)


async def _happens(world: World, op: Op, made: list[tuple[Notification, Op]], arrived: Arrived) -> None:
    if op.kind == "jump":
        world.clock.advance(JUMPS_MS[op.number])
    elif op.kind == "cancel" and made:
        await world.pipeline.cancel(world.project, made[op.number % len(made)][0].id)
    elif op.kind == "gone":
        arrived.gone += 1
    else:
        told = {"category": op.category, "ttl": op.ttl, "priority": op.number}
        made.append((await world.notify(op.user, **told), op))
    if op.kind == "later":
        await decide(world)  # what comes next may be its cancellation
    else:
        await world.work()
    for user in PLACES:
        await world.subscribe(user)


async def _nothing_waits(world: World, made: list[tuple[Notification, Op]]) -> None:
    for notification, op in made:
        reason = (await world.reasons(notification))[op.user]
        assert reason in {"send", "cap_reached", "expired", "cancelled", "no_device"}, reason
        assert op.category != "security" or reason in {"send", "cancelled", "no_device"}


async def _no_cap_is_exceeded(
    world: World, caps: list[Cap], made: list[tuple[Notification, Op]], arrived: Arrived
) -> None:
    """By the time of the decision, which is when it is sent unless a push service is late."""
    sent = [(notification, op) for notification, op in made if notification.key in arrived.messages]
    handed = [((await world.decisions(notification))[0].at, op) for notification, op in sent]
    for one in caps:
        for user, zone in PLACES.items():
            times = [at for at, op in handed if op.user == user and matches(one, op.category)]
            assert most(one, times, zone) <= one.limit


@settings(max_examples=100)
@given(
    caps=rules.map(lambda found: [msgspec.structs.replace(one, at_cap="drop") for one in found]),
    story=ops.map(lambda found: [op for op in found if op.kind in {"send", "jump"}]),
)
def test_what_may_be_sent_is_sent_and_only_that(caps: list[Cap], story: list[Op]) -> None:
    """Beside a reckoning of its own: dropped is exactly what would exceed a cap."""
    asyncio.run(_reckoned(caps, story))


async def _reckoned(caps: list[Cap], story: list[Op]) -> None:
    clock = ManualClock(_ms(datetime(2026, 10, 24, 20, tzinfo=UTC)))
    world = await World(MemoryStore(clock), clock, SeededChance()).begin()
    await capped(world, *caps, users=list(PLACES))
    for user, zone in PLACES.items():
        await world.store.users.put(world.project.key, user, UserChange(timezone=zone), clock.now())
    sent: list[tuple[str, str, int]] = []
    for op in story:
        if op.kind == "jump":
            clock.advance(JUMPS_MS[op.number])
            continue
        now = clock.now()
        full = [one for one in caps if matches(one, op.category) and _counted(one, sent, op.user, now) >= one.limit]
        notification = await send(world, op.user, category=op.category)
        assert await reason(world, notification, op.user) == ("cap_reached" if full else "send")
        sent += [] if full else [(op.user, op.category, now)]


def _counted(one: Cap, sent: Sequence[tuple[str, str, int]], user: str, now: int) -> int:
    times = [at for who, category, at in sent if who == user and matches(one, category)]
    if isinstance(one.per, Rolling):
        return sum(at > now - one.per.seconds * 1000 for at in times)
    zone = PLACES[user]
    return sum(window_of(one, at, zone) == window_of(one, now, zone) for at in times)
