"""Campaigns from a draft to their end, on every engine: each run once, nothing leaves that is paused or called off."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from clarion.errors import Conflict
from clarion.journey.campaigns import Standing
from clarion.model import (
    Audience,
    Campaign,
    CampaignGoal,
    CampaignRecord,
    DeliveryState,
    DeviceKind,
    LocalTime,
    Message,
    Notification,
    QuietHours,
    ReceiptKind,
    Schedule,
    UserChange,
)
from clarion.ports import PairsWork, SpanWork, Store
from clarion.testing import ManualClock, SeededChance
from story.world import World

NOON = round(datetime(2027, 12, 1, 12, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    world = await World(store, clock, chance).begin()
    go_to(world, NOON)
    return world


def go_to(world: World, moment: int) -> None:
    world.clock.advance(moment - world.clock.now())


async def define(world: World, name: str = "spring", **more: Any) -> CampaignRecord:
    more.setdefault("to", Audience(everyone=True))
    campaign = Campaign(name=name, notification=Message(title="New shoes"), **more)
    return await world.pipeline.campaigns.create(world.project, campaign)


async def started(world: World, name: str = "spring", **more: Any) -> CampaignRecord:
    await define(world, name, **more)
    return await world.pipeline.campaigns.start(world.project, name)


async def standing(world: World, name: str = "spring") -> Standing:
    return await world.pipeline.campaigns.standing(world.project.key, name)


async def state(world: World, name: str = "spring") -> str:
    return str((await world.pipeline.campaigns.get(world.project.key, name)).state)


async def pass_time(world: World, until: int, step: int = HOUR_MS) -> None:
    """As a server would live through it."""
    while world.clock.now() < until:
        world.clock.advance(min(step, until - world.clock.now()))
        await world.pipeline.campaigns.tick()
        await world.work()
    await world.pipeline.campaigns.tick()


async def runs(world: World, name: str = "spring") -> list[str]:
    """The moments of its runs, the first one first."""
    found = (await standing(world, name)).runs
    return [_told(one) for one in reversed(found)]


def _told(run: Notification) -> str:
    return datetime.fromtimestamp((run.send_at or 0) / 1000, UTC).strftime("%dT%H:%M")


async def crowd(world: World, count: int) -> None:
    await asyncio.gather(*(world.subscribe(f"u{number}") for number in range(count)))


def receivers(world: World) -> Counter[str]:
    return Counter(message.address.address for message in world.browser.sent)


async def test_from_a_draft_to_done(world: World) -> None:
    await crowd(world, 3)
    goal = CampaignGoal(event="order", within=3_600)
    await define(world, schedule=Schedule(at=NOON + HOUR_MS), goal=goal)
    assert await state(world) == "draft"
    await pass_time(world, NOON + 2 * HOUR_MS)
    assert world.browser.sent == []  # nobody started it
    await world.pipeline.campaigns.replace(
        world.project,
        Campaign(
            name="spring",
            to=Audience(users=["u0", "u1", "u2", "nobody"]),
            notification=Message(title="New boots"),
            schedule=Schedule(at=NOON + 3 * HOUR_MS),
            goal=goal,
        ),
    )
    await world.pipeline.campaigns.start(world.project, "spring")
    assert await state(world) == "scheduled"
    go_to(world, NOON + 3 * HOUR_MS)
    await world.pipeline.campaigns.tick()
    running = await standing(world)
    assert (running.record.state, running.record.audience, running.progress.reasons) == ("running", 4, {})
    await world.work()
    [run] = running.runs
    assert (run.campaign, len(world.browser.sent)) == ("spring", 3)
    await world.device_tells(world.browser.sent[0], ReceiptKind.CLICKED)
    await world.happens("u0", "order")
    world.clock.advance(HOUR_MS)
    await world.happens("u1", "order")  # an hour is over
    await world.happens("nobody", "order")
    await world.pipeline.campaigns.tick()
    done = await standing(world)
    assert (done.record.state, done.progress.reasons) == ("done", {"send": 3, "no_device": 1})
    told = await world.pipeline.story(world.project, "u0", run.id)
    assert [chapter.detail["campaign"] for chapter in told if chapter.stage == "decide"] == ["spring"]
    assert (done.reached.tapped, done.reached.converted) == (1, 1)
    for verb in ("start", "pause", "resume", "cancel"):
        with pytest.raises(Conflict, match="is done and cannot be"):
            await getattr(world.pipeline.campaigns, verb)(world.project, "spring")


async def test_started_without_a_schedule_it_goes_out_at_once(world: World) -> None:
    await crowd(world, 2)
    await started(world)
    await world.work()
    assert len(world.browser.sent) == 2
    assert (await standing(world)).record.state == "done"  # who reads it need not wait for the scheduler


async def test_a_cron_runs_by_the_clock_in_its_zone(world: World) -> None:
    """On 31 October and 7 November the clocks change in Vienna and New York."""
    go_to(world, round(datetime(2028, 10, 27, tzinfo=UTC).timestamp() * 1000))
    await crowd(world, 1)
    await started(world, schedule=Schedule(cron="30 2 * * *", timezone="Europe/Vienna"))
    await pass_time(world, world.clock.now() + 4 * DAY_MS, HOUR_MS // 2)
    assert await runs(world) == ["27T00:30", "28T00:30", "29T00:30", "30T01:30"]  # on the 29th it is 02:30 twice
    assert set(receivers(world).values()) == {4}
    assert await state(world) == "scheduled"


MISSED = {
    ("catch_up", 300): (["03T09:00", "04T09:00"], 1),
    ("skip", 300): (["04T09:00"], 2),
    ("skip", 6 * 3600): (["03T09:00", "04T09:00"], 1),
}


@pytest.mark.parametrize(("missed", "tolerance_s"), list(MISSED))
async def test_runs_that_were_missed(world: World, missed: str, tolerance_s: int) -> None:
    """No process was up from the 1st to the 3rd at noon; on the 4th it is two minutes late."""
    await crowd(world, 1)
    schedule = Schedule(cron="0 9 * * *", timezone="UTC", missed=missed, tolerance_s=tolerance_s)  # type: ignore[arg-type]
    await started(world, schedule=schedule)
    go_to(world, NOON + 2 * DAY_MS)
    await world.pipeline.campaigns.tick()
    go_to(world, NOON + 3 * DAY_MS - 3 * HOUR_MS + 120_000)
    await world.pipeline.campaigns.tick()
    await world.work()
    expected, skipped = MISSED[missed, tolerance_s]
    assert await runs(world) == expected
    assert (await standing(world)).record.skipped == skipped
    assert len(world.browser.sent) == len(expected)


async def test_two_schedulers_begin_each_run_once(world: World) -> None:
    await crowd(world, 2)
    await started(world, schedule=Schedule(cron="0 * * * *", timezone="UTC"))
    others = [world.pipeline, world.another_pipeline(), world.another_pipeline()]
    for _ in range(5):
        world.clock.advance(HOUR_MS)
        await asyncio.gather(*(one.campaigns.tick() for one in others))
        await world.work()
    assert await runs(world) == [f"01T{hour}:00" for hour in range(13, 18)]
    assert set(receivers(world).values()) == {5}


class Killed(BaseException):
    """What no code of ours catches."""


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_scheduler_that_dies_at_a_run_loses_nothing_and_doubles_nothing(
    world: World, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crowd(world, 2)
    await started(world, schedule=Schedule(cron="0 * * * *", timezone="UTC"))
    world.clock.advance(HOUR_MS)
    change: Callable[..., Awaitable[bool]] = world.store.campaigns.change

    async def dies(*told: Any) -> bool:
        if when == "after":
            await change(*told)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(world.store.campaigns, "change", dies)
        with pytest.raises(Killed):
            await world.pipeline.campaigns.tick()
    for _ in range(3):
        await world.another_pipeline().campaigns.tick()
        await world.work()
    assert await runs(world) == ["01T13:00"]
    assert set(receivers(world).values()) == {1}


async def test_a_run_that_is_known_is_not_made_again(world: World) -> None:
    """Not even by a scheduler that remembers an older day."""
    await crowd(world, 1)
    before = await started(world, schedule=Schedule(cron="0 * * * *", timezone="UTC"))
    await pass_time(world, NOON + HOUR_MS)
    now = await world.pipeline.campaigns.get(world.project.key, "spring")
    await world.pipeline.campaigns._run(before)
    assert await world.pipeline.campaigns.get(world.project.key, "spring") == now
    await world.work()
    assert len(world.browser.sent) == 1


async def test_paused_in_the_middle_of_a_large_audience(world: World) -> None:
    """Some have it, some batches are composed, some are in a worker's hand, most people are not even looked at."""
    await crowd(world, 2_300)
    await started(world)
    for lease in await world.due():  # the audience is cut
        await world.pipeline.step(lease)
    first, second, _ = await world.due()  # three spans
    await world.pipeline.step(first)
    leaves = [lease for lease in await world.due() if lease.job != second.job]
    for lease in leaves:
        await world.pipeline.step(lease)
    sent = len(world.browser.sent)
    assert sent == 1_000
    await world.pipeline.step(second)  # composed, not handed over
    [composed] = [lease for lease in await world.due() if not isinstance(lease.job, SpanWork | PairsWork)]
    await world.pipeline.campaigns.pause(world.project, "spring")
    await world.pipeline.step(composed)
    world.clock.advance(16_000)
    await world.work()  # leases ran out
    await pass_time(world, NOON + 2 * DAY_MS)
    assert len(world.browser.sent) == sent
    paused = await standing(world)
    assert (paused.record.state, paused.progress.reasons) == ("paused", {"send": 2_000})
    [run] = paused.runs
    waiting = [one for one in await world.deliveries(run) if one.state == 0]
    assert {one.reason for one in waiting} <= {"paused"}
    await world.pipeline.campaigns.resume(world.project, "spring")
    await world.work()
    assert set(receivers(world).values()) == {1}
    assert len(world.browser.sent) == 2_300
    await world.pipeline.campaigns.tick()
    assert await state(world) == "done"


