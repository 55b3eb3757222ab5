"""Whose word is taken for a caller's address: over a real socket, with the headers that proxies and liars send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from clarion.api.http import Answer, Receive, Scope, Send, client_of, write
from clarion.api.listener import HttpServer
from clarion.config import Settings
from free_ports import free_port

OURS = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await write(send, Answer(200, f"{client_of(scope)} {scope['scheme']}".encode()))


@asynccontextmanager
async def serving(trusted: list[str]) -> AsyncIterator[str]:
    ready = asyncio.Event()
    settings = Settings(port=free_port(), trusted_proxies=trusted)
    server = HttpServer(app, settings, {}, ready.set)
    task = asyncio.create_task(server.serve())
    await ready.wait()
    try:
        yield settings.http_origin
    finally:
        server.should_exit = True
        await task


async def seen(url: str, *headers: tuple[str, str], calls_from: str = "127.0.0.1") -> str:
    connector = aiohttp.TCPConnector(local_addr=(calls_from, 0))
    async with aiohttp.ClientSession(connector=connector) as http, http.get(url, headers=headers) as answer:
        return await answer.text()


@pytest.mark.parametrize(
    ("told", "client"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7:4711"], "198.51.100.7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        (["203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the caller wrote the first one itself
        (["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
        (["203.0.113.9, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),  # two proxies of ours in a row
        (["203.0.113.9", "198.51.100.7, fd00::1"], "198.51.100.7"),  # as two headers
        (["10.1.2.3"], "10.1.2.3"),  # from our own network
        ([""], "127.0.0.1"),
    ],
)
async def test_the_last_hop_that_is_not_ours_is_the_caller(told: list[str], client: str) -> None:
    async with serving(OURS) as url:
        assert await seen(url, *(("X-Forwarded-For", value) for value in told)) == f"{client} http"


async def test_who_is_no_proxy_of_ours_is_not_believed() -> None:
    lies = ("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https")
    async with serving(OURS) as url:
        assert await seen(url, *lies) == "198.51.100.7 https"
        assert await seen(url, *lies, calls_from="127.0.0.2") == "127.0.0.2 http"


async def test_by_default_nobody_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own setting is none of ours
    async with serving([]) as url:
        assert await seen(url, ("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https")) == "127.0.0.1 http"
