"""What becomes of deliveries while a push service refuses our keys, asks for less, fails, hangs or is not there.

A real APNs over TLS and HTTP/2, simulated; the manual clock. Nothing is lost, nothing fails, no device is given up.
"""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clarion.errors import Unavailable
from clarion.journey.gate import FIRST_WINDOW
from clarion.model import DeliveryState, DeviceKind, DeviceState, Notification, Permission, Reason, Registration
from clarion.ports import Accepted, BadCredentials, ProviderOutcome, Quarantined, RetryAfter, Senders, Store
from clarion.providers.apns import ApnsProvider
from clarion.testing import ManualClock, MemoryStore, SeededChance
from clarion.testing.simulators import Accept, ApnsSimulator, Raw, Refuse, Stall
from clarion.testing.simulators.apns import TOPIC
from clarion.transport.http2 import Limits, Pool, client_context
from clarion.transport.senders import Http2Senders
from contract.api_world import ApiWorld
from contract.support import claim
from contract.support_credentials import apns_token, ec_pem
from story.world import World, subscription

PEOPLE = [f"u{number}" for number in range(30)]
SENT, HELD = (DeliveryState.ACCEPTED, None), (DeliveryState.QUEUED, Reason.PROVIDER_DOWN)
REFUSED = BadCredentials("403 BadJwtToken")


class Impatient:
    """Waits a moment for a connection or an answer, so that a test of dead services does not take twenty seconds."""

    def __init__(self, apns: ApnsSimulator, limits: Limits) -> None:
        tls = client_context(authority=str(apns.ca_file))
        self.pool = Pool(apns.url, tls=tls, limits=limits)

    def to(self, _origin: str, **_: Any) -> Pool:
        return self.pool


@pytest.fixture
async def apns(clock: ManualClock, tmp_path: Path) -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator(folder=tmp_path, now=clock.now) as simulator:
        yield simulator


async def phones(store: Store, clock: ManualClock, chance: SeededChance, senders: Senders, url: str) -> World:
    """A project whose people all have an iPhone."""
    world = await World(store, clock, chance).begin()
    world.providers[DeviceKind.APNS] = ApnsProvider(senders, hosts=dict.fromkeys(("production", "sandbox"), url))
    for number, user_id in enumerate(PEOPLE):
        await world.pipeline.register(world.project, user_id, phone(number))
    clock.advance(seconds=1)
    return world


def phone(number: int) -> Registration:
    details = {"environment": "production", "bundle_id": TOPIC}
    return Registration(
        kind=DeviceKind.APNS, address=f"ab{number:062x}", permission=Permission.GRANTED, details=details
    )


@pytest.fixture
async def world(apns: ApnsSimulator, clock: ManualClock, chance: SeededChance) -> AsyncIterator[World]:
    senders = Http2Senders(authority=apns.ca_file)
    world = await phones(MemoryStore(clock), clock, chance, senders, apns.url)
    await world.credential(DeviceKind.APNS, apns_token(apns))
    yield world
    await senders.close()


async def standing(world: World, notification: Notification) -> set[tuple[DeliveryState, Reason | None]]:
    return {(one.state, one.reason) for one in await world.deliveries(notification)}


async def device_states(world: World) -> set[DeviceState]:
    users = await world.store.users.resolve(world.project.key, PEOPLE, world.clock.now(), create=False)
    return {
        device.state for key in users.values() for device in await world.store.devices.of_user(world.project.key, key)
    }


async def work_for(world: World, seconds: int, step: int = 1) -> None:
    """As the workers would, for so long."""
    for _ in range(0, seconds, step):
        await world.work()
        world.clock.advance(seconds=step)
    await world.work()


# --- credentials -----------------------------------------------------------------------------------------------------


def credential(private_key: str, apns: ApnsSimulator) -> dict[str, Any]:
    own = apns.credential
    told = {"key_id": own.key_id, "team_id": own.team_id, "private_key": private_key, "bundle_id": TOPIC}
    return {"kind": "apns", "name": "main", **told}


