"""The API behind its real server: what only bytes on a socket can show."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from contract.api_world import ApiWorld, HttpServer


@pytest.fixture
async def port(api: ApiWorld) -> AsyncIterator[int]:
    server = HttpServer(api.app)
    serving = asyncio.create_task(server.serve())
    yield await server.port()
    server.should_exit = True
    await serving


async def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to some bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    told = [line, b"Host: push.example", b"Connection: close", *headers]
    return b"\r\n".join(told) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "garbage",
    [
        b"NOPE\r\n\r\n",
        b"GET /v1/users/\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"FOO /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_gets_a_problem_document(port: int, garbage: bytes) -> None:
    head, body = await ask(port, garbage)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert msgspec.json.decode(body)["code"] == "invalid_request"


async def test_bodies_come_whole_in_chunks_or_not_at_all(api: ApiWorld, port: int) -> None:
    key = b"Authorization: " + api.server.headers["Authorization"].encode()
    event = b'{"user_id":"u1","name":"seen"}'
    chunks = b"5\r\n" + event[:5] + b"\r\n%x\r\n" % (len(event) - 5) + event[5:] + b"\r\n0\r\n\r\n"
    length = b"Content-Length: %d" % len(event)
    for told in (
        request(b"POST /v1/events HTTP/1.1", key, length, body=event),
        request(b"POST /v1/events HTTP/1.1", key, b"Transfer-Encoding: chunked", body=chunks),
    ):
        head, body = await ask(port, told)
        assert head.startswith(b"HTTP/1.1 202 ")
        assert msgspec.json.decode(body)["accepted"] == 1
    huge = request(b"POST /v1/events HTTP/1.1", key, b"Content-Length: 99999999")
    assert (await ask(port, huge))[0].startswith(b"HTTP/1.1 413 ")


async def test_head_and_options_have_no_body(port: int) -> None:
    head, body = await ask(port, request(b"HEAD /healthz HTTP/1.1"))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b""
    head, body = await ask(port, request(b"OPTIONS /v1/users/u1 HTTP/1.1"))
    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"allow: DELETE, GET, HEAD, PUT, OPTIONS" in head
    assert body == b""


async def test_calls_follow_each_other_on_one_connection(api: ApiWorld, port: int) -> None:
    key = b"Authorization: " + api.server.headers["Authorization"].encode()
    first = request(b"PUT /v1/users/a%2Fb HTTP/1.1", key, b"Content-Length: 2", body=b"{}")
    told = first.replace(b"Connection: close\r\n", b"") + request(b"GET /v1/users/a%2Fb HTTP/1.1", key)
    head, rest = await ask(port, told)
    assert head.startswith(b"HTTP/1.1 201 ")
    assert rest.count(b'"user_id":"a/b"') == 2
