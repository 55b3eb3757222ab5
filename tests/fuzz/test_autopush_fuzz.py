"""Whatever a device says, in whatever order: the session answers or closes, never fails, and leaves nothing behind."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import structlog
from autopush_world import BROWSERS, CHANNELS, World, turn
from hypothesis import given
from hypothesis import strategies as st

from clarion.crypto import base64url
from clarion.crypto.p256 import KeyPair
from clarion.model import Urgency
from clarion.wire import autopush
from clarion.wire.autopush import NotAMessage, Notification

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


def asks_for(browser: int, least: Urgency) -> Step:
    def step(world: World) -> None:
        connection = world.connections[browser]
        if connection is not None and connection.open and connection.uaid is not None:
            connection.ask_for(least)

    return step


def broadcasts(browser: int, version: int) -> Step:
    """A browser follows one, and it gets that version."""

    def step(world: World) -> None:
        said(message("broadcast_subscribe", broadcasts={"news": "0", "none": "0"}))(browser)(world)
        world.node.tasks.start(world.node.broadcasts.set("news", str(version)))

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
urgencies = st.sampled_from(Urgency)
_asks = st.builds(asks_for, browsers, urgencies)
urgent = st.one_of(
    coherent,
    coherent,
    _asks,
    _asks,
    st.builds(lambda n, urgency: lambda world: world.post(n, 60, None, urgency), st.integers(0, 5), urgencies),
)
chaotic = st.one_of(
    urgent,
    st.builds(broadcasts, browsers, st.integers(0, 3)),
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


@given(program(urgent), turns)
def test_what_is_not_urgent_enough_waits_and_is_not_lost(steps: list[tuple[Step, int]], turns: list[int]) -> None:
    async def story() -> None:
        world = World(turns)
        await run(world, steps)
        await world.end()
        heard = [body for uaid in list(world.uaids) for body in await everything(world, uaid)]
        assert world.wrong == []
        assert sorted(heard) == sorted(world.stored - world.acknowledged)

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
