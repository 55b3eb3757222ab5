"""Whatever a device says, in whatever order: the session answers or closes, never fails, and leaves nothing behind."""

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias
from uuid import UUID

import structlog
from hypothesis import given
from hypothesis import strategies as st

from clarion.crypto import base64url
from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.p256 import KeyPair
from clarion.crypto.signing import Signer
from clarion.crypto.vapid import VapidVerifier
from clarion.gateway.acks import Acknowledgements
from clarion.gateway.endpoint import PushEndpoint
from clarion.gateway.extract import Extractor
from clarion.gateway.node import Node
from clarion.gateway.registry import Registry
from clarion.gateway.router import Router
from clarion.gateway.session import Session
from clarion.gateway.tasks import Tasks
from clarion.ports import HttpRequest
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.bus import LocalBus
from clarion.wire import autopush
from clarion.wire.autopush import CloseCode, NotAMessage, Notification, Registered, ServerMessage, Welcome

ORIGIN = "http://push.test"
SECRETS = [b"s" * 32]
KEY = KeyPair.generate().public_text

# --- frames ----------------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
tags = st.sampled_from(
    ["hello", "register", "unregister", "ack", "nack", "ping", "broadcast_subscribe", "notification", "", "broadcast"]
)
fields = st.sampled_from(
    ["uaid", "channelID", "key", "updates", "version", "code", "broadcasts", "use_webpush", "channelIDs", "status"]
)
odd_messages = st.builds(
    lambda tag, rest: {**rest, "messageType": tag}, tags | json_values, st.dictionaries(fields, json_values)
)
frames = st.one_of(
    st.binary(max_size=200),
    odd_messages.map(lambda m: json.dumps(m).encode()),
    json_values.map(lambda v: json.dumps(v).encode()),
)


@given(frames)
def test_a_frame_is_a_message_or_said_not_to_be(frame: bytes) -> None:
    for parse in (autopush.parse_client, autopush.parse_server):
        with suppress(NotAMessage):
            message = parse(frame)
            assert parse(autopush.encode(message)) == message


# --- a push service without sockets ----------------------------------------------------------------------------------

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
            self.heard.append(message)
            self.unacked.append(message)

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
        self.node = Node(
            store=store,  # type: ignore[arg-type]
            clock=self.clock,
            tokens=EndpointTokens(SECRETS),
            origin=ORIGIN,
            message_limit=message_limit,
            registry=Registry(capacity),
            acks=Acknowledgements(store, tasks),  # type: ignore[arg-type]
            tasks=tasks,
        )
        extractor = Extractor(self.node.tokens, VapidVerifier(ORIGIN), Signer(SECRETS))
        self.endpoint = PushEndpoint(self.node, extractor, Router(self.node, LocalBus()))
        self.connections: list[Connection | None] = [None] * BROWSERS
        self.names: list[str | None] = [None] * BROWSERS
        self.uaids: set[str] = set()
        self.endpoints: list[str] = []
        self.sent = 0
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

    def post(self, number: int, ttl: int, topic: str | None) -> None:
        for browser in range(BROWSERS):
            self.remember(browser)
        if self.endpoints:
            headers = {"TTL": str(ttl), "Content-Encoding": "aes128gcm"} | ({"Topic": topic} if topic else {})
            body = b"%08d" % self.sent
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


Step: TypeAlias = Callable[[World], None]

browsers = st.integers(0, BROWSERS - 1)
channels = st.sampled_from(CHANNELS)


def said(message: dict[str, Any]) -> Callable[[int], Step]:
    """A browser says it, if it is connected."""

    def by(browser: int) -> Step:
        def step(world: World) -> None:
            connection = world.connections[browser]
            if connection is not None:
                connection.say(message)

        return step

    return by


def hello(browser: int, whose: int) -> Step:
    """Connects, under its own name, or another browser's, or none."""

    def step(world: World) -> None:
        connection = world.connect(browser)
        uaid = world.names[whose] if whose < BROWSERS else None
        connection.say({"messageType": "hello", "use_webpush": True, "uaid": uaid})

    return step


def acknowledge(browser: int, count: int) -> Step:
    def step(world: World) -> None:
        connection = world.connections[browser]
        if connection is not None:
            world.acknowledged |= {data_of(each) for each in connection.acknowledge(count)}

    return step


def room(browser: int, is_there: bool) -> Step:
    def step(world: World) -> None:
        connection = world.connections[browser]
        if connection is not None:
            connection.room = is_there
            if is_there and connection.open:
                connection.session.poke()

    return step


