"""Our push service on every engine: what the store promises is what a device and a sender see."""

import json
from collections.abc import AsyncIterator

import pytest

from clarion.ports import Store
from clarion.testing import ManualClock
from contract.support_gateway import PushService, data_of, hear_all, push_service, request


@pytest.fixture
async def service(store: Store, clock: ManualClock) -> AsyncIterator[PushService]:
    async with push_service(store.push, clock, push_message_limit=15) as running:
        yield running


async def test_from_register_to_ack(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, b"direct" * 10)
    first = await device.hear()
    await device.leave()
    await service.push(endpoint, b"later" * 10, Topic="t")
    await service.push(endpoint, b"latest" * 10, Topic="t")
    await service.push(endpoint, b"brief" * 10, ttl=1)
    service.clock.advance(seconds=1)
    await device.back()
    topical, again = await hear_all(device, 2)
    assert data_of(topical) == b"latest" * 10
    assert again == first
    await device.ack(topical, again)
    await device.back()
    assert await device.silence()
    [channel_id] = device.endpoints
    await device.ask({"messageType": "unregister", "channelID": channel_id})
    response = await service.post(endpoint)
    assert (response.status, json.loads(response.body)["errno"]) == (410, 106)


async def test_what_is_sent_again_comes_once(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    delivery = request(endpoint, b"once" * 10, id=b"delivery id 0001")
    for _ in range(3):
        [response] = await service.gateway.accept([delivery])
        assert response.status == 201
    notification = await device.hear()
    await device.ack(notification)
    assert await device.silence()
    [response] = await service.gateway.accept([delivery])
    assert response.status == 201
    assert await device.silence()


async def test_a_drain_ends_at_the_limit(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    uaid = device.uaid
    await device.leave()
    for number in range(16):
        await service.push(endpoint, b"%02d" % number * 10)
    await device.back()
    for number in range(15):
        notification = await device.hear()
        assert int(data_of(notification)[:2]) == number
        await device.ack(notification)
    assert await device.closed() == 1000
    await device.back()
    assert device.uaid != uaid


async def test_a_message_is_taken_back(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await device.leave()
    response = await service.push(endpoint, b"oops" * 10)
    [answer] = await service.gateway.accept([request(response.headers["location"], method="DELETE")])
    assert answer.status == 204
    await device.back()
    assert await device.silence()
