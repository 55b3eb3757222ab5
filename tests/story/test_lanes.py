"""Lanes: each push service has its own, whoever registers what, and one that never answers holds back only its own."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.journey.pipeline import WAKE
from clarion.journey.registration import OTHER_LANES, lane_of
from clarion.model import Audience, DeliveryState, Device, DeviceKind, Message, Notification, Permission, Registration
from clarion.ports import RetryAfter
from clarion.testing import ManualClock, ScriptedProvider
from clarion.workers.delivery import Workers
from story.world import World, payload, subscription

OWN = "https://push.shop.example"
MOZILLA = "https://updates.push.services.mozilla.com/wpush/v2/"
GOOGLE = "https://fcm.googleapis.com/fcm/send/"


def webpush(address: str | None) -> Registration:
    return Registration(kind=DeviceKind.WEBPUSH, address=address)


def apns(**details: str) -> Registration:
    return Registration(kind=DeviceKind.APNS, address="ab12", details=details)


@pytest.mark.parametrize(
    ("told", "lane"),
    [
        (webpush(GOOGLE + "abc"), "fcm.googleapis.com"),
        (webpush("https://FCM.googleapis.com:443/fcm/send/abc"), "fcm.googleapis.com"),
        (webpush(MOZILLA + "abc"), "updates.push.services.mozilla.com"),
        (webpush("https://web.push.apple.com/abc"), "web.push.apple.com"),
        (webpush("https://api.push.apple.com/abc"), "web.push.apple.com"),
        (webpush("https://wns2-by3p.notify.windows.com/w/?token=x"), "notify.windows.com"),
        (webpush(f"{OWN}/wpush/v1/abc"), "own"),
        (apns(environment="sandbox", bundle_id="com.example.app"), "sandbox/com.example.app"),
        (apns(environment="sandbox", bundle_id="com.example.invented"), "sandbox/?"),
        (apns(environment="production"), "production/"),
        (apns(environment="production", bundle_id="no\x00name"), "production/?"),
        (Registration(kind=DeviceKind.FCM, address="token"), ""),
    ],
)
def test_the_large_services_have_a_lane_each(told: Registration, lane: str) -> None:
    assert lane_of(told, OWN, ["com.example.app"]) == lane


@pytest.mark.parametrize(
    "address",
    [
        "https://push.example/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evilpush.apple.com/x",
        "https://notify.windows.com/x",
        "https://push.shop.example:8443/x",
        "http://push.shop.example/x",
        "https://[::1/x",
    ],
)
def test_who_only_looks_like_a_large_service_shares_a_lane_with_others(address: str) -> None:
    assert lane_of(webpush(address), OWN).startswith("other-")


@given(st.text() | st.from_regex(r"https://[a-z0-9.-]{1,40}/[a-z]{0,5}", fullmatch=True))
def test_however_many_services_there_are_they_share_few_lanes(address: str) -> None:
    lane = lane_of(webpush(address), OWN)
    assert lane in {f"other-{number:02}" for number in range(OTHER_LANES)} or not lane.startswith("other")
    host = msgspec.structs.replace(webpush(address), address=f"{address}?more")
    assert lane_of(host, OWN) == lane


def test_strangers_are_spread_over_the_lanes() -> None:
    lanes = {lane_of(webpush(f"https://push-{number}.example/x"), OWN) for number in range(2_000)}
    assert len(lanes) == OTHER_LANES


async def browser(world: World, user_id: str, service: str) -> Device:
    told = msgspec.structs.replace(subscription(user_id), address=service + user_id)
    device, _ = await world.pipeline.register(world.project, user_id, told)
    return device


async def test_a_device_that_moves_to_another_service_changes_lanes(world: World) -> None:
    device = await browser(world, "ada", MOZILLA)
    assert device.lane == "updates.push.services.mozilla.com"
    told = msgspec.structs.replace(subscription("ada"), address=GOOGLE + "ada", previous_address=device.address)
    moved, new = await world.pipeline.register(world.project, "ada", told)
    assert (moved.key, moved.lane, new) == (device.key, "fcm.googleapis.com", False)


async def test_a_notification_waits_in_a_queue_for_each_service(world: World) -> None:
    for user_id, service in (("ada", MOZILLA), ("bea", GOOGLE), ("cem", GOOGLE)):
        await browser(world, user_id, service)
    await world.notify("ada", "bea", "cem")
    [lease] = await world.store.work.claim("decide", 1, world.clock.now(), 15_000)
    await world.pipeline.step(lease)
    waiting = await world.store.work.waiting()
    project = world.project.key
    assert set(waiting) == {
        f"deliver.webpush.{project}.updates.push.services.mozilla.com",
        f"deliver.webpush.{project}.fcm.googleapis.com",
    }


async def test_what_is_tried_again_stays_in_its_lane(world: World) -> None:
    await browser(world, "ada", MOZILLA)
    world.browser.then(RetryAfter(30.0, "busy"))
    await world.notify("ada")
    await world.work()
    assert list(await world.store.work.waiting()) == [
        f"deliver.webpush.{world.project.key}.updates.push.services.mozilla.com"
    ]
    world.clock.advance(seconds=31)
    await world.work()
    assert len(world.browser.calls) == 2


class Silent(ScriptedProvider):
    """Never answers when a message is for this service."""

    def __init__(self, service: str) -> None:
        super().__init__(DeviceKind.WEBPUSH)
        self.service = service
        self.asked = 0

    async def send(self, batch, secrets, now):
        if any(message.address.address.startswith(self.service) for message in batch):
            self.asked += 1
            await asyncio.Event().wait()
        return await super().send(batch, secrets, now)


def workers_of(world: World) -> Workers:
    stages, pipeline = {"trigger": 1, "audience": 1, "decide": 2}, world.pipeline
    return Workers(stages, pipeline.step, world.store.work, world.clock, world.bus, pipeline.throttle)


async def until_accepted(world: World, notification: Notification, messages: int) -> None:
    async with asyncio.timeout(30):
        while True:
            progress = await world.store.trail.progress(notification.project, notification.key)
            if progress.deliveries.get(DeliveryState.ACCEPTED, 0) >= messages:
                return
            await asyncio.sleep(0.005)


async def test_a_service_that_never_answers_holds_back_no_other(
    world: World, clock: ManualClock, chance: object
) -> None:
    """One project's broadcast, a second one after it, and another project: all get through but what is Mozilla's."""
    silent = Silent(MOZILLA)
    world.providers[DeviceKind.WEBPUSH] = silent
    club = await World(world.store, clock, chance).begin("Club")  # type: ignore[arg-type]
    for number in range(30):
        for each in (world, club):
            await browser(each, f"fox-{number}", MOZILLA)
            await browser(each, f"chrome-{number}", GOOGLE)
    workers = workers_of(world)
    workers.start(WAKE)
    try:
        sent = [
            await world.pipeline.notify(project, Message(title="Hello"), Audience(everyone=True))
            for project in (world.project, club.project, world.project)
        ]
        for notification in sent:
            await until_accepted(world, notification, 30)
    finally:
        await workers.stop()
    assert silent.asked == 3
    assert {payload(message)["title"] for message in silent.sent} == {"Hello"}
    assert all(message.address.address.startswith(GOOGLE) for message in silent.sent)


async def test_a_refusal_has_no_lane_and_needs_none(world: World) -> None:
    told = Registration(kind=DeviceKind.WEBPUSH, permission=Permission.DENIED, installation="i")
    device, _ = await world.pipeline.register(world.project, "ada", told)
    assert device.lane == ""
