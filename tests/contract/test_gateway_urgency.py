"""RFC 8030 section 5.3: a device that asks for a least urgency gets the rest when it asks for less."""

import pytest

from clarion.model import Urgency
from contract.support_gateway import Device, PushService, data_of, push_service

EVERY = list(Urgency)


async def asks_for(device: Device, least: str) -> None:
    assert await device.ask({"messageType": "urgency", "min": least}) == {"messageType": "urgency", "status": 200}


async def push_one_of_each(service: PushService, endpoint: str, ttl: int = 60) -> None:
    for urgency in EVERY:
        await service.push(endpoint, urgency.encode(), ttl, Urgency=urgency)


@pytest.mark.parametrize("least", EVERY)
async def test_less_urgent_messages_wait_until_they_are_asked_for(least: Urgency) -> None:
    async with push_service() as service:
        device, endpoint = await service.subscribed()
        await asks_for(device, least)
        await push_one_of_each(service, endpoint)
        at_once = [await device.hear() for _ in least.and_above]
        assert [data_of(each).decode() for each in at_once] == list(least.and_above)
        assert await device.silence()
        await device.ack(*at_once)

        await asks_for(device, "very-low")
        waited = [urgency for urgency in EVERY if urgency not in least.and_above]
        assert [data_of(await device.hear()).decode() for _ in waited] == waited
        assert await device.silence()


async def test_without_a_word_everything_is_delivered() -> None:
    async with push_service() as service:
        device, endpoint = await service.subscribed()
        await push_one_of_each(service, endpoint)
        await service.push(endpoint, b"unsaid")
        assert [data_of(await device.hear()).decode() for _ in range(5)] == [*EVERY, "unsaid"]


async def test_what_waited_for_a_device_is_held_back_too_when_it_asks_right_after_its_hello() -> None:
    async with push_service() as service:
        device, endpoint = await service.subscribed()
        await device.leave()
        await push_one_of_each(service, endpoint)
        await device.connect()
        await device.say({"messageType": "hello", "use_webpush": True, "uaid": device.uaid})
        await device.say({"messageType": "urgency", "min": "high"})
        assert [(await device.hear())["messageType"] for _ in range(2)] == ["hello", "urgency"]
        urgent = await device.hear()
        assert data_of(urgent) == b"high"
        assert await device.silence()
        await device.ack(urgent)
        await device.back()  # another connection has not asked for anything
        assert [data_of(await device.hear()).decode() for _ in range(3)] == EVERY[:3]


async def test_an_instant_message_that_is_not_wanted_now_is_gone() -> None:
    async with push_service() as service:
        device, endpoint = await service.subscribed()
        await asks_for(device, "normal")
        await push_one_of_each(service, endpoint, ttl=0)
        assert [data_of(await device.hear()).decode() for _ in range(2)] == ["normal", "high"]
        await asks_for(device, "very-low")
        assert await device.silence()


@pytest.mark.parametrize("message", [{"min": "urgent"}, {"min": None}, {}])
async def test_an_unknown_urgency_ends_the_connection(message: dict[str, object]) -> None:
    async with push_service() as service:
        device, _ = await service.subscribed()
        await device.say({"messageType": "urgency", **message})
        assert await device.closed() == 1011
