"""Our push service as a device sees it: the autopush protocol over real sockets."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from clarion.gateway import websocket
from clarion.gateway.session import Session
from contract.raw_socket import RawSocket
from contract.support_gateway import (
    Device,
    PushService,
    data_of,
    push_service,
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


CHANNEL = "955e5472-76d4-4e5b-89eb-a000be802998"


@pytest.mark.parametrize("channel_id", ["", "c1", CHANNEL.upper(), CHANNEL.replace("-", ""), f"{CHANNEL}\n"])
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
    async with push_service(push_ping_interval=0.1, push_ping_timeout=0.4) as service:
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


HELLO = b'{"messageType":"hello","use_webpush":true}'


async def test_a_message_in_fragments_is_put_together(service: PushService) -> None:
    raw = await RawSocket.open(service.gateway.port)
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
    raw = await RawSocket.open(service.gateway.port)
    for opcode, payload, options in frames:
        raw.send(opcode, payload, **options)
    assert await raw.close_code() == code
    raw.writer.close()


async def test_a_device_that_does_not_answer_a_close_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_GRACE_S", 0.05)
    async with push_service(push_ping_timeout=0.1) as service:
        raw = await RawSocket.open(service.gateway.port)
        raw.send(2, b"binary")
        assert await raw.close_code() == 1003
        raw.send(1, HELLO)  # too late
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await raw.receive()
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


@pytest.mark.parametrize("farewell", ["close", "cut", "bad message", "no hello"])
async def test_a_connection_that_is_gone_leaves_nothing_behind(service: PushService, farewell: str) -> None:
    gc.collect()
    gc.disable()
    try:
        device = await service.device()
        if farewell != "no hello":
            await device.hello()
            await device.register()
        if farewell == "bad message":
            await device.socket.send_str("bad")
            await device.closed()
        if farewell == "cut":
            assert device.socket._response.connection is not None
            assert device.socket._response.connection.transport is not None
            device.socket._response.connection.transport.abort()
        await device.leave()
        await until(lambda: not service.gateway.connected(device.uaid or "00" * 16))
        await until(lambda: not any(isinstance(each, Session) for each in gc.get_objects()))
    finally:
        gc.enable()
