"""The tables of the two protocols of our push service, line by line: what is said, and what comes of it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from clarion.config import Settings
from clarion.crypto.p256 import KeyPair
from clarion.gateway.refusal import Errno, Refused, answer, not_stored
from clarion.model import MAX_TTL_SECONDS
from clarion.wire import autopush
from contract.support_gateway import PushService, data_of, push_service

CHANNEL, OTHER = "955e5472-76d4-4e5b-89eb-a000be802998", "eb454064-1c99-436f-b85f-88f8fec020c4"
KEY = KeyPair.of((7).to_bytes(32, "big")).public
PADDED = base64.urlsafe_b64encode(KEY).decode()
ANY = "anything"


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with push_service() as running:
        yield running


def said(message_type: str, **more: Any) -> dict[str, Any]:
    return {"messageType": message_type, **more}


# --- a device's messages ---------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """`heard` None: nothing is answered."""

    said: dict[str, Any]
    heard: dict[str, Any] | None


HELLO = said("hello", uaid=ANY, status=200, use_webpush=True, broadcasts={})
HELLOS = [
    Line(said("hello"), HELLO),
    Line(said("hello", use_webpush=True), HELLO),
    Line(said("hello", use_webpush=True, uaid=None), HELLO),
    Line(said("hello", use_webpush=True, channelIDs=[CHANNEL, 7], more={"a": 1}), HELLO),
    Line(said("hello", use_webpush=True, broadcasts=None), HELLO),
    Line(
        said("hello", use_webpush=True, broadcasts={"a/b": "1"}),
        {**HELLO, "broadcasts": {"errors": {"a/b": "Broadcast not found"}}},
    ),
]
LINES = [
    Line(said("register", channelID=CHANNEL), said("register", channelID=CHANNEL, status=200, pushEndpoint=ANY)),
    Line(
        said("register", channelID=CHANNEL, key=None), said("register", channelID=CHANNEL, status=200, pushEndpoint=ANY)
    ),
    Line(
        said("register", channelID=CHANNEL, key=PADDED),
        said("register", channelID=CHANNEL, status=200, pushEndpoint=ANY),
    ),
    Line(
        said("register", channelID=CHANNEL, key="no key"),
        said("register", channelID=CHANNEL, status=400, pushEndpoint=""),
    ),
    *(
        Line(said("unregister", channelID=channel, **code), said("unregister", channelID=channel, status=200))
        for channel in (CHANNEL, OTHER)
        for code in ({}, {"code": 200}, {"code": 201}, {"code": 202}, {"code": None})
    ),
    *(
        Line(said("ack", updates=[{"channelID": CHANNEL, "version": "1", **code}]), None)
        for code in ({}, {"code": 100}, {"code": 101}, {"code": 102}, {"code": 999})
    ),
    Line(said("ack", updates=[]), None),
    *(Line(said("nack", version="1", code=code), None) for code in (301, 302, 303, 999)),
    Line(said("nack"), None),
    Line(said("broadcast_subscribe", broadcasts={}), None),
    Line(
        said("broadcast_subscribe", broadcasts={"a": "1"}),
        said("broadcast", broadcasts={"errors": {"a": "Broadcast not found"}}),
    ),
    Line({}, {}),
    Line(said("ping"), {}),
]


def matches(heard: Any, expected: Any) -> bool:
    if not isinstance(expected, dict):
        return expected is ANY or heard == expected
    return heard.keys() == expected.keys() and all(matches(heard[name], expected[name]) for name in expected)


@pytest.mark.parametrize("line", HELLOS, ids=str)
async def test_a_hello_is_answered(service: PushService, line: Line) -> None:
    device = await service.device()
    heard = await device.ask(line.said)
    assert matches(heard, line.heard), heard
    assert len(heard["uaid"]) == 32


@pytest.mark.parametrize("line", LINES, ids=str)
async def test_a_message_is_answered(service: PushService, line: Line) -> None:
    device = await service.device()
    await device.hello()
    await device.register(CHANNEL)
    await device.say(line.said)
    if line.heard is not None:
        heard = await device.hear()
        assert matches(heard, line.heard), heard
    assert await device.silence()


@pytest.mark.parametrize("code", [None, 100, 101, 102, 999])
async def test_whatever_its_code_an_ack_ends_the_message(service: PushService, code: int | None) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, b"once" * 10)
    notification = await device.hear()
    update = {name: notification[name] for name in ("channelID", "version")}
    await device.say(said("ack", updates=[update | ({} if code is None else {"code": code})]))
    await device.back()
    assert await device.silence()


# --- how a connection ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then", "code"),
    [
        (said("register", channelID=CHANNEL), None, 1011),
        (said("hello"), said("hello"), 1011),
        (said("hello"), said("register", channelID=CHANNEL.upper()), 1011),
        (said("hello"), said("unregister", channelID=CHANNEL.replace("-", "")), 1011),
        (said("hello"), said("ack", updates=[{"version": "1"}]), 1011),
        (said("hello"), said("goodbye"), 1011),
        (said("hello"), b"binary", 1003),
    ],
    ids=str,
)
async def test_what_ends_a_connection(
    service: PushService, first: dict[str, Any], then: dict[str, Any] | bytes | None, code: int
) -> None:
    device = await service.device()
    await device.say(first)
    if then is not None:
        await device.hear()
        await (device.socket.send_bytes(then) if isinstance(then, bytes) else device.say(then))
    assert await device.closed() == code


async def test_the_numbers_of_the_protocols() -> None:
    settings = Settings()
    assert (settings.push_ping_interval, settings.push_ping_timeout) == (300, 4)
    assert (autopush.HELLO_TIMEOUT_S, autopush.MIN_PING_INTERVAL_MS, autopush.DRAIN_BATCH) == (5, 45_000, 10)
    assert MAX_TTL_SECONDS == 30 * 86_400
    assert {code.name: code.value for code in autopush.CloseCode} == {
        "UAID_RESET": 1000,
        "GOING_AWAY": 1001,
        "PROTOCOL": 1002,
        "BINARY": 1003,
        "TOO_BIG": 1009,
        "ERROR": 1011,
    }


async def test_several_devices_are_timed_by_themselves() -> None:
    async with push_service(push_ping_interval=0.1, push_ping_timeout=0.4) as service:
        talkative, quiet, deaf = await service.device(), await service.device(), await service.device(autoping=False)
        for device in (talkative, quiet, deaf):
            await device.hello()
        endpoint = await talkative.register()
        listening = asyncio.create_task(quiet.hear(30))  # answers pings by WebSocket alone
        closing = asyncio.create_task(_closed(deaf))
        while not closing.done():
            await service.push(endpoint, b"tick" * 10)
            notification = await talkative.hear()
            assert data_of(notification) == b"tick" * 10
            await talkative.ack(notification)
            await asyncio.sleep(0.02)
        assert await closing == 1011
        assert not listening.done()
        listening.cancel()
        await asyncio.wait([listening])


async def _closed(device: Any) -> int | None:
    """The close code, after pings that nobody answers."""
    while not device.socket.closed:
        await device.socket.receive()
    return int(device.socket.close_code)


# --- a sender's refusals ---------------------------------------------------------------------------------------------

ERRNO = {102: 404, 104: 413, 105: 410, 106: 410, 109: 401, 110: 400, 111: 400, 113: 400, 114: 400, 201: 503}
HEADERS = {401: ("www-authenticate", "vapid"), 410: ("cache-control", "max-age=86400"), 503: ("retry-after", "30")}


def test_every_errno_has_its_status_and_headers() -> None:
    assert {errno.value for errno in Errno} == set(ERRNO)
    for errno in Errno:
        response = answer(not_stored(None) if errno is Errno.NOT_STORED else Refused(errno, "why"))
        assert response.status == ERRNO[errno.value]
        for status, (name, value) in HEADERS.items():
            assert response.headers.get(name) == (value if status == response.status else None)
