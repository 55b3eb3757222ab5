"""Our push service as a device sees it: the autopush protocol over real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import uvloop

from clarion.crypto.p256 import KeyPair
from clarion.gateway import websocket
from clarion.gateway.metrics import DELIVERED_DIRECT, DELIVERED_DRAINED, MISSED
from contract.support_gateway import (
    Device,
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


# --- hello -----------------------------------------------------------------------------------------------------------


async def test_hello_gives_a_name_and_writes_no_row(service: PushService) -> None:
    device = await service.device()
    answer = await device.hello()
    assert answer == {
        "messageType": "hello",
        "uaid": answer["uaid"],
        "status": 200,
        "use_webpush": True,
        "broadcasts": {},
    }
    assert len(answer["uaid"]) == 32
    assert await service.store.known_devices([answer["uaid"]]) == set()
    assert service.gateway.connected(answer["uaid"])


async def test_the_subprotocol_that_firefox_offers_is_answered(service: PushService) -> None:
    device = await service.device(protocols=("push-notification",))
    assert device.socket.protocol == "push-notification"
    other = await service.device(protocols=())
    assert other.socket.protocol is None


async def test_firefoxs_own_connection_header_is_an_upgrade(service: PushService) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.gateway.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: push-notification\r\n\r\n"
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 101")
    assert b"Sec-WebSocket-Protocol: push-notification" in head
    writer.close()


@pytest.mark.parametrize("uaid", ["f" * 32, "", "short", "A" * 32, 7, None, {"a": 1}])
async def test_a_uaid_that_we_do_not_know_gets_a_new_one(service: PushService, uaid: Any) -> None:
    device = await service.device()
    answer = await device.hello(uaid=uaid)
    assert answer["status"] == 200
    assert answer["uaid"] != uaid


async def test_a_known_uaid_stays(service: PushService) -> None:
    device, _ = await service.subscribed()
    before = device.uaid
    await device.back()
    assert device.uaid == before


async def test_broadcasts_are_not_found(service: PushService) -> None:
    device = await service.device()
    answer = await device.hello(broadcasts={"kinto:1": "v1"})
    assert answer["broadcasts"] == {"errors": {"kinto:1": "Broadcast not found"}}
    answer = await device.ask({"messageType": "broadcast_subscribe", "broadcasts": {"kinto:2": "v1"}})
    assert answer == {"messageType": "broadcast", "broadcasts": {"errors": {"kinto:2": "Broadcast not found"}}}


async def test_a_second_connection_of_a_device_ends_the_first(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    second = await service.device()
    second.uaid = device.uaid
    await second.hello()
    assert await device.closed() == 1011
    await service.push(endpoint, b"x" * 30)
    assert data_of(await second.hear()) == b"x" * 30


async def test_a_full_node_sends_devices_away() -> None:
    async with push_service(capacity=1) as service:
        await (await service.device()).hello()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await service.device()
        assert refused.value.status == 503
        assert refused.value.headers is not None
        assert refused.value.headers["Retry-After"] == "60"


async def test_other_paths_are_not_found(service: PushService) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Device(service.url + "elsewhere").connect()
    assert refused.value.status == 404


# --- what ends a connection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        {"messageType": "register", "channelID": str(uuid4())},
        {"messageType": "ack", "updates": []},
        {"messageType": "ping"},
        {},
    ],
)
async def test_the_first_message_must_be_a_hello(service: PushService, first: Any) -> None:
    device = await service.device()
    await device.say(first)
    assert await device.closed() == 1011


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null", '{"messageType":"order"}', '{"uaid":"x"}', "[" * 5000])
async def test_what_is_not_a_message_ends_the_connection(service: PushService, text: str) -> None:
    device = await service.device()
    await device.hello()
    await device.socket.send_str(text)
    assert await device.closed() == 1011


async def test_hello_is_said_once(service: PushService) -> None:
    device = await service.device()
    await device.hello()
    await device.say({"messageType": "hello", "use_webpush": True})
    assert await device.closed() == 1011


async def test_binary_frames_are_not_taken(service: PushService) -> None:
    device = await service.device()
    await device.hello()
    await device.socket.send_bytes(b'{"messageType":"ping"}')
    assert await device.closed() == 1003


@pytest.mark.parametrize("channel_id", ["", "c1", str(uuid4()).upper(), uuid4().hex, str(uuid4()) + "\n"])
async def test_a_malformed_channel_id_is_not_answered(service: PushService, channel_id: str) -> None:
    device = await service.device()
    await device.hello()
    await device.say({"messageType": "register", "channelID": channel_id})
    assert await device.closed() == 1011


async def test_pings_are_answered_but_not_floods(service: PushService) -> None:
    device = await service.device()
    await device.hello()
    assert await device.ask({}) == {}
    service.clock.advance(seconds=45)
    assert await device.ask({"messageType": "ping"}) == {}
    service.clock.advance(seconds=44)
    await device.say({})
    assert await device.closed() == 1011


async def test_no_hello_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HELLO_TIMEOUT_S", 0.05)
    async with push_service(push_ping_timeout=0.1) as service:
        device = await service.device()
        assert await device.closed() == 1011


async def test_a_device_that_does_not_answer_pings_is_dropped() -> None:
    async with push_service(push_ping_interval=0.1, push_ping_timeout=0.1) as service:
        live, dead = await service.device(), await service.device(autoping=False)
        await live.hello()
        await dead.hello()
        listening = asyncio.create_task(live.hear())
        frames = [await dead.socket.receive(), await dead.socket.receive()]
        assert [frame.type for frame in frames] == [aiohttp.WSMsgType.PING, aiohttp.WSMsgType.CLOSE]
        assert dead.socket.close_code == 1011
        assert live.uaid
        assert service.gateway.connected(live.uaid)
        listening.cancel()


class RawSocket:
    """Frames as bytes, for what no client library would send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, service: PushService) -> "RawSocket":
        reader, writer = await asyncio.open_connection("127.0.0.1", service.gateway.port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        return cls(reader, writer)

    def send(self, opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0, mask: bool = True) -> None:
        size = len(payload)
        length = (
            bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65536 else b"\x7f" + size.to_bytes(8)
        )
        first = (0x80 if fin else 0) | reserved | opcode
        head = bytes([first, length[0] | (0x80 if mask else 0)]) + length[1:]
        self.writer.write(head + (b"\0\0\0\0" if mask else b"") + payload)

    async def receive(self) -> tuple[int, bytes]:
        head = await asyncio.wait_for(self.reader.readexactly(2), 5)
        size = head[1]
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2))
        return head[0] & 15, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        opcode, payload = await self.receive()
        assert opcode == 8, (opcode, payload)
        return int.from_bytes(payload[:2])


