"""Told to end in the middle of sending, a process finishes what it has begun: no message is handed over twice."""

from functools import partial
from pathlib import Path

import pytest

from postgres_server import PostgresServer
from processes.sending import World, by_role, driver_url, new_world
from processes.server import Server
from processes.test_stopping import ENDS_WITHIN_S
from processes.waiting import until
from processes.world import Tell

pytestmark = pytest.mark.process

PHONES = 1_000  # one batch at each service: well within the time that a process has to end


async def end_in_the_middle(server: Server, instead: Server, tell: Tell, world: World) -> None:
    """SIGTERM when the first messages are out; afterwards somebody else goes on."""
    before = world.phones.written()
    await until(lambda: world.phones.written() > before, "the first messages are accepted")
    already = world.phones.written() - before
    tell(f"ended {await server.stop(ENDS_WITHIN_S):.2f} s after it was asked to, with {already} bytes accepted")
    await instead.start()


async def nothing_twice(world: World) -> None:
    """All arrived, and the services saw each message once."""
    wrong = await world.wrong()
    assert not wrong, "\n".join(wrong[:20])
    assert world.again == 0


@pytest.mark.postgres
async def test_a_worker_and_then_the_api(tmp_path: Path, postgres_server: PostgresServer, tell: Tell) -> None:
    with postgres_server.database() as url:
        servers = by_role(tmp_path, url)
        api, one, two = servers.values()
        async with new_world(tmp_path, PHONES, servers, driver_url(url), tell) as world:
            await two.stop()
            await world.send(partial(end_in_the_middle, one, two, tell))
            await world.send(partial(end_in_the_middle, api, api, tell))
            await nothing_twice(world)
            for server in (api, two):
                await server.stop()
                assert not server.complaints(), "\n".join(server.complaints()[:20])
            assert not one.complaints(), "\n".join(one.complaints()[:20])


async def test_everything_in_one_process(tmp_path: Path, tell: Tell) -> None:
    server = Server(tmp_path, {})
    async with new_world(tmp_path, PHONES, {"server": server}, f"sqlite:///{server.data}/clarion.db", tell) as world:
        await world.send(partial(end_in_the_middle, server, server, tell))
        await nothing_twice(world)
        await server.stop()
        assert not server.complaints(), "\n".join(server.complaints()[:20])
