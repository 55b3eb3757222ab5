"""Requests that never end, over real sockets: they are refused in words, cut off, and others are served meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from clarion.api import protocol
from contract.api_world import ApiWorld, HttpServer
from contract.raw_socket import RawSocket

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
EVENT = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n%b\r\n"


@pytest.fixture
async def port(api: ApiWorld) -> AsyncIterator[int]:
    server = HttpServer(api.app)
    serving = asyncio.create_task(server.serve())
    yield await server.port()
    server.should_exit = True
    await serving


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request's time is soon over. Only for tests about that: others may come to a slow moment of the machine."""
    monkeypatch.setattr(protocol, "REQUEST_S", 0.3)


async def dribble(raw: RawSocket, text: bytes) -> None:
    """Byte by byte, as long as anybody listens."""
    for number in range(len(text)):
        if raw.writer.is_closing():
            return
        raw.writer.write(text[number : number + 1])
        await asyncio.sleep(0.002)


def detail(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    problem = msgspec.json.decode(body)
    assert problem["code"] == "invalid_request"
    return str(problem["detail"])


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", ["silent", "head", "body", "chunks", "second"])
async def test_a_request_that_does_not_come_to_its_end_is_cut_off(api: ApiWorld, port: int, name: str) -> None:
    key = api.server.headers["Authorization"].encode()
    begin, rest = {
        "silent": (b"", b""),
        "head": (b"", b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 1_000),
        "body": (EVENT % (key, b"Content-Length: 100000\r\n"), b"[" * 5_000),
        "chunks": (EVENT % (key, b"Transfer-Encoding: chunked\r\n"), b"1\r\n[\r\n" * 1_000),
        "second": (HEALTH, b"GET /healthz"),
    }[name]
    raw = await RawSocket.connect(port)
    raw.writer.write(begin)
    dribbling = asyncio.create_task(dribble(raw, rest))
    said = await raw.is_cut()
    await dribbling
    assert "must arrive within" in detail(said[said.rindex(b"HTTP/1.1 ") :])
    raw.leave()


@pytest.mark.parametrize("line", [b"X: y\r\n", b"yyyyyy"])
async def test_a_head_without_end_is_refused(port: int, line: bytes) -> None:
    raw = await RawSocket.connect(port)
    raw.writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nLong: ")
    for _ in range(protocol.MAX_HEAD // 6_000 + 1):  # more, and the connection would break before the answer is read
        raw.writer.write(line * 1_000)
        await raw.writer.drain()
    assert "at most 65536 bytes" in detail(await raw.is_cut())
    raw.leave()


@pytest.mark.usefixtures("hurried")
async def test_who_takes_a_while_between_requests_is_served(port: int) -> None:
    raw = await RawSocket.connect(port)
    for _ in range(3):
        raw.writer.write(HEALTH[:10])
        await asyncio.sleep(0.01)
        raw.writer.write(HEALTH[10:])
        assert (await raw.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(protocol.REQUEST_S * 0.8)
    raw.leave()
