"""The push endpoint over HTTP: any origin, any sender, and other people's software at both ends."""

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, cast
from uuid import uuid4

import aiohttp
import http_ece
import pytest
import pywebpush
from cryptography.hazmat.primitives.asymmetric import ec

from clarion.crypto import base64url
from clarion.crypto.p256 import KeyPair, load_private
from clarion.gateway.extract import MAX_BODY
from clarion.ports import HttpResponse, PushStore
from clarion.testing import ManualClock, MemoryStore
from contract.support_gateway import (
    Meddler,
    PushService,
    data_of,
    http_server,
    push_service,
    random_body,
    vapid,
)

BODY = b"b" * 60
MONTH = 30 * 86_400


@pytest.fixture
def meddler(clock: ManualClock) -> Meddler:
    return Meddler(MemoryStore(clock).push)


@pytest.fixture
async def service(meddler: Meddler, clock: ManualClock) -> AsyncIterator[PushService]:
    async with push_service(cast("PushStore", meddler), clock) as running:
        yield running


def errno(response: HttpResponse) -> tuple[int, int | None]:
    body = json.loads(response.body)
    assert set(body) == {"code", "errno", "error", "message", "more_info"}
    assert body["code"] == response.status
    assert response.headers["content-type"] == "application/json"
    assert body["message"]
    return response.status, body["errno"]


SALT, DH = "salt=XZwpw6o37R-6qoZjw6KwAw", "dh=BNoRDbb84JGm8g5Z5CFxurSqsXWJ11Itfx"
PAIR = KeyPair.generate()


class Http(NamedTuple):
    service: PushService
    client: aiohttp.ClientSession


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with (
            push_service(origin=origin, clock=ManualClock(int(time.time() * 1000))) as service,
            http_server(service.gateway.endpoint_app, listening),
            aiohttp.ClientSession() as client,
        ):
            yield Http(service, client)


async def test_over_http_it_is_the_same(http: Http) -> None:
    device, endpoint = await http.service.subscribed()
    headers = {"TTL": "60", "Content-Encoding": "aes128gcm"}
    async with http.client.post(endpoint, data=BODY, headers=headers) as response:
        assert response.status == 201
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["TTL"] == "60"
        location = response.headers["Location"]
    assert data_of(await device.hear()) == BODY
    async with http.client.delete(location) as response:
        assert (response.status, await response.read()) == (204, b"")
    async with http.client.get(endpoint) as response:
        assert await response.json() == {"unifiedpush": {"version": 1}}
    async with http.client.post(endpoint, data=BODY) as response:
        assert response.status == 400
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert (await response.json())["errno"] == 111


async def test_pages_of_any_origin_may_send(http: Http) -> None:
    _, endpoint = await http.service.subscribed()
    asked = {
        "Origin": "https://anywhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-encoding,ttl",
    }
    async with http.client.options(endpoint, headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
        allowed = response.headers["Access-Control-Allow-Methods"].split(", ")
        assert set(allowed) == {"DELETE", "GET", "POST", "PUT"}


async def test_a_body_that_is_too_large_is_not_read(http: Http) -> None:
    _, endpoint = await http.service.subscribed()
    headers = {"TTL": "60", "Content-Encoding": "aes128gcm"}

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"x" * 512

    for body in (b"x" * (MAX_BODY + 1), chunks()):
        async with http.client.post(endpoint, data=body, headers=headers) as response:
            assert (response.status, (await response.json())["errno"]) == (413, 104)


async def test_repeated_headers_are_one_list(http: Http) -> None:
    device, endpoint = await http.service.subscribed(key=PAIR.public_text)
    token = vapid(PAIR, http.service.origin, http.service.clock.now())[8:].partition(",")[0]
    headers = [
        ("TTL", "60"),
        ("Content-Encoding", "aesgcm"),
        ("Encryption", SALT),
        ("Crypto-Key", DH),
        ("Crypto-Key", f"p256ecdsa={PAIR.public_text}"),
        ("Authorization", f"WebPush {token}"),
    ]
    async with http.client.post(endpoint, data=BODY, headers=headers) as response:
        assert response.status == 201
    assert (await device.hear())["headers"]["crypto_key"] == f"{DH}, p256ecdsa={PAIR.public_text}"


@pytest.mark.parametrize("encoding", ["aes128gcm", "aesgcm"])
@pytest.mark.parametrize("size", [1, 3_993])
async def test_pywebpush_sends_and_http_ece_decrypts(http: Http, encoding: str, size: int) -> None:
    receiver, auth, text = KeyPair.generate(), os.urandom(16), os.urandom(size)
    device, endpoint = await http.service.subscribed(key=PAIR.public_text)
    response = await asyncio.to_thread(
        pywebpush.webpush,
        {"endpoint": endpoint, "keys": {"p256dh": receiver.public_text, "auth": base64url.encode(auth)}},
        data=text,
        content_encoding=encoding,
        vapid_private_key=base64url.encode(PAIR.private),
        vapid_claims={"sub": "mailto:ops@example.com"},
        ttl=60,
    )
    assert response.status_code == 201
    notification = await device.hear()
    assert _decrypt(notification, load_private(receiver.private), auth) == text


def _decrypt(notification: dict[str, Any], key: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    headers = notification["headers"]
    if headers["encoding"] == "aes128gcm":
        assert set(headers) == {"encoding"}
        return bytes(http_ece.decrypt(data_of(notification), private_key=key, auth_secret=auth))
    salt = _parameter(headers["encryption"], "salt")
    sender = _parameter(headers["crypto_key"], "dh")
    return bytes(
        http_ece.decrypt(
            data_of(notification), salt=salt, private_key=key, dh=sender, auth_secret=auth, version="aesgcm"
        )
    )


def _parameter(header: str, name: str) -> bytes:
    pairs = dict(part.strip().split("=", 1) for part in header.replace(",", ";").split(";"))
    return base64url.decode(pairs[name])


async def test_many_senders_at_once(http: Http) -> None:
    device, endpoint = await http.service.subscribed()
    bodies = {random_body(30) for _ in range(60)}
    headers = {"TTL": "60", "Content-Encoding": "aes128gcm"}

    async def send(body: bytes) -> int:
        async with http.client.post(endpoint, data=body, headers=headers) as response:
            return response.status

    assert set(await asyncio.gather(*map(send, bodies))) == {201}
    assert {data_of(await device.hear()) for _ in bodies} == bodies


async def test_only_what_is_an_endpoint_is_there(http: Http) -> None:
    async with http.client.get(f"{http.service.origin}/{uuid4()}") as response:
        assert (response.status, (await response.json())["errno"]) == (404, 102)
