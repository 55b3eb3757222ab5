"""A Chromium between processes: one holds its connection, another one sends, and the first is killed at any step."""

import random
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
import pytest

from clarion.crypto.webpush import Receiver
from contract.support_gateway import PATIENCE_S, PushService
from contract.support_gcm import DATA, PING, PING_ACK, Browser, Hung
from free_ports import free_port
from postgres_server import PostgresServer
from processes.ledger import Api
from processes.server import Keys, Server
from processes.world import Tell, seed

pytestmark = [pytest.mark.process, pytest.mark.postgres]

ROUNDS = 8
MESSAGES = 30


class GatewayServer(Server):
    """Holds devices, and does nothing else."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.gcm_port = free_port()
        more = {"GCM": "on", "GCM_PORT": str(self.gcm_port), "RATE_LIMITS": "off"}
        super().__init__(folder, {**settings, **more}, role="gateway")


@dataclass
class Device(Browser):
    """A Chromium whose server is another process. It names a message at each login until its ack is confirmed."""

    server: GatewayServer | None = None
    kept: dict[str, int] = field(default_factory=dict)  # persistent id: our frame that acknowledges it

    @property
    def port(self) -> int:
        assert self.server
        return self.server.gcm_port

    async def hear(self, wait_s: float = PATIENCE_S) -> tuple[int, Any]:
        tag, message = await super().hear(wait_s)
        self.kept = {id: frame for id, frame in self.kept.items() if frame > message.last_stream_id_received}
        return tag, message

    async def return_with_acks(self) -> None:
        """Connect again; the login is what acknowledges now, and it is the first frame."""
        self.kept = dict.fromkeys(self.kept, 1)
        await self.back(received=tuple(self.kept))

    async def take(self, message: Any) -> None:
        """Acknowledge a message."""
        self.kept[message.persistent_id] = self.said + 1
        await self.ack()

    async def call(
        self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, bytes]:
        async with aiohttp.ClientSession() as http:
            assert self.server
            # Without a type aiohttp would name one.
            sent = {"Content-Type": "application/octet-stream"} | dict(headers or {})
            async with http.request(method, self.server.url + path, data=body, headers=sent) as answer:
                return answer.status, await answer.read()


@dataclass
class World:
    holding: GatewayServer
    sending: Server
    keys: Keys
    device: Device
    receiver: Receiver

    async def notify(self, *titles: str) -> None:
        async with Api(self.sending.url, self.keys.server) as api:
            for title in titles:
                await api.call("POST", "/v1/notifications", {"to": {"users": ["ann"]}, "title": title})

    def title(self, message: Any) -> str:
        """Of a notification, as the service worker would read it."""
        payload = msgspec.json.decode(self.receiver.decrypt(message.raw_data))
        return str(payload["title"])


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


@pytest.fixture
async def world(tmp_path: Path, empty_database: str) -> AsyncIterator[World]:
    """Ann's Chromium, connected to one process; the project's API and workers are another."""
    settings = {"DATABASE_URL": empty_database, "PUBLIC_ENDPOINT_URL": "http://push.example"}
    holding = GatewayServer(tmp_path / "holding", settings)
    sending = Server(tmp_path / "sending", settings, role="api,worker,scheduler")
    keys = sending.create_project("shop")
    try:
        for server in (holding, sending):
            await server.start()
        device = Device(cast("PushService", None), holding.data, server=holding)
        await device.check_in()
        await device.back()
        receiver = Receiver.generate()
        status, text = await device.form(sender=keys.vapid)
        assert status == 200
        subscription = {
            "address": f"https://jmt17.google.com/fcm/send/{text.removeprefix('token=')}",
            **receiver.keys(),
            "vapid_public_key": keys.vapid,
            "permission": "granted",
        }
        async with Api(sending.url, keys.server) as api:
            await api.call("POST", "/v1/devices", {"user_id": "ann", "kind": "webpush", **subscription})
        yield World(holding, sending, keys, device, receiver)
        await device.leave()
        for server in (holding, sending):
            await server.stop()
            assert server.complaints() == []
    finally:
        for server in (holding, sending):
            server.kill()


async def test_one_process_sends_what_another_delivers(world: World) -> None:
    await world.notify("first")
    message = await world.device.message()
    assert world.title(message) == "first"
    await world.device.ack()
    async with Api(world.sending.url, world.keys.server) as api:
        [device] = (await api.call("GET", "/v1/users/ann/devices"))["items"]
    assert device["connected"] is True


async def test_killing_the_process_that_holds_it_loses_nothing_and_repeats_nothing_acknowledged(
    world: World, tell: Tell
) -> None:
    starting = seed()
    tell(f"CLARION_SOAK_SEED={starting}")
    chance = random.Random(starting)
    device, shown = world.device, list[str]()
    sent = 0
    for _ in range(ROUNDS):
        titles = [f"number {sent + number}" for number in range(chance.randrange(1, MESSAGES // 3))]
        sent += len(titles)
        await world.notify(*titles)
        await _take(world, chance.randrange(len(titles) + 1), shown)
        world.holding.kill()
        await device.leave()
        await world.holding.start()
        # As Chromium does: it names what it acknowledged and nobody confirmed, and drops no repetition by itself.
        await device.return_with_acks()
    while len(set(shown)) < sent:
        await _take(world, 1, shown)
    await device.ack()
    await device.silence()
    assert sorted(shown) == sorted({f"number {number}" for number in range(sent)})
    tell(f"{sent} notifications over {ROUNDS} kills: each was shown once")


async def _take(world: World, count: int, shown: list[str]) -> None:
    """Show and acknowledge so many messages; the last ack may be cut off with the server."""
    device = world.device
    while count:
        try:
            tag, message = await device.hear()
        except Hung:
            return
        if tag == PING:
            await device.say(PING_ACK)
        elif tag == DATA:
            shown.append(world.title(message))
            await device.take(message)
            count -= 1
