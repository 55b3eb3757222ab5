"""Floods and slow sockets against a real push service: memory stays flat, the log stays short, others are served."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import aiohttp
import pytest

from contract.raw_socket import CLOSE, CONTINUATION, PING, TEXT, UPGRADE, RawSocket, frame
from contract.support_gateway import Device, data_of
from free_ports import HOST
from processes.server import Server
from processes.world import Tell

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc to see a process's memory"),
]

MEGABYTE = 1024 * 1024
FLOOD = 48 * MEGABYTE  # of bytes that each attacker would send, if all were taken
ATTACKERS = 4
MAY_GROW = 24 * MEGABYTE  # for all attackers of all floods together, where one flood of one would fill more
SLOW_MESSAGES = 3_000  # of four kilobytes
UNACKNOWLEDGED = 110  # that a device may have at once: a hundred, and the batch that makes them more
CONNECTIONS, DELIVERED = "clarion_push_connections ", "clarion_push_messages_delivered_total{"
STUCK_S = 0.5  # a socket that takes nothing for so long is taken to be full
SETTINGS = {"RATE_LIMITS": "off", "PUBLIC_ENDPOINT_URL": "http://push.example", "PUSH_MESSAGE_LIMIT": "100000"}

Attack: TypeAlias = Callable[[Server], Coroutine[Any, Any, None]]


@dataclass
class Bystander:
    """A server, and a device that gets its messages whatever the others do."""

    server: Server
    device: Device
    path: str
    http: aiohttp.ClientSession
    served: int = 0
    peak: int = 0  # of the server's memory, while being served

    async def push(self, path: str | None = None, body: bytes | None = None) -> None:
        """A message, on disk when this returns."""
        headers = {"TTL": "60", "Content-Encoding": "aes128gcm"}
        url = self.server.url + (path or self.path)
        async with self.http.post(url, data=body or uuid4().bytes, headers=headers) as answer:
            assert answer.status == 201, await answer.text()

    async def is_served(self) -> None:
        """One message, until it is acknowledged."""
        body = uuid4().bytes
        await self.push(body=body)
        notification = await self.device.hear(30)
        assert data_of(notification) == body
        await self.device.ack(notification)
        self.served += 1

    @asynccontextmanager
    async def being_served(self) -> AsyncIterator[None]:
        """One message after the other meanwhile."""
        over = False

        async def on_and_on() -> None:
            while not over:
                await self.is_served()
                self.peak = max(self.peak, self.memory)
                await asyncio.sleep(0.01)

        self.peak = self.memory
        going = asyncio.create_task(on_and_on())
        yield
        over = True
        await going

    @property
    def memory(self) -> int:
        """Resident bytes of the server."""
        assert self.server._process is not None
        pages = Path(f"/proc/{self.server._process.pid}/statm").read_text("ascii").split()[1]
        return int(pages) * 4096

    async def counted(self, name: str) -> int:
        """A metric of the server, all labels together."""
        async with self.http.get(f"{self.server.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(int(float(line.split()[1])) for line in lines if line.startswith(name))


@asynccontextmanager
async def bystander(folder: Path, **settings: str) -> AsyncIterator[Bystander]:
    server = Server(folder, {**SETTINGS, **settings}, role="gateway")
    try:
        await server.start()
        device = await Device(server.push_url).connect()
        async with aiohttp.ClientSession() as http:
            await device.hello()
            endpoint = await device.register()
            yield Bystander(server, device, endpoint.removeprefix("http://push.example"), http)
            await device.leave()
        await server.stop()
    finally:
        server.kill()


async def pour(writer: asyncio.StreamWriter, chunks: Iterator[bytes]) -> None:
    """Until the flood is over, the server cuts the connection, or takes no more."""
    poured = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while poured < FLOOD and not writer.is_closing():
            chunk = next(chunks)
            writer.write(chunk)
            poured += len(chunk)
            await asyncio.wait_for(writer.drain(), STUCK_S)


def over_and_over(chunk: bytes) -> Iterator[bytes]:
    while True:
        yield chunk


def by_a_device(chunk: bytes) -> Attack:
    """Said by a device that never reads an answer."""

    async def attack(server: Server) -> None:
        raw = await RawSocket.open(server.push_port, receive_buffer=1_024)
        await raw.hello()
        await pour(raw.writer, over_and_over(chunk))
        raw.leave()

    return attack


def by_anyone(begin: bytes, chunk: bytes, port: Callable[[Server], int] = lambda server: server.push_port) -> Attack:
    """Sent from the first byte on."""

    async def attack(server: Server) -> None:
        _, writer = await asyncio.open_connection(HOST, port(server), limit=1)
        writer.write(begin)
        await pour(writer, over_and_over(chunk))
        writer.transport.abort()

    return attack


def _said(message_type: str, **more: Any) -> bytes:
    return frame(TEXT, json.dumps({"messageType": message_type, **more}).encode())


SPACE = frame(CONTINUATION, b" ", fin=False)
HELLO = _said("hello", use_webpush=True, uaid="a" * 32)
BROADCASTS = _said("broadcast_subscribe", broadcasts={str(n): "" for n in range(4_000)})
ZEROS = bytes(256 * 1024)
POST = b"POST /wpush/v1/x HTTP/1.1\r\nHost: x\r\n"
FLOODS = {
    "pings": by_a_device(frame(PING, bytes(125)) * 500),
    "small pings": by_a_device(frame(PING, b"") * 5_000),
    "registers": by_a_device(_said("register", channelID=str(uuid4())) * 100),
    "bad keys": by_a_device(_said("register", channelID=str(uuid4()), key="x") * 100),
    "protocol pings": by_a_device(_said("ping") * 500),
    "broadcasts": by_a_device(BROADCASTS),
    "acks": by_a_device(_said("ack", updates=[{"channelID": "", "version": str(n)} for n in range(1_000)])),
    "deep JSON": by_a_device(frame(TEXT, b"[" * 60_000)),
    "fragments": by_a_device(frame(CONTINUATION, bytes(60_000), fin=False)),
    "hellos": by_anyone(UPGRADE + HELLO, _said("hello", uaid=[[]] * 16_000) * 4),
    "everything before its hello is answered": by_anyone(UPGRADE + HELLO, BROADCASTS * 4),
    "long keys": by_a_device(_said("register", channelID=str(uuid4()), key="A" * 60_000) * 4),
    "a giant frame": by_anyone(UPGRADE + frame(TEXT, b"", size=2**40), ZEROS),
    "broken frames": by_anyone(UPGRADE, frame(3, bytes(120)) * 100),
    "closes": by_anyone(UPGRADE, frame(CLOSE, b"") * 1_000),
    "an endless upgrade": by_anyone(b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 10_000),
    "an endless line": by_anyone(b"GET /", b"y" * 65_536),
    "an endless head": by_anyone(POST, b"X: y\r\n" * 10_000, lambda server: server.port),
    "an endless header": by_anyone(POST + b"X: ", b"y" * 65_536, lambda server: server.port),
    "an endless body": by_anyone(POST + b"Content-Length: 99999999999\r\n\r\n", ZEROS, lambda server: server.port),
    "endless chunks": by_anyone(
        POST + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65_536) + b"\r\n", lambda server: server.port
    ),
}


async def test_floods_fill_neither_memory_nor_log_and_hold_nobody_back(tmp_path: Path, tell: Tell) -> None:
    async with bystander(tmp_path) as world:
        for _ in range(500):
            await world.is_served()
        before, told = world.memory, len(world.server.log.read_bytes())
        for name, attack in FLOODS.items():
            async with world.being_served():
                await asyncio.gather(*(attack(world.server) for _ in range(ATTACKERS)))
            await world.is_served()
            tell(f"{name}: at most {_grown(world, before)}")
            assert world.peak - before < MAY_GROW, name
        assert await world.counted(CONNECTIONS) == 1
        assert not world.server.complaints(), "\n".join(world.server.complaints()[:20])
        lines = world.server.log.read_bytes()[told:].splitlines()
        assert 0 < len(lines) <= ATTACKERS * len(FLOODS), b"\n".join(lines[:20])
        tell(f"{world.served} messages to the bystander, {len(lines)} lines in the log")


LORISES: dict[str, tuple[Callable[[Server], int], bytes, bytes]] = {
    "says nothing": (lambda server: server.push_port, b"", b""),
    "dribbles an upgrade": (lambda server: server.push_port, b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
    "upgrades and says nothing": (lambda server: server.push_port, UPGRADE, b""),
    "dribbles a hello": (lambda server: server.push_port, UPGRADE, frame(TEXT, bytes(60_000))),
    "sends fragments of a hello": (lambda server: server.push_port, UPGRADE + frame(TEXT, b"{", fin=False), SPACE),
    "pings instead of a hello": (lambda server: server.push_port, UPGRADE, frame(PING, b"")),
}


async def dribble(server: Server, name: str) -> None:
    """Until the server cuts the connection, a few bytes at a time."""
    port, begin, rest = LORISES[name]
    raw = await RawSocket.connect(port(server))
    raw.writer.write(begin)
    going = asyncio.create_task(raw.is_cut())
    place = 0
    while not going.done():
        if rest and not raw.writer.is_closing():
            place = (place + 1) % len(rest)
            raw.writer.write(rest[place - 1 : place] if place else rest[-1:])
        await asyncio.wait([going], timeout=0.01)
    await going
    raw.leave()


async def test_sockets_that_take_their_time_are_cut_off(tmp_path: Path) -> None:
    async with bystander(tmp_path) as world:
        async with world.being_served(), asyncio.timeout(60):
            await asyncio.gather(*(dribble(world.server, name) for name in LORISES for _ in range(ATTACKERS)))
        await world.is_served()
        assert await world.counted(CONNECTIONS) == 1
        assert not world.server.complaints(), "\n".join(world.server.complaints()[:20])


async def test_a_device_that_does_not_read_waits_for_its_messages_alone(tmp_path: Path, tell: Tell) -> None:
    """Its messages wait in the store, not in memory; it gets each once, in order, when it reads again."""
    async with bystander(tmp_path) as world:
        slow = await RawSocket.open(world.server.push_port, receive_buffer=65_536)
        name = await slow.hello()
        slow.say({"messageType": "register", "channelID": str(uuid4())})
        path = (await slow.message())["pushEndpoint"].removeprefix("http://push.example")
        before = world.memory
        bodies = [number.to_bytes(4) * 1_000 for number in range(SLOW_MESSAGES)]
        async with world.being_served():
            for body in bodies:
                await world.push(path, body)
        handed_over = await world.counted(DELIVERED) - world.served
        tell(f"{world.served} messages to the bystander, {handed_over} to the other, {_grown(world, before)}")
        assert handed_over <= UNACKNOWLEDGED
        assert world.peak - before < MAY_GROW
        heard = [await _acknowledged(slow) for _ in bodies]
        assert [data_of(each) for each in heard] == bodies
        assert len({each["version"] for each in heard}) == len(bodies)
        slow.leave()
        again = await RawSocket.open(world.server.push_port)
        again.say({"messageType": "hello", "use_webpush": True, "uaid": name})
        assert (await again.message())["uaid"] == name
        await world.push(path, b"last" * 10)
        assert data_of(await again.message()) == b"last" * 10
        again.leave()


def _grown(world: Bystander, since: int) -> str:
    return f"{(world.peak - since) / MEGABYTE:+.1f} MB"


async def _acknowledged(raw: RawSocket) -> Any:
    notification = await raw.message()
    raw.say({"messageType": "ack", "updates": [{key: notification[key] for key in ("channelID", "version")}]})
    return notification
