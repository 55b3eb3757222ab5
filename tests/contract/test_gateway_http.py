"""The push endpoint over HTTP: any origin, any sender."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from clarion.crypto.p256 import KeyPair
from clarion.gateway.extract import MAX_BODY
from contract.support_gateway import Http, data_of, push_service_over_http, random_body, vapid

BODY = b"b" * 60
SALT, DH = "salt=XZwpw6o37R-6qoZjw6KwAw", "dh=BNoRDbb84JGm8g5Z5CFxurSqsXWJ11Itfx"
PAIR = KeyPair.generate()


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with push_service_over_http() as serving:
        yield serving


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
