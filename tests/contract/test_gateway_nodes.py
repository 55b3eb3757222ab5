"""Several gateway nodes on one store: a message finds its socket wherever that is; a store that fails loses nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import uuid4

import pytest

from clarion.gateway import Gateway
from clarion.ports import PushStore
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.bus import LocalBus
from contract.support_gateway import (
    ORIGIN,
    PATIENCE_S,
    Device,
    Meddler,
    PushService,
    data_of,
    new_gateway,
    new_settings,
    push_service,
    random_body,
    request,
)


@pytest.fixture
def meddler(clock: ManualClock) -> Meddler:
    return Meddler(MemoryStore(clock).push)


@pytest.fixture
async def service(meddler: Meddler, clock: ManualClock) -> AsyncIterator[PushService]:
    async with push_service(cast("PushStore", meddler), clock) as running:
        yield running


@pytest.fixture
async def nodes(meddler: Meddler, clock: ManualClock) -> AsyncIterator[tuple[PushService, PushService, Gateway]]:
    """Two nodes with sockets, and a worker's gateway without."""
    store, bus = cast("PushStore", meddler), LocalBus()
    async with push_service(store, clock, bus) as one, push_service(store, clock, bus) as two:
        yield one, two, new_gateway(store, clock, new_settings(), bus)
    await bus.close()


async def move(device: Device, to: PushService) -> None:
    """The device's connection breaks without a word, and it connects elsewhere."""
    other = await to.device()
    await other.hello(uaid=device.uaid)
    device.url, device._session, device._socket = other.url, other._session, other._socket


async def test_a_message_goes_to_the_node_that_holds_the_socket(
    nodes: tuple[PushService, PushService, Gateway],
) -> None:
    one, two, worker = nodes
    device, endpoint = await one.subscribed()
    await two.push(endpoint, b"from the other node")
    first = await device.hear()
    [answer] = await worker.accept([request(endpoint, b"from a worker")])
    second = await device.hear()
    assert (data_of(first), data_of(second)) == (b"from the other node", b"from a worker")
    assert answer.status == 201
    await device.ack(first, second)
    assert await device.silence()


async def test_an_instant_message_goes_there_too(nodes: tuple[PushService, PushService, Gateway]) -> None:
    one, two, worker = nodes
    device, endpoint = await one.subscribed()
    await two.push(endpoint, b"instant" * 10, ttl=0)
    assert data_of(await device.hear()) == b"instant" * 10
    await worker.accept([request(endpoint, b"another" * 10, ttl=0)])
    assert data_of(await device.hear()) == b"another" * 10


async def test_the_device_moved_while_its_message_was_stored(
    nodes: tuple[PushService, PushService, Gateway], meddler: Meddler
) -> None:
    one, two, worker = nodes
    device, endpoint = await one.subscribed()

    async def move_away() -> None:
        await move(device, two)
        assert await device.silence()  # it has looked into the store, and the message was not there yet

    meddler.before["add"] = move_away
    [answer] = await worker.accept([request(endpoint, b"m" * 40)])
    assert answer.status == 201
    assert data_of(await device.hear()) == b"m" * 40
    assert await device.silence()


async def test_the_device_moved_to_the_node_that_stores(
    nodes: tuple[PushService, PushService, Gateway], meddler: Meddler
) -> None:
    one, two, _ = nodes
    device, endpoint = await one.subscribed()
    meddler.before["add"] = lambda: move(device, two)
    await two.push(endpoint, b"m" * 40)
    assert data_of(await device.hear()) == b"m" * 40
    assert await device.silence()


async def test_the_device_came_back_while_its_message_was_stored(service: PushService, meddler: Meddler) -> None:
    device, endpoint = await service.subscribed()

    async def reconnect() -> None:
        await device.back()

    for before in ("add", "channels"):
        meddler.before[before] = reconnect
        await service.push(endpoint, b"m" * 40)
        notification = await device.hear()
        assert data_of(notification) == b"m" * 40
        assert await device.silence()
        await device.ack(notification)


@pytest.mark.parametrize("leaves", [True, False])
async def test_the_end_of_an_old_connection_does_not_hide_the_new_one(
    service: PushService, meddler: Meddler, leaves: bool
) -> None:
    device, _ = await service.subscribed()
    [channel_id] = device.endpoints
    noted = asyncio.Event()

    async def slowly() -> None:
        await asyncio.sleep(0.05)
        noted.set()

    meddler.before["gone"] = slowly
    if leaves:
        await device.leave()
    second = await service.device()
    await second.hello(uaid=device.uaid)
    await noted.wait()
    assert await second.silence()
    [channel] = await meddler.channels([(second.uaid, channel_id)])
    assert channel.node == service.gateway._node.id


async def test_a_message_read_by_a_drain_is_not_sent_again_directly(service: PushService, meddler: Meddler) -> None:
    device, endpoint = await service.subscribed()
    read: list[Any] = []
    inner = meddler._inner

    class Slow:
        """The message is on disk, read and acknowledged before the one who stored it hears of it."""

        async def add(self, messages: Any, now: int) -> Any:
            keys = await inner.add(messages, now)
            await device.back()
            read.append(await device.hear())
            await device.ack(read[0])
            assert await device.silence()
            return keys

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    meddler._inner = cast("PushStore", Slow())
    await service.push(endpoint, b"once" * 10)
    meddler._inner = inner
    assert data_of(read[0]) == b"once" * 10
    assert await device.silence()