async def test_a_refused_key_holds_all_back_until_it_is_replaced_over_the_api(
    store: Store, apns: ApnsSimulator, clock: ManualClock, chance: SeededChance
) -> None:
    senders = Http2Senders(authority=apns.ca_file)
    world = await phones(store, clock, chance, senders, apns.url)
    api = ApiWorld(world)
    assert (await api.server.post("/v1/credentials", credential(ec_pem(), apns))).status == 201
    first = await world.notify(*PEOPLE)
    await world.work()

    assert await standing(world, first) == {HELD}
    assert {one.attempts for one in await world.deliveries(first)} == {0}
    [alert] = (await api.server.get("/v1/alerts")).json["items"]
    assert (
        alert.items()
        >= {
            "kind": "apns",
            "lane": "production/?",  # no credential named the app when they registered
            "reason": "bad_credentials",
            "detail": "403 InvalidProviderToken",
            "credential": "main",
            "failures": 1,
        }.items()
    )
    asked = apns.requests
    second = await world.notify(*PEOPLE)
    await work_for(world, 600, step=10)
    assert await standing(world, second) == {HELD}
    assert apns.requests - asked <= 10 * 11, "ten minutes are ten probes"
    assert (await api.server.get("/v1/alerts")).json["items"][0]["since"] == alert["since"]
    assert await device_states(world) == {DeviceState.ACTIVE}

    good = credential(apns.credential.key, apns)
    assert (await api.server.put("/v1/credentials/main", good)).status == 200
    await world.work()
    assert await standing(world, first) == await standing(world, second) == {SENT}
    assert apns.shown.accepted == apns.shown.notifications == 2 * len(PEOPLE)
    assert (await api.server.get("/v1/alerts")).json == {"items": [], "next_cursor": None}
    assert await device_states(world) == {DeviceState.ACTIVE}
    await senders.close()


async def test_a_project_without_a_credential_holds_back_until_it_has_one(
    apns: ApnsSimulator, clock: ManualClock, chance: SeededChance
) -> None:
    senders = Http2Senders(authority=apns.ca_file)
    world = await phones(MemoryStore(clock), clock, chance, senders, apns.url)
    api = ApiWorld(world)
    notification = await world.notify(*PEOPLE)
    await work_for(world, 120, step=10)
    assert await standing(world, notification) == {HELD}
    [alert] = (await api.server.get("/v1/alerts")).json["items"]
    assert (alert["reason"], alert["credential"]) == ("bad_credentials", None)
    assert (await api.server.post("/v1/credentials", credential(apns.credential.key, apns))).status == 201
    await world.work()
    assert await standing(world, notification) == {SENT}
    await senders.close()


async def test_a_key_that_is_good_again_by_itself_is_found_by_the_probe(world: World, apns: ApnsSimulator) -> None:
    apns.script.otherwise = Refuse(reason="InvalidProviderToken")
    notification = await world.notify(*PEOPLE)
    await work_for(world, 30)
    apns.script.otherwise = Accept()
    assert await standing(world, notification) == {HELD}
    await work_for(world, 31)
    assert await standing(world, notification) == {SENT}
    assert apns.shown.accepted == len(PEOPLE)


async def test_invented_apps_share_a_lane_and_stop_no_other(world: World, apns: ApnsSimulator) -> None:
    await world.pipeline.register(world.project, "u1", phone(1))
    for number in range(20):
        invented = {"environment": "production", "bundle_id": f"com.invented.n{number}"}
        told = msgspec.structs.replace(phone(100 + number), details=invented)
        await world.pipeline.register(world.project, f"mallory{number}", told)
    await world.notify("u1", *(f"mallory{number}" for number in range(20)))
    queues = set()
    for _ in range(3):
        queues |= set(await world.store.work.waiting())
        for lease in await world.due():
            await world.pipeline.step(lease)
    begun = f"deliver.apns.{world.project.key}.production/"
    assert {queue for queue in queues if queue.startswith("deliver.")} == {begun + TOPIC, begun + "?"}
    assert apns.shown.accepted == 1
    assert await world.store.stoppages.all() == []


# --- 429, 503, no answer, nobody there -------------------------------------------------------------------------------


