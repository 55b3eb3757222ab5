"""Clarion behind nginx and Caddy, as the guide says: devices, senders and people through one address, both ways."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from itertools import count, islice, repeat
from pathlib import Path

import aiohttp
import pytest

from certificates import Authority, Pair
from clarion.api.server.sending import AUDIENCE_LIMIT
from clarion.config import Settings
from contract.support_gateway import Device, data_of, random_body
from free_ports import free_port
from processes.proxies import Proxy, blocks_of
from processes.server import Server

pytestmark = pytest.mark.process

HEADERS = {"TTL": "60", "Content-Encoding": "aes128gcm"}
STRANGER, NEIGHBOUR = "127.0.0.2", "127.0.0.3"  # callers of their own, as nginx sees them


class World:
    """A server behind a proxy, and what trusts the proxy's certificate."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.authority = Authority(folder)
        self.trust = self.authority.trust()
        pair = Pair(folder / "cert.pem", folder / "key.pem")
        self.authority.issue(pair)
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.server = Server(
            folder,
            {
                "PUBLIC_URL": self.url,
                "PUBLIC_PUSH_URL": f"wss://localhost:{self.port}/",
                "TRUSTED_PROXIES": "127.0.0.1",
            },
        )
        ports = {"8700": self.server.port, "8701": self.server.push_port}
        self.proxy = Proxy(kind, folder, self.port, pair, ports)

    def caller(self, address: str = "127.0.0.1") -> aiohttp.ClientSession:
        """Somebody who calls from that address of this machine."""
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.trust, local_addr=(address, 0)))

    async def device(self, host: str = "localhost") -> Device:
        return await Device(f"wss://{host}:{self.port}/").connect(ssl=self.trust)


@pytest.fixture(params=["nginx", "caddy"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = World(request.param, tmp_path)
    await world.server.start()
    await world.proxy.listening()
    try:
        yield world
    finally:
        await world.proxy.stop()
        await world.server.stop()
    assert world.server.complaints() == []


async def test_devices_and_senders_share_one_address(world: World) -> None:
    device = await world.device()
    await device.hello()
    assert device.socket.protocol == "push-notification"
    endpoint = await device.register()
    assert endpoint.startswith(f"{world.url}/wpush/")
    async with world.caller() as sender:
        for size in (1, 4_096):
            body = random_body(size)
            async with sender.post(endpoint, data=body, headers=HEADERS) as answer:
                assert answer.status == 201
                assert answer.headers["Location"].startswith(f"{world.url}/m/")
            notification = await device.hear()
            assert data_of(notification) == body
            await device.ack(notification)
        async with sender.get(f"{world.url}/healthz") as answer:
            assert answer.status == 200
        async with sender.get(f"{world.url}/metrics") as answer:
            assert answer.status == 404
    await device.leave()


@pytest.mark.parametrize("world", ["nginx"], indirect=True)
async def test_devices_may_have_a_name_of_their_own(world: World) -> None:
    device = await world.device("127.0.0.1")
    await device.hello()
    endpoint = await device.register()
    async with world.caller() as sender, sender.post(endpoint, headers=HEADERS) as answer:
        assert answer.status == 201
    assert (await device.hear())["messageType"] == "notification"
    async with world.caller() as sender, sender.get(f"https://127.0.0.1:{world.port}/healthz") as answer:
        assert answer.status == 404
    await device.leave()


async def test_a_large_body_arrives_whole(world: World) -> None:
    """It is refused by us, who read it, not by the proxy."""
    project = world.server.create_project("shop")
    headers = {"Authorization": f"Bearer {project.server}", "Content-Type": "application/json"}
    notification = {"to": {"users": [f"user-{number:07}" for number in range(900_000)]}, "title": 7}
    async with (
        world.caller() as sender,
        sender.post(f"{world.url}/v1/notifications", json=notification, headers=headers) as answer,
    ):
        assert answer.status == 400
        assert "title" in await answer.text()


async def test_each_caller_is_counted_by_its_own_address(world: World) -> None:
    async with world.caller(STRANGER) as stranger, world.caller(NEIGHBOUR) as neighbour:
        assert await _is_braked(stranger, world)
        told = await asyncio.gather(*(_status(neighbour, world, {}) for _ in range(200)))
        assert set(told) == {HTTPStatus.BAD_REQUEST}, "two callers share a count"
        lies = ({"X-Forwarded-For": f"198.51.{number // 256}.{number % 256}"} for number in count())
        assert await _is_braked(stranger, world, lies), "a caller chose its own address"


async def _is_braked(
    caller: aiohttp.ClientSession, world: World, headers: Iterator[dict[str, str]] | None = None
) -> bool:
    """Call until it is too much, which it never is to somebody who calls from a new address each time."""
    for _ in range(30):
        calls = (_status(caller, world, told) for told in islice(headers or repeat({}), 100))
        if HTTPStatus.TOO_MANY_REQUESTS in await asyncio.gather(*calls):
            return True
    return False


async def _status(caller: aiohttp.ClientSession, world: World, headers: dict[str, str]) -> int:
    async with caller.post(f"{world.url}/v1/receipts", json={}, headers=headers) as answer:
        return answer.status


def test_the_guide_knows_our_limits() -> None:
    nginx = blocks_of("nginx")
    settings = Settings()
    longest = settings.push_ping_interval + settings.push_ping_timeout
    assert all(int(seconds) > longest for seconds in re.findall(r"proxy_read_timeout (\d+)s;", nginx))
    [mebibytes] = re.findall(r"client_max_body_size (\d+)m;", nginx)
    assert int(mebibytes) * 1024 * 1024 == AUDIENCE_LIMIT
