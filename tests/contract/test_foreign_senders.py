"""Senders that are not ours reach a device that decrypts with what is not ours either, and hear what went wrong."""

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

import http_ece
import pytest

from clarion.crypto import base64url
from clarion.crypto.p256 import KeyPair, load_private
from clarion.model import MAX_TTL_SECONDS
from contract.foreign_senders import Message, PyWebPush, Sender, node_web_push
from contract.support_gateway import Device, Http, data_of, push_service_over_http

PAIR, OTHER = KeyPair.generate(), KeyPair.generate()
FOUR_WEEKS = 2_419_200
# What the libraries send when nobody says how long a message is to be kept.
TTL_UNSAID = {"pywebpush": "0", "web-push": str(FOUR_WEEKS)}


@pytest.fixture(scope="session")
def senders() -> dict[str, Sender]:
    return {}


@pytest.fixture(params=sorted(TTL_UNSAID))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sender(name: str, senders: dict[str, Sender]) -> Sender:
    if name not in senders:
        senders[name] = PyWebPush() if name == "pywebpush" else node_web_push()
    return senders[name]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with push_service_over_http() as serving:
        yield serving


class Subscriber(NamedTuple):
    """A device, and the keys that its browser keeps."""

    device: Device
    endpoint: str
    pair: KeyPair
    auth: bytes

    @classmethod
    async def at(cls, http: Http) -> "Subscriber":
        device, endpoint = await http.service.subscribed(key=PAIR.public_text)
        return cls(device, endpoint, KeyPair.generate(), os.urandom(16))

    @property
    def subscription(self) -> dict[str, Any]:
        """As `PushSubscription.toJSON` gives it."""
        keys = {"p256dh": self.pair.public_text, "auth": base64url.encode(self.auth)}
        return {"endpoint": self.endpoint, "keys": keys}

    async def text(self) -> bytes:
        """The next message, decrypted and acknowledged."""
        notification = await self.device.hear()
        await self.device.ack(notification)
        data, headers = data_of(notification), notification["headers"]
        private = load_private(self.pair.private)
        if headers["encoding"] == "aes128gcm":
            assert set(headers) == {"encoding"}
            return bytes(http_ece.decrypt(data, private_key=private, auth_secret=self.auth))
        salt, dh = _parameter(headers["encryption"], "salt"), _parameter(headers["crypto_key"], "dh")
        keys = {"salt": salt, "dh": dh, "private_key": private, "auth_secret": self.auth}
        return bytes(http_ece.decrypt(data, version="aesgcm", **keys))


def _parameter(header: str, name: str) -> bytes:
    pairs = dict(part.strip().split("=", 1) for part in header.replace(",", ";").split(";"))
    return base64url.decode(pairs[name])


@pytest.mark.parametrize("encoding", ["aes128gcm", "aesgcm"])
@pytest.mark.parametrize("text", [b"x", "Grüße, 世界".encode(), bytes(range(256)) * 15 + bytes(153)], ids=len)
async def test_the_device_reads_what_was_sent(http: Http, sender: Sender, encoding: str, text: bytes) -> None:
    subscriber = await Subscriber.at(http)
    told = await sender.send(subscriber.subscription, Message(text, encoding), PAIR)
    assert (told.status, told.error) == (201, False)
    headers = _lower(told.headers)
    assert headers["ttl"] == "60"
    assert headers["location"].startswith(f"{http.service.origin}/m/")
    assert await subscriber.text() == text


async def test_a_ttl_is_kept_as_the_library_says_it(http: Http, sender: Sender, name: str) -> None:
    subscriber = await Subscriber.at(http)
    for ttl, kept in ((None, TTL_UNSAID[name]), (0, "0"), (7, "7"), (10**9, str(MAX_TTL_SECONDS))):
        told = await sender.send(subscriber.subscription, Message(b"%d" % (ttl or 0), ttl=ttl), PAIR)
        assert (told.status, _lower(told.headers)["ttl"]) == (201, kept)
        assert await subscriber.text() == b"%d" % (ttl or 0)


async def test_for_now_or_never_and_topic_while_the_device_is_away(http: Http, sender: Sender) -> None:
    subscriber = await Subscriber.at(http)
    await subscriber.device.leave()
    for text, ttl, topic in ((b"plain", 60, None), (b"old", 60, "score"), (b"never", 0, None), (b"new", 60, "score")):
        told = await sender.send(subscriber.subscription, Message(text, ttl=ttl, topic=topic), PAIR)
        assert told.status == 201
    await subscriber.device.back()
    assert [await subscriber.text(), await subscriber.text()] == [b"new", b"plain"]
    assert await subscriber.device.silence()


async def test_a_device_that_saves_its_battery_gets_the_urgent_first(http: Http, sender: Sender) -> None:
    subscriber = await Subscriber.at(http)
    asked = await subscriber.device.ask({"messageType": "urgency", "min": "high"})
    assert asked == {"messageType": "urgency", "status": 200}
    for urgency in ("very-low", None, "high"):
        await sender.send(subscriber.subscription, Message(str(urgency).encode(), urgency=urgency), PAIR)
    assert await subscriber.text() == b"high"
    assert await subscriber.device.silence()
    await subscriber.device.say({"messageType": "urgency", "min": "very-low"})
    assert (await subscriber.device.hear())["messageType"] == "urgency"
    assert [await subscriber.text(), await subscriber.text()] == [b"very-low", b"None"]


@pytest.mark.parametrize(
    ("what", "status", "errno"),
    [("forged", 404, 102), ("too large", 413, 104), ("unsubscribed", 410, 106), ("another key", 401, 109)],
)
async def test_the_library_says_what_went_wrong(http: Http, sender: Sender, what: str, status: int, errno: int) -> None:
    subscriber = await Subscriber.at(http)
    subscription = subscriber.subscription
    if what == "forged":
        subscription["endpoint"] = f"{http.service.origin}/wpush/v2/{'A' * 107}"
    if what == "unsubscribed":
        [channel_id] = subscriber.device.endpoints
        await subscriber.device.ask({"messageType": "unregister", "channelID": channel_id})
    text = bytes(6_000) if what == "too large" else b"text"
    told = await sender.send(subscription, Message(text), OTHER if what == "another key" else PAIR)
    assert (told.status, told.errno, told.error) == (status, errno, True)
    if status == 410:
        assert _lower(told.headers)["cache-control"] == "max-age=86400"
    assert await subscriber.device.ask({"messageType": "unregister", "channelID": str(uuid4())})


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
