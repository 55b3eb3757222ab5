"""From one POST to a phone's screen: the real server, and APNs and FCM simulated in processes of their own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from processes.ledger import Api
from processes.server import Server
from processes.simulator import Simulator
from processes.waiting import PATIENCE_S

pytestmark = pytest.mark.process

TOKENS = {"apns": ("ab" * 32, "cd" * 32), "fcm": ("d" * 40, "e" * 40)}
UNREGISTERED = {"apns": "Unregistered", "fcm": "UNREGISTERED"}
LATER = {"apns": "ServiceUnavailable", "fcm": "UNAVAILABLE"}


@pytest.fixture(params=["apns", "fcm"])
async def service(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Simulator]:
    simulator = Simulator(request.param, tmp_path / "simulated")
    await simulator.start()
    yield simulator
    simulator.kill()


async def deliveries(api: Api, user: str, *states: str) -> list[dict[str, Any]]:
    """The deliveries of a person, when each of them is in one of these states."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            items: list[dict[str, Any]] = (await api.call("GET", f"/v1/deliveries?user_id={user}"))["items"]
            if items and all(item["state"] in states for item in items):
                return items
            await asyncio.sleep(0.02)


def receipt_of(kind: str, payload: dict[str, Any]) -> str:
    """Where an app finds its receipt token."""
    return str(payload["clarion"]["receipt"] if kind == "apns" else payload["data"]["clarion.receipt"])


async def test_from_a_call_to_a_screen_and_from_a_refusal_to_a_retired_device(
    service: Simulator, tmp_path: Path
) -> None:
    kind = service.about["service"]
    token, dead = TOKENS[kind]
    settings = {f"{kind.upper()}_URL": service.about["url"], "PROVIDER_CA": service.about["ca_file"]}
    server = Server(tmp_path, settings)
    await server.start()
    try:
        keys = await asyncio.to_thread(server.create_project, "shop")
        async with Api(server.url, keys.server) as api:
            await api.call("POST", "/v1/credentials", {**service.credential, "check": True})
            for user, address in (("ada", token), ("bob", dead)):
                await api.call("POST", "/v1/devices", {"user_id": user, "kind": kind, "address": address})
            again = {"do": "refuse", "reason": LATER[kind], "retry_after": 1, "times": 1}
            script = {token: [again, {"do": "hangup", "accepted": True, "times": 1}],
                      dead: {"do": "refuse", "reason": UNREGISTERED[kind]}}  # fmt: skip
            await service.ask("PUT", "/script", script)
            await api.call("POST", "/v1/notifications", {"to": {"users": ["ada", "bob"]}, "title": "Shipped"})
            [sent] = await deliveries(api, "ada", "accepted")
            [lost] = await deliveries(api, "bob", "failed")
            assert (lost["reason"], sent["attempts"]) == ("device_gone", 3)
            # Sent again because nobody knew whether it had arrived: shown once all the same.
            shown = await service.device(token)
            assert (shown["accepted"], shown["notifications"]) == (2, 1)
            devices = (await api.call("GET", "/v1/users/bob/devices"))["items"]
            assert [device["state"] for device in devices] == ["retired"]
            message = (await service.ask("GET", "/messages"))["messages"][-1]
            receipt = receipt_of(kind, message["payload"])
            await api.call("POST", "/v1/receipts", {"receipt": receipt, "kind": "displayed"})
            assert (await deliveries(api, "ada", "displayed"))[0]["id"] == sent["id"]
    finally:
        await server.stop()
    assert not server.complaints(), "\n".join(server.complaints()[:20])