@pytest.mark.parametrize("paused", [False, True])
async def test_cancelled_the_rest_is_dropped(world: World, paused: bool) -> None:
    await crowd(world, 1_500)
    await started(world, schedule=Schedule(cron="0 13 * * *", timezone="UTC"))
    go_to(world, NOON + HOUR_MS)
    await world.pipeline.campaigns.tick()
    for _ in range(2):
        for lease in (await world.due())[:1]:
            await world.pipeline.step(lease)
    world.clock.advance(16_000)
    if paused:
        await world.pipeline.campaigns.pause(world.project, "spring")
    await world.pipeline.campaigns.cancel(world.project, "spring")
    await world.work()
    assert world.browser.sent == []
    done = await standing(world)
    assert (done.record.state, done.progress.reasons) == ("cancelled", {"cancelled": 1_500})
    await pass_time(world, NOON + 3 * DAY_MS)
    assert len(await runs(world)) == 1
    assert await world.pipeline.campaigns.cancel(world.project, "spring") == done.record  # once more changes nothing


async def test_who_waits_for_their_hour_waits_on_after_a_pause(world: World) -> None:
    for name, zone in (("tokyo", "Asia/Tokyo"), ("york", "America/New_York"), ("paris", "Europe/Paris")):
        await world.subscribe(name)
        await world.store.users.put(world.project.key, name, UserChange(timezone=zone), world.clock.now())
    await started(world, schedule=Schedule(cron="0 0 * * 1", timezone="Asia/Tokyo", local_time=LocalTime(at="20:00")))
    monday = datetime(2027, 12, 6, tzinfo=ZoneInfo("Asia/Tokyo"))
    await pass_time(world, round(monday.timestamp() * 1000) + 29 * HOUR_MS)
    assert receivers(world).keys() == {"https://push.example/tokyo", "https://push.example/paris"}
    assert await state(world) == "running"
    await world.pipeline.campaigns.pause(world.project, "spring")
    await pass_time(world, world.clock.now() + HOUR_MS)
    await world.pipeline.campaigns.resume(world.project, "spring")
    await world.work()
    assert len(world.browser.sent) == 2  # it is 16:00 in New York
    await pass_time(world, world.clock.now() + 3 * HOUR_MS)
    assert len(world.browser.sent) == 2
    await pass_time(world, world.clock.now() + HOUR_MS)
    assert set(receivers(world).values()) == {1}
    assert len(world.browser.sent) == 3
    assert await state(world) == "scheduled"


