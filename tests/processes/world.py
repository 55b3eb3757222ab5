"""A project with people, their devices, an automation and callers, on servers that may die at any moment."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from processes.device import Device
from processes.ledger import Account, Api, settle_accounts
from processes.moments import Moments
from processes.server import Keys, Server
from processes.traffic import AUTOMATION, Traffic
from processes.waiting import PATIENCE_S, until

Tell: TypeAlias = Callable[[str], None]

ROUNDS = int(os.environ.get("CLARION_SOAK_ROUNDS", "50"))
# Of whom each device is. One of them sends no receipts, so that what the server recorded by itself can be seen.
DEVICES = ("ann", "ben", "cleo", "cleo")
SILENT = "ben"
_STRIKES = ("frame", "acked", "answered", "hello", "later")
_LONGEST_CALM_S = 0.5
ASKS_A_ROUND = 60
COUNTED_EVERY_S = 1.0


def seed() -> int:
    """Where the chance of a run begins: anew, or at `CLARION_SOAK_SEED`."""
    return int(os.environ.get("CLARION_SOAK_SEED") or random.randrange(10**6))


@dataclass
class World:
    """Everything that a test needs."""

    servers: Sequence[Server]
    keys: Keys
    chance: random.Random
    moments: Moments
    devices: Sequence[Device]
    traffic: Traffic
    marks: int = 0

    @property
    def api(self) -> Api:
        """The first server's."""
        return Api(self.servers[0].url, self.keys.server)

    async def strike(self, server: Server) -> None:
        """Let it work for a moment, and kill it: at the instant of something, or after a while when nothing comes."""
        self.traffic.left = ASKS_A_ROUND
        word = self.chance.choice(_STRIKES)
        self.moments.arm(word, self.chance.randint(1, 2 if word == "hello" else 40), server.kill)
        with contextlib.suppress(AssertionError):
            await until(lambda: not server.running, word, self.chance.uniform(0, _LONGEST_CALM_S))
        self.moments.disarm()
        server.kill()

    async def account(self, rounds: int) -> Account:
        """Let everything come to its end, and count."""
        await self.traffic.settle()
        await self.arrived()
        async with self.api as api:
            await self._idle(api)
            await self.mark()
            await self._idle(api)
            return await settle_accounts(api, self.traffic, self.devices, rounds)

    async def arrived(self) -> None:
        """Until every device has what it is to get and has told so. Past a bound, the account tells what is missing."""
        with contextlib.suppress(AssertionError):
            await until(lambda: all(map(self._has_all, self.devices)), "all deliveries and receipts")

    def _has_all(self, device: Device) -> bool:
        got = {payload["title"] for payload in device.received}
        return device.reported and self.traffic.texts_of(device.user_id) <= got

    async def send(self, text: str) -> None:
        """A notification to everybody, until it has arrived."""
        self.traffic.ask(self.traffic.notification(text, self.traffic.users))
        await self.traffic.settle()
        await self.arrived()

    async def mark(self) -> None:
        """One more message to everybody, behind all that may still be on its way to a device."""
        self.marks += 1
        await self.send(f"mark {self.marks}")

    async def _idle(self, api: Api) -> None:
        """Until the queues are empty. Their count is up to a second old: one from before we asked says nothing."""
        now = asyncio.get_running_loop().time
        begun = now()
        while (waiting := await api.waiting()) or now() < begun + COUNTED_EVERY_S:
            assert now() < begun + PATIENCE_S, f"{waiting} jobs still wait"
            await asyncio.sleep(0.1)


@asynccontextmanager
async def new_world(
    servers: Sequence[Server], *, starting: int = 0, names: Sequence[str] = DEVICES
) -> AsyncIterator[World]:
    """Servers started, people registered, devices connected; at the end everything is gone."""
    chance = random.Random(starting)
    moments = Moments()
    async with AsyncExitStack() as stack:
        for server in servers:
            stack.callback(server.kill)
        keys = await asyncio.to_thread(servers[0].create_project, "soak")
        await asyncio.gather(*(server.start() for server in servers))
        sockets = [server.push_url for server in servers]
        devices = [Device(sockets, name, chance, moments) for name in names]
        for device in devices:
            device.reports = device.user_id != SILENT
            await stack.enter_async_context(device.alive())
        traffic = Traffic([server.url for server in servers], keys.server, sorted(set(names)), chance, moments)
        world = World(servers, keys, chance, moments, devices, traffic)
        await _settle_in(world)
        yield world


async def _settle_in(world: World) -> None:
    async with world.api as api:
        await api.call("POST", "/v1/automations", AUTOMATION)
        for device in world.devices:
            subscription = await device.subscribe(world.keys.vapid)
            await api.call("POST", "/v1/devices", {"user_id": device.user_id, "kind": "webpush", **subscription})
