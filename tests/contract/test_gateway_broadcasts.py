"""Broadcasts: set by an operator, followed by devices, told once on every node."""

import asyncio
from typing import cast

import pytest

from clarion.gateway import broadcasts
from clarion.ports import PushStore
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.bus import LocalBus
from contract.support_gateway import PATIENCE_S, Meddler, PushService, new_gateway, new_settings, push_service

ID = "catalog/prices"


@pytest.fixture
def meddler(clock: ManualClock) -> Meddler:
    return Meddler(MemoryStore(clock).push)


async def test_a_device_learns_at_its_hello_what_it_does_not_know_yet() -> None:
    async with push_service() as service:
        await service.gateway.set_broadcast(ID, "v2")
        await settled(service)
        behind, ahead = await service.device(), await service.device()
        assert (await behind.hello(broadcasts={ID: "v1", "none": "v1"}))["broadcasts"] == {
            ID: "v2",
            "errors": {"none": "Broadcast not found"},
        }
        assert (await ahead.hello(broadcasts={ID: "v2"}))["broadcasts"] == {}


async def settled(service: PushService) -> None:
    """The node has read what was set: whoever asks for it is told."""
    device = await service.device()
    await device.hello()
    question = {"messageType": "broadcast_subscribe", "broadcasts": {ID: ""}}
    async with asyncio.timeout(PATIENCE_S):
        while "errors" in (await device.ask(question))["broadcasts"]:  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.005)


async def test_who_follows_a_broadcast_is_told_of_each_version_and_nobody_else() -> None:
    async with push_service() as service:
        early, late, other = [await service.device() for _ in range(3)]
        await early.hello(broadcasts={ID: "v0"})  # before there is such a broadcast
        await late.hello()
        await late.ask({"messageType": "broadcast_subscribe", "broadcasts": {ID: "v0"}})
        await other.hello(broadcasts={"else": "v0"})
        for version in ("v1", "v2"):
            await service.gateway.set_broadcast(ID, version)
            for device in (early, late):
                assert await device.hear() == {"messageType": "broadcast", "broadcasts": {ID: version}}
        await service.gateway.set_broadcast(ID, "v2")  # no news
        assert await early.silence()
        assert await other.silence()


async def test_a_subscription_is_answered_only_with_news() -> None:
    async with push_service() as service:
        await service.gateway.set_broadcast(ID, "v1")
        await settled(service)
        device = await service.device()
        await device.hello()
        await device.say({"messageType": "broadcast_subscribe", "broadcasts": {ID: "v1"}})
        assert await device.silence()
        await service.gateway.set_broadcast(ID, "v2")
        assert (await device.hear())["broadcasts"] == {ID: "v2"}


async def test_what_changes_while_the_store_is_away_is_told_when_it_is_back(
    meddler: Meddler, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcasts, "_LOOK_AGAIN_S", 0.01)
    async with push_service(cast("PushStore", meddler), clock) as service:
        device = await service.device()
        await device.hello(broadcasts={ID: "v1"})
        meddler.calls.clear()
        meddler.broken = {"broadcasts"}
        await service.gateway.set_broadcast(ID, "v2")
        async with asyncio.timeout(PATIENCE_S):
            # It has looked in vain, and again.
            while meddler.calls.count("broadcasts") < 2:  # noqa: ASYNC110 - seen from outside only
                await asyncio.sleep(0.005)
        meddler.broken = set()
        assert (await device.hear())["broadcasts"] == {ID: "v2"}


async def test_it_reaches_devices_of_every_node_from_a_process_without_sockets(
    meddler: Meddler, clock: ManualClock
) -> None:
    store, bus = cast("PushStore", meddler), LocalBus()
    async with push_service(store, clock, bus) as one, push_service(store, clock, bus) as two:
        devices = [await each.device() for each in (one, two)]
        for device in devices:
            await device.hello(broadcasts={ID: "v1"})
        await new_gateway(store, clock, new_settings(), bus).set_broadcast(ID, "v2")
        for device in devices:
            assert (await device.hear())["broadcasts"] == {ID: "v2"}
        assert await one.gateway.broadcasts() == {ID: "v2"}
    await bus.close()


async def test_what_the_bus_lost_is_told_at_the_next_hello(meddler: Meddler, clock: ManualClock) -> None:
    store, deaf = cast("PushStore", meddler), LocalBus()
    await new_gateway(store, clock, new_settings(), deaf).set_broadcast(ID, "v2")
    async with push_service(store, clock) as service:
        device = await service.device()
        assert (await device.hello(broadcasts={ID: "v1"}))["broadcasts"] == {ID: "v2"}


async def test_a_device_cannot_make_the_server_remember_much() -> None:
    async with push_service() as service:
        device = await service.device()
        await device.hello(broadcasts={f"id-{number:03}": "v" for number in range(500)} | {"x" * 5_000: "v"})
        for id in ("id-000", "id-499"):
            await service.gateway.set_broadcast(id, "v2")
        assert (await device.hear())["broadcasts"] == {"id-000": "v2"}
        assert await device.silence(), "only the first few are remembered"
