"""Who is connected now, asked at any process, whichever node holds the socket and however that one ends."""

import asyncio
from typing import Any, cast

import pytest

from clarion.gateway import presence
from clarion.ports import PushStore
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.bus import LocalBus
from contract.support_gateway import PATIENCE_S, Meddler, PushService, new_gateway, new_settings, push_service


@pytest.fixture
def meddler(clock: ManualClock) -> Meddler:
    return Meddler(MemoryStore(clock).push)


async def test_of_our_own_devices_we_know_and_of_others_we_do_not() -> None:
    async with push_service() as service:
        device, endpoint = await service.subscribed()
        away, endpoint_of_away = await service.subscribed()
        await away.leave()
        forged = endpoint[:-4] + "AAAA"
        asked = [endpoint, endpoint_of_away, "https://fcm.googleapis.com/fcm/send/x", forged, None, "+4915112345678"]
        async with asyncio.timeout(PATIENCE_S):
            while (await service.gateway.presence(asked))[1]:  # noqa: ASYNC110 - its socket is still closing
                await asyncio.sleep(0.005)
        assert await service.gateway.presence(asked) == [True, False, None, None, None, None]
        assert device.uaid


async def test_another_process_knows_from_the_store(meddler: Meddler, clock: ManualClock) -> None:
    store, bus = cast("PushStore", meddler), LocalBus()
    elsewhere = new_gateway(store, clock, new_settings(), bus)
    async with push_service(store, clock, bus) as holding:
        _, endpoint = await holding.subscribed()
        assert await elsewhere.presence([endpoint]) == [True]
    assert await elsewhere.presence([endpoint]) == [False], "the node said that it ends"
    await bus.close()


async def test_a_node_that_was_killed_is_not_believed_for_long(
    meddler: Meddler, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 3600)  # no more signs of life
    store, bus = cast("PushStore", meddler), LocalBus()
    elsewhere = new_gateway(store, clock, new_settings(), bus)
    async with push_service(store, clock, bus) as holding:
        _, endpoint = await holding.subscribed()
        clock.advance(presence.BELIEVED_MS)
        assert await elsewhere.presence([endpoint]) == [True]
        clock.advance(1)
        assert await elsewhere.presence([endpoint]) == [False]
        assert await holding.gateway.presence([endpoint]) == [True], "it knows its own sockets"
    await bus.close()


async def test_a_node_that_lives_is_believed_for_ever(
    meddler: Meddler, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 0.01)
    store, bus = cast("PushStore", meddler), LocalBus()
    async with push_service(store, clock, bus) as holding:
        _, endpoint = await holding.subscribed()
        for broken in (False, True):  # a beat that fails is made up for by the next
            meddler.broken = {"beat"} if broken else set()
            clock.advance(3_600_000)
            beats = meddler.calls.count("beat")
            await until_beats(holding, meddler, beats + 2)
            meddler.broken = set()
            await until_beats(holding, meddler, beats + 4)
            assert await new_gateway(store, clock, new_settings(), bus).presence([endpoint]) == [True]
    await bus.close()


async def until_beats(service: PushService, meddler: Meddler, count: int) -> None:
    device: Any = await service.device()
    await device.hello()
    async with asyncio.timeout(PATIENCE_S):
        while meddler.calls.count("beat") < count:
            await device.silence()
            await asyncio.sleep(0.005)