@pytest.mark.parametrize("named", [False, True])
async def test_a_rate_lets_people_through_at_its_pace(world: World, named: bool) -> None:
    await crowd(world, 130)
    to = Audience(users=[f"u{number}" for number in range(130)]) if named else Audience(everyone=True)
    await started(world, to=to, rate=2)
    counts = []
    for _ in range(30):
        await world.work()
        counts.append(len(world.browser.sent))
        world.clock.advance(1_000)
    assert counts == list(range(2, 62, 2))
    # Two minutes without a worker, then without permission: nothing is made up for at once.
    await world.pipeline.campaigns.pause(world.project, "spring")
    await pass_time(world, world.clock.now() + 120_000, 1_000)
    await world.pipeline.campaigns.resume(world.project, "spring")
    for _ in range(40):
        await world.work()
        world.clock.advance(1_000)
        assert len(world.browser.sent) - counts[-1] <= 2
        counts.append(len(world.browser.sent))
    assert counts[-1] == 130
    assert set(receivers(world).values()) == {1}


async def until_morning(world: World, **more: Any) -> None:
    """A campaign at 2 a second, of 60 people, begins ten seconds before their night, and it is nearly over."""
    for number in range(60):
        await world.subscribe(f"u{number}", timezone="Europe/Paris")
    settings = msgspec.structs.replace(world.project.settings, quiet_hours=QuietHours(start="22:00", end="08:00"))
    world.project = msgspec.structs.replace(world.project, settings=settings)
    await world.store.projects.update(world.project)
    await world.catalog.changed()
    go_to(world, NOON + 9 * HOUR_MS - 10_000)  # in Paris it is nearly ten
    await started(world, rate=2, **more)
    await world.work()
    await pass_time(world, world.clock.now() + 60_000, 1_000)
    await pass_time(world, NOON + 19 * HOUR_MS - 1_000)
    assert len(world.browser.sent) == 20


