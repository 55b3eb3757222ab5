"""Bodies that are not what their sender announced: nothing is stored, nothing is logged, the connection ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import cast

import pytest
import structlog

from clarion.api import protocol
from clarion.gateway.extract import MAX_BODY
from clarion.ports import PushStore
from clarion.testing import ManualClock, MemoryStore
from contract.raw_socket import RawSocket
from contract.support_gateway import Http, Meddler, data_of, push_service_over_http

CHUNK = b"%x\r\n" % 512 + b"b" * 512 + b"\r\n"


@pytest.fixture
def meddler() -> Meddler:
    return Meddler(MemoryStore(ManualClock()).push)


@pytest.fixture
async def http(meddler: Meddler, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    monkeypatch.setattr(protocol, "REQUEST_S", 0.3)
    async with push_service_over_http(cast("PushStore", meddler)) as serving:
        with structlog.testing.capture_logs() as logs:
            yield serving
        assert [line for line in logs if line["log_level"] == "error"] == []


async def answers(http: Http, endpoint: str, headers: bytes, body: bytes, *, hangs_up: bool = False) -> list[bytes]:
    """The status lines of what the server says to a POST until it ends the connection."""
    path = endpoint.removeprefix(http.service.origin).encode()
    raw = await RawSocket.connect(int(http.service.origin.rpartition(":")[2]))
    raw.writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nTTL: 60\r\nContent-Encoding: aes128gcm\r\n" % path)
    raw.writer.write(headers + b"\r\n\r\n" + body)
    if hangs_up:
        raw.writer.write_eof()
    said = await raw.is_cut()
    raw.leave()
    return [line for line in said.replace(b"}HTTP/", b"}\nHTTP/").splitlines() if line.startswith(b"HTTP/1.1 ")]


CREATED, BAD = b"HTTP/1.1 201 Created", b"HTTP/1.1 400 Bad Request"
TOO_LARGE = b"HTTP/1.1 413 Request Entity Too Large"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (b"Content-Length: 5000", b"b" * 100, [BAD]),  # the rest does not come
        (b"Transfer-Encoding: chunked", CHUNK, [BAD]),  # nor the last chunk
        (b"Content-Length: 100", b"b" * 99, [BAD]),
        (b"Content-Length: 10\r\nContent-Length: 20", b"b" * 20, [BAD]),
        (b"Content-Length: -5", b"b" * 5, [BAD]),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n", [BAD]),  # whose word counts?
        (b"Transfer-Encoding: chunked", b"zz\r\nb", [BAD]),
        (b"Content-Length: %d" % (MAX_BODY + 1), b"", [TOO_LARGE]),  # not waited for
        (b"Content-Length: 99999999999999999999999", b"", [BAD]),
        (b"Transfer-Encoding: chunked", CHUNK * 12, [TOO_LARGE]),
    ],
)
async def test_a_body_that_is_not_there_is_not_stored(
    http: Http, meddler: Meddler, headers: bytes, body: bytes, expected: list[bytes]
) -> None:
    device, endpoint = await http.service.subscribed()
    meddler.calls.clear()
    assert (await answers(http, endpoint, headers, body))[:1] == expected
    assert meddler.calls == []
    await http.service.push(endpoint, b"and others are served")
    assert data_of(await device.hear()) == b"and others are served"


async def test_who_hangs_up_in_the_middle_leaves_nothing(http: Http, meddler: Meddler) -> None:
    _, endpoint = await http.service.subscribed()
    meddler.calls.clear()
    for headers, body in ((b"Content-Length: 500", b"b" * 100), (b"Transfer-Encoding: chunked", CHUNK)):
        assert CREATED not in await answers(http, endpoint, headers, body, hangs_up=True)
    assert meddler.calls == []


async def test_what_follows_a_request_is_not_answered_in_its_place(http: Http) -> None:
    device, endpoint = await http.service.subscribed()
    said = await answers(http, endpoint, b"Content-Length: 10", b"b" * 10 + b"left over\r\n\r\n")
    assert said in ([], [CREATED], [CREATED, BAD])
    assert data_of(await device.hear()) == b"b" * 10


async def test_a_body_that_takes_its_time_holds_nobody_back(http: Http) -> None:
    device, endpoint = await http.service.subscribed()
    slow = [asyncio.create_task(answers(http, endpoint, b"Content-Length: 500", b"b")) for _ in range(20)]
    for number in range(5):
        headers = {"TTL": "60", "Content-Encoding": "aes128gcm"}
        async with http.client.post(endpoint, data=b"fast %d" % number, headers=headers) as response:
            assert response.status == 201
        assert data_of(await device.hear()) == b"fast %d" % number
    assert await asyncio.gather(*slow) == [[BAD]] * 20


async def test_headers_beyond_measure_are_not_kept(http: Http, meddler: Meddler) -> None:
    _, endpoint = await http.service.subscribed()
    meddler.calls.clear()
    headers = {"TTL": "60", "Content-Encoding": "aesgcm", "Encryption": "salt=" + "a" * 7_000}
    async with http.client.post(endpoint, data=b"b", headers=headers) as response:
        assert (response.status, json.loads(await response.read())["errno"]) == (400, 110)
    headers = {"TTL": "60", "Authorization": "vapid t=" + "a" * 7_000 + ",k=b"}
    async with http.client.post(endpoint, headers=headers) as response:
        assert (response.status, json.loads(await response.read())["errno"]) == (401, 109)
    assert meddler.calls == []