HELLO = b'{"messageType":"hello","use_webpush":true}'


async def test_a_message_in_fragments_is_put_together(service: PushService) -> None:
    raw = await RawSocket.open(service)
    raw.send(1, HELLO[:5], fin=False)
    raw.send(9, b"are you there")  # control frames may come between
    raw.send(0, HELLO[5:20], fin=False)
    raw.send(0, HELLO[20:])
    assert await raw.receive() == (10, b"are you there")
    opcode, payload = await raw.receive()
    assert (opcode, json.loads(payload)["status"]) == (1, 200)
    raw.writer.close()


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(0, HELLO, {})], 1002),  # continues nothing
        ([(1, HELLO[:5], {"fin": False}), (1, HELLO, {})], 1002),  # begins inside another
        ([(1, HELLO, {"reserved": 0x40})], 1002),  # compressed, without having agreed to
        ([(1, HELLO, {"mask": False})], 1002),
        ([(3, HELLO, {})], 1002),  # no such opcode
        ([(1, b"x" * 70_000, {})], 1009),
        ([(1, b"x" * 40_000, {"fin": False}), (0, b"x" * 40_000, {})], 1009),
        ([(1, b"\xff\xfe", {})], 1011),
        ([(2, HELLO, {})], 1003),
    ],
)
async def test_broken_frames_end_the_connection(
    service: PushService, frames: list[tuple[int, bytes, dict[str, Any]]], code: int
) -> None:
    raw = await RawSocket.open(service)
    for opcode, payload, options in frames:
        raw.send(opcode, payload, **options)
    assert await raw.close_code() == code
    raw.writer.close()


async def test_a_device_that_closes_is_answered_and_forgotten(service: PushService) -> None:
    device, _ = await service.subscribed()
    uaid = device.uaid
    assert uaid
    await device.leave()
    assert device.socket.close_code == 1000
    await until(lambda: not service.gateway.connected(uaid))


async def test_a_server_that_stops_says_so() -> None:
    async with push_service() as service:
        device, _ = await service.subscribed()
        closing = asyncio.create_task(service.gateway.close())
        assert await device.closed() == 1001
        await closing
        with pytest.raises(aiohttp.ClientError):
            await service.device()


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
            await test_a_second_connection_of_a_device_ends_the_first(service)
            await test_binary_frames_are_not_taken(service)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