async def by_second(world: World) -> list[int]:
    counts = []
    for _ in range(40):
        world.clock.advance(1_000)
        before = len(world.browser.sent)
        await world.work()
        counts.append(len(world.browser.sent) - before)
    return counts


async def test_whom_the_night_held_up_come_back_at_the_rate(world: World) -> None:
    await until_morning(world)
    assert await by_second(world) == [2] * 20 + [0] * 20
    assert set(receivers(world).values()) == {1}


async def test_whose_moment_it_is_are_decided_together_however_many_jobs_they_waited_in(world: World) -> None:
    await until_morning(world)
    world.clock.advance(HOUR_MS)
    [lease] = await world.store.work.claim("decide", 1, world.clock.now(), 15_000)
    await world.pipeline.step(lease)
    assert await world.work() == 1, "what is left is to deliver them"
    assert len(world.browser.calls[-1].batch) == 40
    assert set(receivers(world).values()) == {1}


async def test_who_would_come_back_after_the_end_is_dropped(world: World) -> None:
    await until_morning(world, expires_at=NOON + 19 * HOUR_MS + 10_000)
    assert await by_second(world) == [2] * 10 + [0] * 30
    [run] = (await standing(world)).runs
    assert Counter((await world.reasons(run)).values()) == {"send": 40, "expired": 20}


@pytest.mark.parametrize("named", [False, True])
async def test_a_rate_ends_when_the_campaign_expires(world: World, named: bool) -> None:
    """Who would have their turn later is dropped then, and not at the pace at which they would have got it."""
    await crowd(world, 130)
    to = Audience(users=[f"u{number}" for number in range(130)]) if named else Audience(everyone=True)
    await started(world, to=to, rate=2, expires_at=world.clock.now() + 5_000)
    for _ in range(6):
        await world.work()
        world.clock.advance(1_000)
    await world.work()
    await world.pipeline.campaigns.tick()
    ended = await standing(world)
    assert (ended.record.state, ended.progress.reasons) == ("done", {"send": 10, "expired": 120})


