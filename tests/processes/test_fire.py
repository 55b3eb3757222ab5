"""Killed in the middle of a fire: it is fired again, and every phone shows the message once."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from processes.ledger import Api
from processes.server import Server
from processes.simulator import Simulator
from processes.waiting import PATIENCE_S

pytestmark = pytest.mark.process

PEOPLE = 20
TOKENS = {f"u{number}": f"{number:064x}" for number in range(PEOPLE)}
SILENT = TOKENS["u7"]


async def state_of(api: Api, path: str, wanted: str) -> dict[str, Any]:
    """The notification, when it is in this state."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            told: dict[str, Any] = await api.call("GET", path)
            if told["state"] == wanted:
                return told
            await asyncio.sleep(0.02)


async def accepted(simulator: Simulator) -> int:
    """Messages that the service took, repeated ones too."""
    return int((await simulator.ask("GET"))["accepted"])


async def all_arrived(simulator: Simulator) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await accepted(simulator) < PEOPLE:  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0.01)


def registered_long_ago(server: Server) -> None:
    """Who registered in the seconds before is decided anew at the fire, and not from the prepared batch."""
    with contextlib.closing(sqlite3.connect(server.data / "clarion.db", timeout=30)) as database, database:
        database.execute("UPDATE device SET updated_at = updated_at - 3600000")


async def test_killed_in_the_middle_of_a_fire_and_fired_again_every_phone_shows_it_once(tmp_path: Path) -> None:
    simulator = Simulator("apns", tmp_path / "simulated")
    await simulator.start()
    server = Server(tmp_path, {"APNS_URL": simulator.about["url"], "PROVIDER_CA": simulator.about["ca_file"]})
    try:
        keys = await asyncio.to_thread(server.create_project, "shop")
        await server.start()
        async with Api(server.url, keys.server) as api:
            await api.call("POST", "/v1/credentials", simulator.credential)
            for user, token in TOKENS.items():
                await api.call("POST", "/v1/devices", {"user_id": user, "kind": "apns", "address": token})
            registered_long_ago(server)
            body = {"to": {"users": list(TOKENS)}, "title": "Goal!", "arm": True}
            path = f"/v1/notifications/{(await api.call('POST', '/v1/notifications', body))['id']}"
            await state_of(api, path, "armed")
            assert await accepted(simulator) == 0

            # One phone's answer does not come, so the batch is not done when all messages have arrived.
            await simulator.ask("PUT", "/script", {SILENT: {"do": "stall", "accepted": True, "times": 1}})
            fired = await api.call("POST", f"{path}/fire")
            await all_arrived(simulator)
            server.kill()
            await server.start()
            assert (await api.call("POST", f"{path}/fire"))["fired_at"] == fired["fired_at"]
            told = await state_of(api, path, "done")
        assert told["counts"]["deliveries"] == {"accepted": PEOPLE}
        assert await accepted(simulator) == 2 * PEOPLE, "nothing was written when it was killed"
        shown = [await simulator.device(token) for token in TOKENS.values()]
        assert [device["notifications"] for device in shown] == [1] * PEOPLE
    finally:
        server.kill()
        simulator.kill()
