"""Servers that do what RFC 9113 allows, in any order, and what it forbids: no request is lost, doubled or mixed up."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from http2_world import MINE, Peer, World
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.transport.http2.frames import PRIORITY, frame

Act: TypeAlias = Callable[[World, Peer | None], None]

SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        MINE.MAX_CONCURRENT_STREAMS: st.integers(0, 10),
        MINE.INITIAL_WINDOW_SIZE: st.one_of(st.integers(0, 40), st.integers(0, 8_000), st.just(65_535)),
        MINE.HEADER_TABLE_SIZE: st.one_of(st.integers(0, 300), st.just(4_096)),
        MINE.MAX_FRAME_SIZE: st.sampled_from([16_384, 20_000]),
    },
)
ANY = st.integers(0, 50)
STATUS = st.sampled_from([200, 200, 201, 204, 404, 410, 429, 503])


def on_stream(act: Callable[[Peer, int], None]) -> Callable[[int], Act]:
    def made(number: int) -> Act:
        def run(_world: World, peer: Peer | None) -> None:
            stream = peer.pick(number) if peer else None
            if peer and stream is not None:
                act(peer, stream)

        return run

    return made


def on_peer(act: Callable[[Peer], None]) -> Act:
    return lambda _world, peer: act(peer) if peer else None


def answering(number: int, status: int, ended: bool) -> Act:
    return on_stream(lambda peer, stream: peer.begin(stream, status, ended=ended))(number)


def adding(number: int, ended: bool, pad: int | None) -> Act:
    def add(peer: Peer, stream: int) -> None:
        if stream in peer.begun:
            peer.add(stream, ended=ended, pad=pad)

    return on_stream(add)(number)


def granting(number: int, size: int, connection: bool) -> Act:
    return on_stream(lambda peer, stream: peer.grant(None if connection else stream, size))(number)


LAWFUL = st.one_of(
    st.builds(
        lambda n, size: lambda world, _: world.send(n, size),
        st.integers(1, 12),
        st.one_of(st.integers(0, 12), st.just(2_000)),
    ),
    st.builds(answering, ANY, STATUS, st.booleans()),
    st.builds(answering, ANY, STATUS, st.booleans()),
    st.builds(adding, ANY, st.booleans(), st.one_of(st.none(), st.integers(0, 9))),
    st.builds(adding, ANY, st.booleans(), st.none()),
    st.builds(on_stream(Peer.trail), ANY),
    st.builds(on_stream(Peer.hint), ANY),
    st.builds(
        lambda n, code: on_stream(lambda peer, stream: peer.reset(stream, code))(n),
        ANY,
        st.sampled_from([0, 2, 7, 7, 8, 11]),
    ),
    st.builds(lambda values: on_peer(lambda peer: peer.say(values) if values else None), SETTINGS),
    st.builds(granting, ANY, st.one_of(st.integers(1, 30), st.integers(1, 20_000)), st.booleans()),
    st.builds(lambda data: on_peer(lambda peer: peer.h2.ping(data)), st.binary(min_size=8, max_size=8)),
    st.builds(lambda kind: on_peer(lambda peer: peer.raw(frame(kind, 0, 0, b"extension"))), st.integers(0x10, 0xFF)),
    st.just(on_peer(lambda peer: peer.raw(frame(PRIORITY, 0, 1, bytes(5))))),
    st.builds(lambda size: on_peer(lambda peer: peer.deliver(size)), st.one_of(st.none(), st.integers(1, 60))),
    st.builds(lambda size: on_peer(lambda peer: peer.deliver(size)), st.none()),
)
ENDS = st.one_of(
    st.builds(lambda last: on_peer(lambda peer: peer.goaway(last)), st.one_of(st.integers(0, 30), st.just(2**31 - 1))),
    st.just(on_peer(Peer.drop)),
    st.just(on_peer(lambda peer: peer.connection.look(peer.connection.used_at + 30))),
)
RAW = st.builds(
    lambda kind, flags, stream, payload: on_peer(lambda peer: peer.raw(frame(kind, flags, stream, payload))),
    st.integers(0, 10),
    st.integers(0, 255),
    st.integers(0, 20),
    st.binary(max_size=40),
)
NOISE = st.builds(lambda data: on_peer(lambda peer: peer.raw(data)), st.binary(min_size=1, max_size=60))


async def _play(world: World, acts: list[tuple[int, Act]]) -> World:
    world.send(10, 3)
    await world.settle()
    for who, act in acts:
        alive = [peer for peer in world.peers if peer.alive]
        peer = alive[who % len(alive)] if alive else None
        world.do(peer, lambda act=act, peer=peer: act(world, peer))  # type: ignore[misc] # bound to this turn
        await world.settle()
    await world.finish()
    await world.pool.close()
    return world


Acts: TypeAlias = list[tuple[int, Act]]


def acts(*kinds: st.SearchStrategy[Act]) -> st.SearchStrategy[Acts]:
    return st.lists(st.tuples(ANY, st.one_of(*kinds)), max_size=60)


@settings(max_examples=300)
@given(SETTINGS, st.booleans(), acts(LAWFUL, LAWFUL, LAWFUL, ENDS))
def test_lawful_servers(first: dict[int, int], cautious: bool, played: Acts) -> None:
    async def play() -> World:
        return await _play(World(first, cautious=cautious), played)

    asyncio.run(play()).check()


@settings(max_examples=300)
@given(SETTINGS, acts(LAWFUL, LAWFUL, ENDS, RAW, NOISE))
def test_hostile_servers(first: dict[int, int], played: Acts) -> None:
    """Whatever comes, each request ends, and the client does not break."""
    failures: list[object] = []

    async def play() -> World:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
        return await _play(World(first, cautious=False, hostile=True), played)

    asyncio.run(play())
    assert failures == []
