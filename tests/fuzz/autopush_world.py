"""A push service without sockets or time: browsers whose connections are lists, and a store in no hurry."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from clarion.crypto import base64url
from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.signing import Signer
from clarion.crypto.vapid import VapidVerifier
from clarion.gateway.acks import Acknowledgements
from clarion.gateway.broadcasts import Broadcasts
from clarion.gateway.endpoint import PushEndpoint
from clarion.gateway.extract import Extractor
from clarion.gateway.identified import notification
from clarion.gateway.node import Node
from clarion.gateway.registry import Registry
from clarion.gateway.router import Router
from clarion.gateway.session import Session
from clarion.gateway.tasks import Tasks
from clarion.model import Key, Urgency
from clarion.ports import HttpRequest, PushMessage
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.bus import LocalBus
from clarion.wire import autopush
from clarion.wire.autopush import CloseCode, NotAMessage, Notification, Registered, ServerMessage, UrgencySet, Welcome

ORIGIN = "http://push.test"
SECRETS = [b"s" * 32]

CHANNELS = [str(UUID(int=number)) for number in range(2)]
BROWSERS = 3


class SlowStore:
    """Lets other work in before and after each call, as often as it is told: nothing may rely on who is first."""

    def __init__(self, inner: Any, turns: Sequence[int]) -> None:
        self._inner = inner
        self._turns = itertools.cycle(turns)

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            await turn(next(self._turns))
            answer = await getattr(self._inner, name)(*arguments)
            await turn(next(self._turns))
            return answer

        return call


async def turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


class Connection:
    """A socket: what came through it, until it is closed from either end."""

    def __init__(self, world: "World") -> None:
        self.session = Session(world.node, self)
        self.wrong = world.wrong
        self.open = True
        self.room = True
        self.uaid: str | None = None
        self.endpoints: dict[str, str] = {}
        self.heard: list[Notification] = []
        self.unacked: list[Notification] = []
        self.urgencies = world.urgencies
        self.least = Urgency.VERY_LOW
        self.asked: list[Urgency] = []

    def push(self, message: PushMessage, key: Key | None) -> None:
        self.send(notification(message, key))

    def send(self, message: ServerMessage) -> None:
        if not self.open:
            return
        if isinstance(message, Welcome):
            self.uaid = message.uaid
        elif isinstance(message, Registered) and message.status == 200:
            self.endpoints[message.channel_id] = message.push_endpoint
        elif isinstance(message, Notification):
            if any(each.version == message.version for each in self.heard):
                self.wrong.append(f"{message.version} twice on one connection")
            if self.urgency_of(message) not in self.least.and_above:
                self.wrong.append(f"{message.version} is less urgent than {self.least}")
            self.heard.append(message)
            self.unacked.append(message)
        elif isinstance(message, UrgencySet):
            self.least = self.asked.pop(0)

    def urgency_of(self, message: Notification) -> Urgency:
        return self.urgencies[base64url.decode(message.data or "")]

    def close(self, code: CloseCode, reason: str) -> None:
        if not self.open or len(reason.encode()) > 123:  # RFC 6455 section 5.5
            self.wrong.append(f"closed with {code} {reason}")
        self.open = False

    def has_room(self) -> bool:
        return self.room

    def say(self, message: Any) -> None:
        if self.open:
            try:
                self.session.receive(autopush.parse_client(json.dumps(message).encode()))
            except NotAMessage:
                self.session.close(CloseCode.ERROR, "not a message")

    def ask_for(self, least: Urgency) -> None:
        """Only messages at least so urgent."""
        self.asked.append(least)
        self.say({"messageType": "urgency", "min": least})

    def acknowledge(self, count: int) -> list[Notification]:
        """The first ones that were not yet, as far as the socket still takes it."""
        done, self.unacked = self.unacked[:count], self.unacked[count:]
        if not done or not self.open:
            return []
        updates = [{"channelID": each.channel_id, "version": each.version} for each in done]
        self.say({"messageType": "ack", "updates": updates})
        return done

    def drop(self) -> None:
        self.open = False
        self.session.disconnected()


class World:
    """A node, a few browsers, and a sender who sends one message after the other."""

    def __init__(self, turns: Sequence[int], message_limit: int = 1_000, capacity: int = BROWSERS) -> None:
        self.clock = ManualClock()
        store = SlowStore(MemoryStore(self.clock).push, turns)
        tasks = Tasks()
        bus = LocalBus()
        registry: Registry[Session] = Registry(capacity)
        self.node = Node(
            store=store,  # type: ignore[arg-type]
            clock=self.clock,
            tokens=EndpointTokens(SECRETS),
            origin=ORIGIN,
            message_limit=message_limit,
            registry=registry,
            acks=Acknowledgements(store, tasks),  # type: ignore[arg-type]
            tasks=tasks,
            broadcasts=Broadcasts(store, bus, self.clock, registry),  # type: ignore[arg-type]
        )
        extractor = Extractor(self.node.tokens, VapidVerifier(ORIGIN), Signer(SECRETS))
        self.endpoint = PushEndpoint(self.node, extractor, Router(self.node, bus))
        self.connections: list[Connection | None] = [None] * BROWSERS
        self.names: list[str | None] = [None] * BROWSERS
        self.uaids: set[str] = set()
        self.endpoints: list[str] = []
        self.sent = 0
        self.urgencies: dict[bytes, Urgency] = {}
        self.stored: set[bytes] = set()
        self.acknowledged: set[bytes] = set()
        self.every: list[Connection] = []
        self.wrong: list[str] = []  # an assert in a callback would only end the session
        self._posts: list[HttpRequest] = []
        self._posting: asyncio.Task[None] | None = None

    def connect(self, browser: int) -> Connection:
        self.disconnect(browser)
        connection = self.connections[browser] = Connection(self)
        self.every.append(connection)
        return connection

    def disconnect(self, browser: int) -> None:
        connection = self.connections[browser]
        if connection is not None:
            self.remember(browser)
            connection.drop()
            self.connections[browser] = None

    def remember(self, browser: int) -> None:
        connection = self.connections[browser]
        if connection is not None:
            self.names[browser] = connection.uaid or self.names[browser]
            self.uaids |= {connection.uaid} if connection.uaid else set()
            self.endpoints += [each for each in connection.endpoints.values() if each not in self.endpoints]

    def post(self, number: int, ttl: int, topic: str | None, urgency: Urgency = Urgency.NORMAL) -> None:
        for browser in range(BROWSERS):
            self.remember(browser)
        if self.endpoints:
            headers = {"TTL": str(ttl), "Content-Encoding": "aes128gcm", "Urgency": str(urgency)}
            headers |= {"Topic": topic} if topic else {}
            body = b"%08d" % self.sent
            self.urgencies[body] = urgency
            self.sent += 1
            self._posts.append(HttpRequest("POST", self.endpoints[number % len(self.endpoints)], headers, body))
            if self._posting is None or self._posting.done():
                self._posting = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._posts:
            request = self._posts.pop(0)
            [response] = await self.endpoint.accept([request])
            assert response.status in {201, 401, 410}
            if response.status == 201:
                self.stored.add(request.body)

    async def settle(self) -> None:
        if self._posting is not None:
            await self._posting
        for _ in range(10_000):
            if not len(self.node.tasks):
                return
            await asyncio.sleep(0)
        raise AssertionError("the node does not come to rest")

    async def end(self) -> None:
        """Everybody goes: nothing stays."""
        for browser in range(BROWSERS):
            self.disconnect(browser)
        await self.settle()
        assert len(self.node.registry) == 0
        assert self.wrong == []
