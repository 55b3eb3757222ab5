"""Floods at the push endpoint are slowed down by address and by subscription; our own sender never is."""

import json

import pytest

from clarion.api.limits import Buckets
from clarion.gateway import Limits
from clarion.testing import ManualClock
from contract.support_gateway import PushService, push_service, request

HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def limits(clock: ManualClock) -> Limits:
    return Limits(by_address=Buckets(clock, 1, 6), by_token=Buckets(clock, 0.5, 3))


async def statuses(service: PushService, endpoint: str, count: int, address: str | None = HERE) -> list[int]:
    return [each.status for each in await service.gateway.accept([request(endpoint)] * count, address)]


async def test_a_subscription_takes_so_many_messages_from_whomever(limits: Limits, clock: ManualClock) -> None:
    async with push_service(clock=clock, limits=limits) as service:
        _, endpoint = await service.subscribed()
        _, other = await service.subscribed()
        assert await statuses(service, endpoint, 2) == [201, 201]
        assert await statuses(service, endpoint, 2, THERE) == [201, 429]
        assert await statuses(service, other, 1) == [201]
        [refused] = await service.gateway.accept([request(endpoint)], HERE)
        assert refused.headers["retry-after"] == "2"
        body = json.loads(refused.body)
        assert (body["code"], body["errno"]) == (429, None)
        assert "2 s" in body["message"]
        clock.advance(2_000)
        assert await statuses(service, endpoint, 2) == [201, 429]


async def test_an_address_may_ask_so_often_whatever_it_wants(limits: Limits, clock: ManualClock) -> None:
    async with push_service(clock=clock, limits=limits) as service:
        _, endpoint = await service.subscribed()
        assert await statuses(service, "http://push.test/wpush/v1/forged", 7) == [404] * 6 + [429]
        assert await statuses(service, endpoint, 1) == [429]
        assert await statuses(service, endpoint, 1, THERE) == [201]


async def test_forged_tokens_cost_no_subscription_its_turn(limits: Limits, clock: ManualClock) -> None:
    async with push_service(clock=clock, limits=limits) as service:
        _, endpoint = await service.subscribed()
        await statuses(service, endpoint[:-4] + "AAAA", 5, THERE)
        assert await statuses(service, endpoint, 3) == [201] * 3


async def test_our_own_sender_is_exempt(limits: Limits, clock: ManualClock) -> None:
    async with push_service(clock=clock, limits=limits) as service:
        _, endpoint = await service.subscribed()
        assert await statuses(service, endpoint, 50, None) == [201] * 50