async def test_a_wait_that_the_service_asks_for_is_kept_and_nothing_is_alarmed(
    world: World, apns: ApnsSimulator
) -> None:
    apns.script.otherwise = Raw(status=429, retry_after=30)
    first = await world.notify(*PEOPLE)
    await world.work()
    asked = apns.requests
    apns.script.otherwise = Accept()
    second = await world.notify(*PEOPLE)
    await work_for(world, 29)
    assert apns.requests == asked, "not even for others"
    assert await world.store.stoppages.all() == []
    await work_for(world, 3)
    assert await standing(world, first) == await standing(world, second) == {SENT}


async def test_a_storm_of_503_is_waited_out_with_probes(world: World, apns: ApnsSimulator) -> None:
    apns.script.otherwise = Refuse(reason="ServiceUnavailable")
    first = await world.notify(*PEOPLE)
    await world.work()
    second = await world.notify(*PEOPLE)
    await world.work()
    asked = apns.requests
    await work_for(world, 300)
    assert await standing(world, first) == await standing(world, second) == {HELD}
    # After 1, 2, 4, 8, 16, 32, 60, 60, 60, 60 seconds.
    assert apns.requests - asked <= 10 * 10
    [stoppage] = await world.store.stoppages.all()
    assert (stoppage.reason, stoppage.detail) == ("provider_error", "503 ServiceUnavailable")
    apns.script.otherwise = Accept()
    # The messages have their own waits, up to a quarter of an hour and half as much again by chance.
    await work_for(world, 1_500, step=5)
    assert await standing(world, first) == await standing(world, second) == {SENT}
    assert apns.shown.accepted == apns.shown.notifications == 2 * len(PEOPLE)
    assert await world.store.stoppages.all() == []


async def test_a_service_that_hangs(apns: ApnsSimulator, clock: ManualClock, chance: SeededChance) -> None:
    senders = Impatient(apns, Limits(request_s=0.2, tick_s=0.02))
    world = await phones(MemoryStore(clock), clock, chance, senders, apns.url)
    await world.credential(DeviceKind.APNS, apns_token(apns))
    apns.script.otherwise = Stall()
    notification = await world.notify(*PEOPLE)
    await work_for(world, 2)
    assert await standing(world, notification) == {HELD}
    [stoppage] = await world.store.stoppages.all()
    assert "no answer" in stoppage.detail
    apns.script.otherwise = Accept()
    await work_for(world, 120, step=2)
    assert await standing(world, notification) == {SENT}
    await senders.pool.close()


async def test_a_service_that_is_not_there_for_a_while_is_found_again(
    apns: ApnsSimulator, clock: ManualClock, chance: SeededChance, tmp_path: Path
) -> None:
    senders = Impatient(apns, Limits(patience_s=0.3, tick_s=0.02, backoff_s=(0.01, 0.05)))
    world = await phones(MemoryStore(clock), clock, chance, senders, apns.url)
    await world.credential(DeviceKind.APNS, apns_token(apns))
    await apns.__aexit__(None, None, None)
    notification = await world.notify(*PEOPLE)
    await work_for(world, 60, step=5)
    assert await standing(world, notification) == {HELD}
    async with ApnsSimulator(folder=tmp_path, now=clock.now, port=apns.port) as again:
        await work_for(world, 400, step=5)
        assert await standing(world, notification) == {SENT}
        assert again.shown.accepted == len(PEOPLE)
    assert await world.store.stoppages.all() == []
    await senders.pool.close()


# --- what holds on every engine, with a service that answers by script ------------------------------------------------