def posts(number: int, count: int) -> Step:
    """So many messages to one channel."""

    def step(world: World) -> None:
        for _ in range(count):
            world.post(number, 60, None)

    return step


def message(message_type: str, **more: Any) -> dict[str, Any]:
    return {"messageType": message_type} | more


_acks = st.builds(acknowledge, browsers, st.integers(1, 12))
_returns = st.builds(lambda b: hello(b, b), browsers)
coherent = st.one_of(
    _acks,
    _acks,
    _returns,
    _returns,
    st.builds(lambda b: lambda world: world.disconnect(b), browsers),
    st.builds(hello, browsers, st.integers(0, BROWSERS)),
    st.builds(lambda b, c: said(message("register", channelID=c))(b), browsers, channels),
    st.builds(lambda n: lambda world: world.post(n, 60, None), st.integers(0, 5)),
    st.builds(posts, st.integers(0, 5), st.integers(2, 15)),
    st.builds(room, browsers, st.booleans()),
)
chaotic = st.one_of(
    coherent,
    st.builds(lambda b, m: said(m)(b), browsers, odd_messages),
    st.builds(
        lambda b, c, k: said(message("register", channelID=c, key=k))(b),
        browsers,
        channels,
        st.sampled_from([KEY, "x"]),
    ),
    st.builds(lambda b, c: said(message("unregister", channelID=c, code=200))(b), browsers, channels),
    st.builds(said(message("ping")), browsers),
    st.builds(
        lambda n, ttl, topic: lambda world: world.post(n, ttl, topic),
        st.integers(0, 5),
        st.sampled_from([0, 1, 60]),
        st.sampled_from([None, "t"]),
    ),
    st.builds(lambda s: lambda world: world.clock.advance(seconds=s), st.integers(1, 60)),
)


def program(steps: st.SearchStrategy[Step]) -> st.SearchStrategy[list[tuple[Step, int]]]:
    """Steps, and how many turns of the loop follow each."""
    return st.lists(st.tuples(steps, st.sampled_from([0, 1, 2, 3, 5, 8, 20, 60])), min_size=15, max_size=60)


turns = st.lists(st.integers(0, 3), min_size=1, max_size=7)


async def run(world: World, steps: Sequence[tuple[Step, int]]) -> None:
    """Begins with two browsers that have a channel each, one connected and one away: else hardly anything happens."""
    for browser in (0, 1):
        hello(browser, BROWSERS)(world)
        await world.settle()
        said(message("register", channelID=CHANNELS[0]))(browser)(world)
        await world.settle()
    world.disconnect(1)
    for step, pause in steps:
        step(world)
        await turn(pause)


@given(program(chaotic), turns, st.integers(1, 12), st.integers(1, BROWSERS))
def test_no_order_of_anything_breaks_a_session_or_leaves_one_behind(
    steps: list[tuple[Step, int]], turns: list[int], message_limit: int, capacity: int
) -> None:
    async def story() -> None:
        world = World(turns, message_limit, capacity)
        await run(world, steps)
        await world.end()

    with asyncio.Runner() as runner, structlog.testing.capture_logs() as logs:
        runner.run(story())
    assert [line for line in logs if line["log_level"] == "error"] == []


@given(program(coherent), turns)
def test_every_message_arrives_in_order_until_it_is_acknowledged(
    steps: list[tuple[Step, int]], turns: list[int]
) -> None:
    async def story() -> None:
        world = World(turns)
        await run(world, steps)
        await world.end()
        heard = [body for uaid in list(world.uaids) for body in await everything(world, uaid)]
        assert world.wrong == []
        assert sorted(heard) == sorted(world.stored - world.acknowledged)
        for connection in world.every:
            bodies = [data_of(each) for each in connection.heard]
            assert bodies == sorted(bodies)

    with asyncio.Runner() as runner:
        runner.run(story())


async def everything(world: World, uaid: str) -> list[bytes]:
    """What the device gets when it comes back and acknowledges all."""
    connection = world.connect(0)
    connection.say(message("hello", uaid=uaid))
    await world.settle()
    while connection.unacked:
        connection.acknowledge(3)
        await world.settle()
    world.disconnect(0)
    await world.settle()
    return [data_of(each) for each in connection.heard]


def data_of(notification: Notification) -> bytes:
    assert notification.data is not None
    return base64url.decode(notification.data)