async def test_what_expired_is_not_sent_and_runs_no_more(world: World) -> None:
    await crowd(world, 1)
    schedule = Schedule(cron="0 * * * *", timezone="UTC")
    await started(world, schedule=schedule, expires_at=NOON + 2 * HOUR_MS + 60_000)
    go_to(world, NOON + HOUR_MS)
    await world.pipeline.campaigns.tick()
    await world.work()
    go_to(world, NOON + 2 * HOUR_MS)
    await world.pipeline.campaigns.tick()
    go_to(world, NOON + 2 * HOUR_MS + 60_000)  # the workers were slow
    await world.work()
    await pass_time(world, NOON + DAY_MS)
    told = await standing(world)
    assert (told.record.state, told.progress.reasons, len(world.browser.sent)) == ("done", {"expired": 1}, 1)
    assert await runs(world) == ["01T13:00", "01T14:00"]


async def test_a_name_may_be_used_again(world: World) -> None:
    await crowd(world, 1)
    for _ in range(2):
        await started(world)
        await world.work()
        assert len(await runs(world)) == 1
        await world.pipeline.campaigns.delete(world.project, "spring")
        await define(world)
        with pytest.raises(Conflict, match="there is one called spring already"):
            await define(world)
        await world.pipeline.campaigns.delete(world.project, "spring")
    assert len(world.browser.sent) == 2


@pytest.mark.parametrize("verb", ["pause", "cancel"])
async def test_what_a_worker_has_in_hand_stops_too(world: World, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that leaves slowly, since its key may send a few a second only."""
    await crowd(world, 40)
    [key] = await world.store.projects.credentials(world.project.key, DeviceKind.WEBPUSH)
    await world.store.projects.replace_credential(msgspec.structs.replace(key, rate=10))
    await world.catalog.changed()
    send = world.browser.send

    async def meanwhile(*batch: Any) -> Any:
        if len(world.browser.sent) == 20:
            await getattr(world.pipeline.campaigns, verb)(world.project, "spring")
        return await send(*batch)

    monkeypatch.setattr(world.browser, "send", meanwhile)
    await started(world)
    await world.work()
    assert len(world.browser.sent) == 30  # those that were leaving just then
    told = await standing(world)
    [run] = told.runs
    reasons = Counter(str(one.reason) for one in await world.deliveries(run) if one.state < DeliveryState.ACCEPTED)
    assert reasons == {"paused" if verb == "pause" else "cancelled": 40 - len(world.browser.sent)}


async def test_a_worker_that_is_slow_does_not_leave_a_job_behind(world: World) -> None:
    """It saw that the campaign is paused; before it puts its job aside, the campaign is resumed."""
    await crowd(world, 2)
    await started(world)
    [lease] = await world.due()
    await world.pipeline.campaigns.pause(world.project, "spring")
    await world.pipeline.campaigns.resume(world.project, "spring")
    await world.store.work.set_aside(lease, world.clock.now())
    await world.work()
    assert len(world.browser.sent) == 2


async def test_what_a_segment_has_now_is_what_a_run_is_for(world: World) -> None:
    await crowd(world, 3)
    gold = {"type": "attribute", "attribute": "plan", "op": "eq", "value": "gold"}
    await world.define("segments", name="gold", rule=gold)
    for day, people in enumerate((["u0"], ["u0", "u1"])):
        for name in people:
            change = UserChange(attributes={"plan": "gold"})
            await world.store.users.put(world.project.key, name, change, world.clock.now())
        await started(world, f"day {day}", to=Audience(segment="gold"), rate=1)
        await pass_time(world, world.clock.now() + 5_000, 1_000)
        told = await standing(world, f"day {day}")
        assert (told.record.state, told.record.audience, told.progress.reasons) == (
            "done",
            len(people),
            {"send": len(people)},
        )
