"""The Matrix gateway of UnifiedPush: what a homeserver sends reaches the app behind the endpoint, or is rejected."""

import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from clarion.api.limits import Buckets
from clarion.crypto.p256 import KeyPair
from clarion.gateway import Limits, matrix
from clarion.testing import ManualClock
from contract.support_gateway import PushService, data_of, http_server, push_service


class Gate:
    """The gateway's mount over HTTP."""

    def __init__(self, service: PushService, client: aiohttp.ClientSession) -> None:
        self.service, self.client = service, client

    async def notify(self, *keys: str, **more: Any) -> tuple[int, Any]:
        devices = [{"app_id": "im.app", "pushkey": key} for key in keys]
        return await self.post(json.dumps({"notification": {"event_id": "$1", "devices": devices, **more}}))

    async def post(self, body: str | bytes) -> tuple[int, Any]:
        async with self.client.post(self.service.origin + matrix.PATH, data=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def gate(clock: ManualClock) -> AsyncIterator[Gate]:
    limits = Limits(by_address=Buckets(clock, 1, 100), by_token=Buckets(clock, 1, 3))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with (
            push_service(origin=origin, clock=clock, limits=limits) as service,
            http_server(service.gateway.mounts[matrix.PATH], listening),
            aiohttp.ClientSession() as client,
        ):
            yield Gate(service, client)


async def test_an_app_that_asks_is_told(gate: Gate) -> None:
    async with gate.client.get(gate.service.origin + matrix.PATH) as answer:
        assert (await answer.json())["unifiedpush"] == {"gateway": "matrix"}


async def test_a_notification_reaches_each_of_its_devices(gate: Gate) -> None:
    devices = [await gate.service.subscribed() for _ in range(2)]
    assert await gate.notify(*(endpoint for _, endpoint in devices), counts={"unread": 3}) == (200, {"rejected": []})
    for device, _ in devices:
        message = json.loads(data_of(await device.hear()))
        assert message == {"notification": {"event_id": "$1", "counts": {"unread": 3}}}


async def test_keys_that_are_no_endpoint_of_ours_or_are_gone_are_rejected(gate: Gate) -> None:
    device, endpoint = await gate.service.subscribed()
    channel = next(iter(device.endpoints))
    alive = await device.register()
    bound = await device.register(key=KeyPair.generate().public_text)  # only the holder of that key may send
    await device.ask({"messageType": "unregister", "channelID": channel})
    bad = [endpoint, "http://127.0.0.1:1/wpush/v1/x", endpoint[:-4] + "AAAA", bound, "nonsense"]
    status, answer = await gate.notify(*bad, alive)
    assert (status, set(answer["rejected"])) == (200, set(bad))
    assert data_of(await device.hear())


async def test_a_homeserver_that_sends_too_much_is_to_come_later(gate: Gate) -> None:
    _, endpoint = await gate.service.subscribed()
    for _ in range(3):
        assert (await gate.notify(endpoint))[0] == 200
    status, answer = await gate.notify(endpoint)
    assert (status, answer["errcode"]) == (429, "M_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"notification":[]}',
        '{"notification":{}}',
        '{"notification":{"devices":[]}}',
        '{"notification":{"devices":[{"pushkey":1}]}}',
        "[" * 5000,
        "x" * 70000,
    ],
)
async def test_what_is_no_notification_is_refused(gate: Gate, body: str) -> None:
    status, answer = await gate.post(body)
    assert (status, answer["errcode"]) == (400, "M_BAD_JSON")
    assert answer["error"]


async def test_other_methods_are_refused(gate: Gate) -> None:
    async with gate.client.put(gate.service.origin + matrix.PATH) as answer:
        assert answer.status == 405