async def test_what_nobody_understands_on_the_bus_does_nothing(clock: ManualClock) -> None:
    bus = LocalBus()
    async with push_service(clock=clock, bus=bus) as service:
        device, endpoint = await service.subscribed()
        for payload in (b"", b"\xff\xff", b"\x81\xa4type\xa5other"):
            await bus.publish(f"push.{service.gateway._node.id}", payload)
        await asyncio.sleep(0)
        await service.push(endpoint, b"n" * 40)
        assert data_of(await device.hear()) == b"n" * 40


async def test_a_bus_that_fails_loses_no_message(clock: ManualClock) -> None:
    class BrokenBus(LocalBus):
        async def publish(self, topic: str, payload: bytes = b"") -> None:
            raise ConnectionError(topic, payload)

    store = MemoryStore(clock).push
    async with push_service(store, clock) as service:
        device, endpoint = await service.subscribed()
        worker = new_gateway(store, clock, new_settings(), BrokenBus())
        answers = await worker.accept([request(endpoint, b"b" * 40), request(endpoint, b"lost" * 10, ttl=0)])
        assert [answer.status for answer in answers] == [201, 201]
        await device.back()
        assert data_of(await device.hear()) == b"b" * 40
        assert await device.silence()


# --- a store that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["channels", "add"])
async def test_what_cannot_be_stored_is_answered_503(service: PushService, meddler: Meddler, broken: str) -> None:
    device, endpoint = await service.subscribed()
    meddler.broken = {broken}
    response = await service.post(endpoint, random_body())
    assert (response.status, json.loads(response.body)["errno"]) == (503, 201)
    assert response.headers["retry-after"] == "7"
    meddler.broken = set()
    await service.push(endpoint, b"again" * 10)
    assert data_of(await device.hear()) == b"again" * 10


async def test_an_error_that_nobody_foresaw_is_answered_503(service: PushService, meddler: Meddler) -> None:
    async def fail() -> None:
        raise RuntimeError("driver")

    _, endpoint = await service.subscribed()
    for before in ("channels", "add", "delete"):
        meddler.before[before] = fail
        method = "DELETE" if before == "delete" else "POST"
        url = f"{ORIGIN}/m/{service.gateway._endpoint._extractor.message_id(1, 2)}" if before == "delete" else endpoint
        [response] = await service.gateway.accept([request(url, method=method)])
        assert (response.status, json.loads(response.body)["errno"]) == (503, 201)
        assert int(response.headers["retry-after"]) > 0


async def test_a_store_that_fails_for_stored_messages_leaves_the_instant_ones(
    service: PushService, meddler: Meddler
) -> None:
    device, endpoint = await service.subscribed()
    meddler.broken = {"add"}
    answers = await service.gateway.accept([request(endpoint, b"s" * 40), request(endpoint, b"i" * 40, ttl=0)])
    assert [answer.status for answer in answers] == [503, 201]
    assert data_of(await device.hear()) == b"i" * 40


async def test_commands_that_fail_are_answered_500(service: PushService, meddler: Meddler) -> None:
    device, _ = await service.subscribed()
    meddler.broken = {"register", "unregister"}
    channel_id = str(uuid4())
    answer = await device.ask({"messageType": "register", "channelID": channel_id})
    assert (answer["status"], answer["channelID"]) == (500, channel_id)
    answer = await device.ask({"messageType": "unregister", "channelID": channel_id})
    assert answer == {"messageType": "unregister", "channelID": channel_id, "status": 500}
    meddler.broken = set()
    await device.register(channel_id)


@pytest.mark.parametrize("broken", ["hello", "waiting", "gone"])
async def test_a_device_comes_back_when_the_store_does(service: PushService, meddler: Meddler, broken: str) -> None:
    device, endpoint = await service.subscribed()
    uaid = device.uaid
    await device.leave()
    meddler.broken = {broken}
    await service.push(endpoint, b"kept" * 10)
    if broken != "gone":
        await device.connect()
        await device.say({"messageType": "hello", "use_webpush": True, "uaid": uaid})
        if broken == "waiting":
            assert (await device.hear())["uaid"] == uaid
        assert await device.closed() == 1011
    meddler.broken = set()
    await device.back()
    assert device.uaid == uaid
    assert data_of(await device.hear()) == b"kept" * 10


async def test_an_ack_that_cannot_be_written_brings_the_message_again(service: PushService, meddler: Meddler) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, b"twice" * 10)
    notification = await device.hear()
    meddler.broken = {"acknowledge"}
    await device.ack(notification)
    assert await device.silence()
    meddler.broken = set()
    await device.back()
    assert await device.hear() == notification
    await device.ack(notification)
    await device.back()
    assert await device.silence()


async def test_acks_that_get_lost_late_are_not_held_against_the_next_connection(
    service: PushService, meddler: Meddler
) -> None:
    (device, endpoint), (other, _) = await service.subscribed(), await service.subscribed()
    await service.push(endpoint, b"twice" * 10)
    notification = await device.hear()
    lost = asyncio.Event()

    async def fail_late() -> None:
        await lost.wait()
        raise RuntimeError("the disk is gone")

    meddler.before["acknowledge"] = fail_late
    await device.ack(notification)
    async with asyncio.timeout(PATIENCE_S):
        while "acknowledge" not in meddler.calls:  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.005)
    await device.leave()
    for _ in range(10):  # the server has seen that it left
        await other.silence()
    coming = asyncio.create_task(device.back())
    for _ in range(10):
        await other.silence()
    lost.set()
    await coming
    assert await device.hear() == notification