@pytest.fixture
async def shop(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    world = await World(store, clock, chance).begin()
    for user_id in PEOPLE:
        await world.pipeline.register(world.project, user_id, browser(user_id))
    clock.advance(seconds=1)
    return world


def browser(user_id: str, service: str = "updates.push.services.mozilla.com/wpush/v2") -> Registration:
    return msgspec.structs.replace(subscription(user_id), address=f"https://{service}/{user_id}")


async def test_what_is_held_back_expires_when_its_time_is_over(shop: World) -> None:
    shop.browser.otherwise = REFUSED
    short, long = await shop.notify(*PEOPLE, ttl=90), await shop.notify(*PEOPLE, ttl=600)
    at_once = await shop.notify("u1", ttl=0)
    await shop.work()
    assert await standing(shop, short) == await standing(shop, long) == await standing(shop, at_once) == {HELD}
    shop.clock.advance(seconds=93)
    await shop.work()
    expired = {(DeliveryState.EXPIRED, Reason.EXPIRED)}
    assert await standing(shop, short) == await standing(shop, at_once) == expired
    assert await standing(shop, long) == {HELD}
    assert sum(one.attempts for one in await shop.deliveries(short)) == 0
    shop.clock.advance(seconds=600)
    await shop.work()
    assert await standing(shop, long) == expired


async def test_what_is_held_back_is_cancelled_at_once(shop: World) -> None:
    shop.browser.otherwise = REFUSED
    notification = await shop.notify(*PEOPLE)
    await shop.work()
    shop.clock.advance(seconds=5)
    await shop.pipeline.cancel(shop.project, notification.id)
    await shop.work()
    assert await standing(shop, notification) == {(DeliveryState.FAILED, Reason.CANCELLED)}


async def test_what_is_cancelled_is_not_put_off_by_what_else_waits(shop: World) -> None:
    shop.browser.otherwise = REFUSED
    cancelled, other = await shop.notify("u1"), await shop.notify("u2")
    await shop.work()
    shop.clock.advance(seconds=5)
    await shop.pipeline.cancel(shop.project, cancelled.id)
    [queue] = await shop.store.work.waiting()
    await shop.store.work.postpone(queue, shop.clock.now() + 3_600_000)
    await shop.work()
    assert await standing(shop, cancelled) == {(DeliveryState.FAILED, Reason.CANCELLED)}
    assert await standing(shop, other) == {HELD}


class AwayForAMoment:
    """A part of the store that cannot be asked `failures` times."""

    def __init__(self, part: Any, name: str, failures: int) -> None:
        self._part, self._name, self._left = part, name, failures

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._name and self._left else getattr(self._part, name)

    async def _fail(self, *_: Any) -> Any:
        self._left -= 1
        raise Unavailable("the database is away")


@pytest.mark.parametrize(("part", "method"), [("projects", "pace"), ("stoppages", "claim_probe")])
async def test_a_database_that_is_away_takes_no_room_from_a_lane(
    clock: ManualClock, chance: SeededChance, part: str, method: str
) -> None:
    shop = await World(MemoryStore(clock), clock, chance).begin()
    await shop.pipeline.register(shop.project, "u1", browser("u1"))
    [key] = await shop.store.projects.credentials(shop.project.key, DeviceKind.WEBPUSH)
    await shop.store.projects.replace_credential(msgspec.structs.replace(key, rate=1_000_000))
    if method == "claim_probe":
        shop.browser.then(REFUSED)
    first = await shop.notify("u1")
    await shop.work() if method == "claim_probe" else None
    setattr(shop.store, part, AwayForAMoment(getattr(shop.store, part), method, FIRST_WINDOW + 1))
    clock.advance(seconds=61)
    for _ in range(FIRST_WINDOW + 2):
        for lease in await shop.due():
            try:
                await shop.pipeline.step(lease)
            except Unavailable:
                await shop.store.work.release(lease, clock.now())
        clock.advance(seconds=61) if method == "claim_probe" else None
    await work_for(shop, 61)
    assert await standing(shop, first) == {SENT}


async def test_another_process_knows_and_one_of_them_probes(shop: World) -> None:
    shop.browser.otherwise = REFUSED
    await shop.notify("u1")
    await shop.work()
    first, second = shop.pipeline, shop.another_pipeline()
    asked = len(shop.browser.calls)
    shop.pipeline = second
    notification = await shop.notify("u2")
    await shop.work()
    assert len(shop.browser.calls) == asked, "the second process did not ask"
    shop.clock.advance(seconds=60)
    [queue] = await shop.store.work.waiting()
    leases = await claim(shop.store, queue, shop.clock.now())
    assert len(leases) == 2
    for pipeline, lease in zip((first, second), leases, strict=True):
        await pipeline.step(lease)
    assert len(shop.browser.calls) == asked + 1
    shop.browser.otherwise = Accepted()
    shop.clock.advance(seconds=60)
    await shop.work()
    assert await standing(shop, notification) == {SENT}
    shop.pipeline = first
    third = await shop.notify("u3")
    await shop.work()
    assert await standing(shop, third) == {SENT}


async def test_a_stopped_service_stops_no_other_lane_and_no_other_project(shop: World) -> None:
    other = await World(shop.store, shop.clock, shop.chance).begin("Another")
    await other.subscribe("u1")
    await shop.pipeline.register(shop.project, "u1", browser("u1", "fcm.googleapis.com/fcm/send"))
    shop.browser.otherwise = lambda one: Accepted() if "googleapis" in one.address.address else REFUSED
    first = await shop.notify("u1", "u2")
    await shop.work()
    shop.browser.otherwise = Accepted()
    second, theirs = await shop.notify("u1", "u2"), await other.notify("u1")
    await shop.work()
    assert await standing(shop, first) == await standing(shop, second) == {SENT, HELD}
    assert await standing(other, theirs) == {SENT}


async def test_devices_in_doubt_get_another_try_with_another_credential(shop: World) -> None:
    shop.browser.otherwise = Quarantined("401 VAPID")
    await shop.notify(*PEOPLE)
    await shop.work()
    assert await device_states(shop) == {DeviceState.QUARANTINED}
    await shop.pipeline.credential_changed(shop.project, DeviceKind.APNS)
    assert await device_states(shop) == {DeviceState.QUARANTINED}
    await shop.pipeline.credential_changed(shop.project, DeviceKind.WEBPUSH)
    assert await device_states(shop) == {DeviceState.ACTIVE}


async def test_devices_in_doubt_get_another_try_after_a_while(shop: World) -> None:
    shop.browser.otherwise = Quarantined("403")
    await shop.notify(*PEOPLE)
    await shop.work()
    doubted_at = shop.clock.now()
    now = shop.clock.advance(hours=24 * 7)
    devices = shop.store.devices
    assert await devices.retry_doubtful(doubted_at, now, 100) == 0
    assert await devices.retry_doubtful(doubted_at + 1, now, 20) == 20
    assert await device_states(shop) == {DeviceState.ACTIVE, DeviceState.QUARANTINED}
    assert await devices.retry_doubtful(doubted_at + 1, now, 20) == len(PEOPLE) - 20
    assert await device_states(shop) == {DeviceState.ACTIVE}


async def test_a_healthy_batch_goes_out_in_one_piece(shop: World) -> None:
    await shop.notify(*PEOPLE)
    await shop.work()
    assert [len(call.batch) for call in shop.browser.calls] == [len(PEOPLE)]


async def test_a_service_that_asks_for_less_gets_smaller_chunks_and_still_all_of_it(shop: World) -> None:
    answers = itertools.cycle([RetryAfter(1.0, "429", blames="load"), Accepted(), Accepted()])
    shop.browser.otherwise = lambda _: next(answers)
    notifications = [await shop.notify(*PEOPLE) for _ in range(12)]
    await shop.work()
    sizes = [len(call.batch) for call in shop.browser.calls]
    assert sizes[0] == len(PEOPLE)
    assert sizes[-1] < len(PEOPLE) / 2
    shop.browser.otherwise = Accepted()
    await work_for(shop, 60)
    assert {state for each in notifications for state in await standing(shop, each)} == {SENT}
    assert len({one.ready.id for one in shop.browser.sent}) == len(notifications) * len(PEOPLE)
    assert await shop.store.stoppages.all() == []


@pytest.mark.parametrize("answer", [REFUSED, RetryAfter(None, "503"), RetryAfter(600.0, "429", blames="load")])
async def test_a_stranger_with_a_push_service_of_its_own_stops_and_alarms_nobody(
    world: World, answer: ProviderOutcome
) -> None:
    for user_id in PEOPLE:
        await world.pipeline.register(world.project, user_id, browser(user_id, "push.stranger.example"))
    world.browser.otherwise = lambda one: answer if one.address.address.endswith("/u1") else Accepted()
    for _ in range(10):
        notification = await world.notify(*PEOPLE)
        await world.work()
        held = [each for each in await world.deliveries(notification) if each.state is DeliveryState.QUEUED]
        assert [(each.user_id, each.kind, each.reason) for each in held] == [("u1", DeviceKind.WEBPUSH, None)]
    assert await world.store.stoppages.all() == []
