"""Pushes to our own devices stay in the process; what was sent before is not delivered again."""

from collections.abc import AsyncIterator, Sequence

import pytest

from clarion.ports import HttpBatch, HttpRequest, HttpResponse
from clarion.testing import ManualClock
from clarion.transport.local import LocalTransport
from contract.support_batches import send
from contract.support_gateway import ORIGIN, PushService, data_of, push_service, request

BODY = b"b" * 60


class Elsewhere:
    """Everybody else's services: says what it was asked."""

    def __init__(self) -> None:
        self.closed = False

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        return [HttpResponse(299, {}, (batch.origin + request.path).encode()) for request in batch.requests]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def service(clock: ManualClock) -> AsyncIterator[PushService]:
    async with push_service(clock=clock) as running:
        yield running


async def test_ours_stay_here_and_all_are_answered_in_order(service: PushService) -> None:
    elsewhere = Elsewhere()
    transport = LocalTransport(ORIGIN, service.gateway.accept, elsewhere)
    device, endpoint = await service.subscribed()
    others = ["https://updates.example/1", ORIGIN + ".evil.example/wpush/v1/x", ORIGIN + ":99/wpush/v1/x", ORIGIN]
    requests = [
        request(others[0]),
        request(endpoint, BODY),
        *(request(url) for url in others[1:]),
        request(ORIGIN + "/no"),
    ]
    responses = await send(transport, requests)
    assert [response.status for response in responses] == [299, 201, 299, 299, 404, 404]
    assert [response.body.decode() for response in responses if response.status == 299] == others[:-1]
    assert data_of(await device.hear()) == BODY
    await transport.close()
    assert elsewhere.closed


async def test_nothing_is_nothing(service: PushService) -> None:
    assert await send(LocalTransport(ORIGIN, service.gateway.accept, Elsewhere()), []) == []


@pytest.mark.parametrize("acknowledged", [False, True])
async def test_what_is_sent_again_after_a_crash_comes_once(service: PushService, acknowledged: bool) -> None:
    transport = LocalTransport(ORIGIN, service.gateway.accept, Elsewhere())
    device, endpoint = await service.subscribed()
    delivery = request(endpoint, BODY, id=b"delivery id 0001")
    [first] = await send(transport, [delivery])
    notification = await device.hear()
    if acknowledged:
        await device.ack(notification)
    assert await device.silence()
    for _ in range(3):
        [again] = await send(transport, [delivery])
        assert (first.status, again.status) == (201, 201)
        assert await device.silence()
    [other] = await send(transport, [request(endpoint, b"other" * 10, id=b"delivery id 0002")])
    assert other.status == 201
    assert data_of(await device.hear()) == b"other" * 10


async def test_twice_in_one_batch_is_once(service: PushService) -> None:
    transport = LocalTransport(ORIGIN, service.gateway.accept, Elsewhere())
    device, endpoint = await service.subscribed()
    delivery = request(endpoint, BODY, id=b"delivery id 0001")
    assert [response.status for response in await send(transport, [delivery, delivery])] == [201, 201]
    assert data_of(await device.hear()) == BODY
    assert await device.silence()


async def test_a_topic_of_our_own_sender_replaces(service: PushService) -> None:
    transport = LocalTransport(ORIGIN, service.gateway.accept, Elsewhere())
    device, endpoint = await service.subscribed()
    await device.leave()
    for number in range(3):
        body = b"%d" % number * 30
        await send(transport, [request(endpoint, body, id=b"delivery id %04d" % number, Topic="order-17")])
    await device.back()
    assert data_of(await device.hear()) == b"2" * 30
    assert await device.silence()


async def test_a_failure_of_our_own_is_told_as_no_answer() -> None:
    async def fail(requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        raise RuntimeError(len(requests))

    [ours, other] = await send(
        LocalTransport(ORIGIN, fail, Elsewhere()), [request(ORIGIN + "/x"), request("https://a.b")]
    )
    assert (ours.status, ours.error) == (0, "our own push service failed")
    assert other.status == 299
