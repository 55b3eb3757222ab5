"""`kill -9` of the server, again and again: what was accepted is not lost, and reaches nobody twice."""

import asyncio
import random
from pathlib import Path

import pytest

from processes.ledger import Api
from processes.server import Server
from processes.world import ROUNDS, Tell, new_world, seed

pytestmark = pytest.mark.process

# A device that was away for a round finds more messages than one that was away over night would keep.
SETTINGS = {"PUSH_MESSAGE_LIMIT": "100000", "RATE_LIMITS": "off"}


@pytest.mark.soak
async def test_killed_at_any_moment_it_loses_nothing_and_doubles_nothing(tmp_path: Path, tell: Tell) -> None:
    starting = seed()
    tell(f"CLARION_SOAK_SEED={starting}")
    server = Server(tmp_path, SETTINGS)
    async with new_world([server], starting=starting) as world:
        wanderer = world.devices[-1]
        async with world.traffic.flowing():
            for number in range(ROUNDS):
                if number % 3 == 1:
                    await wanderer.go_offline()
                await world.strike(server)
                if number % 7 == 3:  # also while it begins
                    server.spawn()
                    await asyncio.sleep(world.chance.uniform(0, 1.5))
                    server.kill()
                await server.start()
                await wanderer.go_online()
        account = await world.account(ROUNDS)
        tell(f"{account}\nversions that came again and were ignored: {sum(d.repeated for d in world.devices)}")
        tell(f"started in {server.start_times}")
        assert not account.wrong, str(account)
        await server.stop()
    assert not server.complaints(), "\n".join(server.complaints()[:20])


async def test_killed_while_it_begins_for_the_first_time_it_begins_again(tmp_path: Path, tell: Tell) -> None:
    starting = seed()
    tell(f"CLARION_SOAK_SEED={starting}")
    chance = random.Random(starting)
    for number in range(4):
        server = Server(tmp_path / str(number), {"SECRET_KEY": ""})  # it makes its own key file
        try:
            for _ in range(2):
                server.spawn()
                await asyncio.sleep(chance.uniform(0.3, 1.2))
                server.kill()
            await server.start()
            keys = await asyncio.to_thread(server.create_project, "shop")
            async with Api(server.url, keys.server) as api:
                assert (await api.call("GET", "/v1/project"))["name"] == "shop"
            assert not server.complaints(), "\n".join(server.complaints())
        finally:
            server.kill()
