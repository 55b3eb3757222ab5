"""Our push service as a device sees it: its channels and its messages, over real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
import uvloop

from clarion.crypto.p256 import KeyPair
from clarion.gateway.metrics import DELIVERED_DIRECT, DELIVERED_DRAINED, MISSED
from contract.support_gateway import (
    PushService,
    data_of,
    hear_all,
    push_service,
    random_body,
)


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with push_service() as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.005)


# --- channels --------------------------------------------------------------------------------------------------------


async def test_the_same_channel_keeps_its_address(service: PushService) -> None:
    device = await service.device()
    await device.hello()
    channel_id = str(uuid4())
    first = await device.register(channel_id)
    assert first.startswith(f"{service.origin}/wpush/v1/")
    assert await device.register(channel_id, key=None) == first
    assert await device.register() != first


async def test_firefox_pads_the_key(service: PushService) -> None:
    device = await service.device()
    await device.hello()
    channel_id, key = str(uuid4()), KeyPair.generate().public
    padded = base64.urlsafe_b64encode(key).decode()
    assert padded.endswith("=")
    endpoint = await device.register(channel_id, key=padded)
    assert endpoint.startswith(f"{service.origin}/wpush/v2/")
    assert await device.register(channel_id, key=padded.rstrip("=")) == endpoint


@pytest.mark.parametrize("key", ["", "af1883%&!@#*(", "AAAA", base64.urlsafe_b64encode(b"\4" + b"\1" * 64).decode()])
async def test_a_bad_key_is_answered_400(service: PushService, key: str) -> None:
    device = await service.device()
    await device.hello()
    channel_id = str(uuid4())
    answer = await device.ask({"messageType": "register", "channelID": channel_id, "key": key})
    assert (answer["messageType"], answer["channelID"], answer["status"]) == ("register", channel_id, 400)


async def test_after_unregister_the_address_is_gone(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    other = await device.register()
    [channel_id, _] = device.endpoints
    await service.push(endpoint, random_body())
    await device.hear()
    answer = await device.ask({"messageType": "unregister", "channelID": channel_id, "code": 200})
    assert answer == {"messageType": "unregister", "channelID": channel_id, "status": 200}
    response = await service.post(endpoint, random_body())
    assert (response.status, json.loads(response.body)["errno"]) == (410, 106)
    assert response.headers["cache-control"] == "max-age=86400"
    await service.push(other)


# --- messages --------------------------------------------------------------------------------------------------------


async def test_a_message_reaches_a_connected_device(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    body = random_body()
    response = await service.push(endpoint, body)
    notification = await device.hear()
    [channel_id] = device.endpoints
    assert notification == {
        "messageType": "notification",
        "channelID": channel_id,
        "version": notification["version"],
        "data": base64.urlsafe_b64encode(body).decode().rstrip("="),
        "headers": {"encoding": "aes128gcm"},
    }
    assert response.headers["ttl"] == "60"
    await device.ack(notification)
    await device.back()
    assert await device.silence()


async def test_a_message_waits_for_a_device_that_is_away(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await device.leave()
    bodies = [random_body() for _ in range(3)]
    for body in bodies:
        await service.push(endpoint, body)
    await device.back()
    notifications = await hear_all(device, 3)
    assert [data_of(each) for each in notifications] == bodies
    assert len({each["version"] for each in notifications}) == 3


async def test_what_is_not_acknowledged_comes_again_and_the_rest_does_not(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    for body in (b"a" * 30, b"b" * 30):
        await service.push(endpoint, body)
    first, second = await hear_all(device, 2)
    await device.ack(first)
    await device.back()
    again = await device.hear()
    assert again == second
    assert await device.silence()
    await device.ack(again, code=101)
    await device.back()
    assert await device.silence()


async def test_an_empty_message_has_no_data_and_no_headers(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, Content_Encoding="aesgcm", Encryption="salt=abc")
    notification = await device.hear()
    assert set(notification) == {"messageType", "channelID", "version"}


async def test_a_topic_replaces_what_waits_and_goes_first(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, b"old" * 20, Topic="Inbox")
    replaced = await device.hear()
    await device.leave()
    await service.push(endpoint, b"plain" * 20)
    await service.push(endpoint, b"new" * 20, Topic="Inbox")
    await device.back()
    topical, plain = await hear_all(device, 2)
    assert (data_of(topical), data_of(plain)) == (b"new" * 20, b"plain" * 20)
    assert topical["version"] != replaced["version"]
    assert await device.silence()


async def test_without_ttl_a_message_is_for_now_or_never(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    response = await service.push(endpoint, b"now" * 20, ttl=0)
    assert response.headers["ttl"] == "0"
    first = await device.hear()
    assert data_of(first) == b"now" * 20
    await service.push(endpoint, b"too" * 20, ttl=0)
    assert (await device.hear())["version"] != first["version"]
    await device.ack(first)
    uaid = device.uaid
    assert uaid
    await device.leave()
    await until(lambda: not service.gateway.connected(uaid))
    response = await service.push(endpoint, b"never" * 20, ttl=0)
    assert response.headers["location"]
    await device.back()
    assert await device.silence()


async def test_what_has_expired_is_not_delivered(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await device.leave()
    await service.push(endpoint, b"short" * 20, ttl=10)
    await service.push(endpoint, b"long" * 20, ttl=100)
    service.clock.advance(seconds=10)
    await device.back()
    assert data_of(await device.hear()) == b"long" * 20
    assert await device.silence()


async def test_a_body_that_was_tampered_with_is_for_the_device_to_judge(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, b"\0")
    assert data_of(await device.hear()) == b"\0"


async def test_nacks_are_taken(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, random_body())
    notification = await device.hear()
    await device.ack(notification)
    await device.say({"messageType": "nack", "version": notification["version"], "code": 302})
    assert await device.silence()


@pytest.mark.parametrize("version", ["", "-1", "9" * 18, "9" * 40, "²", "abc", "0"])
async def test_acks_of_what_was_never_sent_do_nothing(service: PushService, version: str) -> None:
    device, endpoint = await service.subscribed()
    await device.ack({"channelID": str(uuid4()), "version": version})
    await service.push(endpoint, b"y" * 30)
    assert data_of(await device.hear()) == b"y" * 30


async def test_no_device_can_acknowledge_for_another(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    thief, _ = await service.subscribed()
    await service.push(endpoint, b"mine" * 20)
    notification = await device.hear()
    await thief.ack(notification)
    assert await thief.silence()
    await device.back()
    assert await device.hear() == notification


# --- draining --------------------------------------------------------------------------------------------------------


async def test_stored_messages_come_ten_at_a_time(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await device.leave()
    for number in range(25):
        await service.push(endpoint, b"%02d" % number * 10)
    await device.back()
    first = await hear_all(device, 10)
    await device.ack(*first[:9])
    assert await device.silence()
    await device.ack(first[9])
    second = await hear_all(device, 10)
    for each in second:
        await device.ack(each)
    third = await hear_all(device, 5)
    numbers = [int(data_of(each)[:2]) for each in (*first, *second, *third)]
    assert numbers == list(range(25))


async def test_new_messages_wait_behind_a_drain_and_come_once(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await device.leave()
    for number in range(12):
        await service.push(endpoint, b"%02d" % number * 10)
    await device.back()
    heard = list(await hear_all(device, 10))
    for number in range(12, 15):
        await service.push(endpoint, b"%02d" % number * 10)
    assert await device.silence()
    await device.ack(*heard)
    heard += await hear_all(device, 5)
    await device.ack(*heard[10:])
    assert await device.silence()
    await service.push(endpoint, b"15" * 10)
    heard.append(await device.hear())
    assert [int(data_of(each)[:2]) for each in heard] == list(range(16))


async def test_a_message_while_the_device_connects_comes_once(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    for number in range(30):
        await device.leave()
        await device.connect()
        body = b"%02d" % number * 10
        _, response = await asyncio.gather(
            device.say({"messageType": "hello", "uaid": device.uaid}), service.push(endpoint, body)
        )
        assert response.status == 201
        assert (await device.hear())["uaid"] == device.uaid
        notification = await device.hear()
        assert data_of(notification) == body
        await device.ack(notification)
        assert await device.silence()


@pytest.mark.parametrize("limit", [1, 10, 15])
async def test_too_many_waiting_messages_reset_the_device(limit: int) -> None:
    async with push_service(push_message_limit=limit) as service:
        device, endpoint = await service.subscribed()
        uaid = device.uaid
        await device.leave()
        for _ in range(limit + 1):
            await service.push(endpoint, random_body())
        await device.back()
        assert device.uaid == uaid
        for _ in range(limit):
            await device.ack(await device.hear())
        assert await device.closed() == 1000
        response = await service.post(endpoint)
        assert (response.status, json.loads(response.body)["errno"]) == (410, 105)
        await device.back()
        assert device.uaid != uaid


async def test_as_many_as_the_limit_are_no_reason_to_reset() -> None:
    async with push_service(push_message_limit=12) as service:
        device, endpoint = await service.subscribed()
        uaid = device.uaid
        await device.leave()
        for _ in range(12):
            await service.push(endpoint, random_body())
        await device.back()
        for _ in range(12):
            await device.ack(await device.hear())
        await device.back()
        assert await device.silence()
        assert device.uaid == uaid


async def test_an_ack_before_the_connection_ends_counts(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    for _ in range(20):
        await service.push(endpoint, random_body())
        await device.ack(await device.hear())
        await device.back()
        assert await device.silence()


async def test_a_device_that_reads_too_slowly_gets_everything_once_in_order(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    uaid = device.uaid
    bodies = [b"%04d" % number * 1_200 for number in range(400)]
    before = DELIVERED_DIRECT._value.get() + DELIVERED_DRAINED._value.get()
    for body in bodies:
        await service.push(endpoint, body)
    assert DELIVERED_DIRECT._value.get() + DELIVERED_DRAINED._value.get() - before <= 110
    heard: list[bytes] = []
    while len(heard) < len(bodies):
        notification = await device.hear()
        heard.append(data_of(notification))
        await device.ack(notification)
    assert heard == bodies
    assert device.uaid == uaid
    assert await device.silence()


async def test_a_device_that_does_not_read_fills_no_memory(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    missed = MISSED._value.get()
    sent = 0
    while MISSED._value.get() == missed:
        sent += 1
        assert sent < 5_000, "25 MB were buffered"
        await service.push(endpoint, b"%05d" % sent * 1_000, ttl=0)
    await service.push(endpoint, b"at last" * 20)
    heard = await hear_all(device, sent)
    assert [int(data_of(each)[:5]) for each in heard[:-1]] == list(range(1, sent))
    assert data_of(heard[-1]) == b"at last" * 20
    assert await device.silence()


# --- on the loop of production ---------------------------------------------------------------------------------------


def test_the_same_on_uvloop() -> None:
    async def story() -> None:
        async with push_service() as service:
            await test_stored_messages_come_ten_at_a_time(service)
            await test_new_messages_wait_behind_a_drain_and_come_once(service)
            await test_a_device_that_does_not_read_fills_no_memory(service)
            await test_a_device_that_reads_too_slowly_gets_everything_once_in_order(service)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
