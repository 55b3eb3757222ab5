"""One call, a hundred thousand phones, and `kill -9` of whoever takes part: none lost, and every phone shows it once.

Workers, the API, PostgreSQL and the push services die in turn while messages leave. What was handed over without an
answer is handed over again, under the same id: a phone that has it already shows nothing new.
"""

import time
from pathlib import Path

import pytest

from processes.sending import World, by_role, driver_url, killable_postgres, new_world
from processes.server import Server
from processes.world import ROUNDS, Tell

pytestmark = [pytest.mark.process, pytest.mark.soak]

PHONES = min(100_000, 200 * ROUNDS)
NOTIFICATIONS = max(1, ROUNDS // 400)


@pytest.mark.postgres
@pytest.mark.usefixtures("postgres_server")  # which says what to do where there is none
async def test_two_workers_on_postgresql(tmp_path: Path, tell: Tell) -> None:
    with killable_postgres() as (postgres, victim):
        url = postgres.create("killed")
        servers = by_role(tmp_path, url)
        async with new_world(tmp_path, PHONES, servers, driver_url(url), tell, [victim]) as world:
            began = time.monotonic()
            for number in range(NOTIFICATIONS):
                await world.send()
                await world.send(collapse_key=f"sale {number}", script=True)
            await give_account(world, began, tell)
            for server in servers.values():
                await server.stop()


async def test_one_process_on_sqlite(tmp_path: Path, tell: Tell) -> None:
    server = Server(tmp_path, {}, role="api,worker")
    database = f"sqlite:///{server.data}/clarion.db"
    async with new_world(tmp_path, PHONES, {"server": server}, database, tell) as world:
        began = time.monotonic()
        for _ in range(NOTIFICATIONS):
            await world.send()
        await give_account(world, began, tell)
        await server.stop()
        assert not server.complaints(), "\n".join(server.complaints()[:20])


async def give_account(world: World, began: float, tell: Tell) -> None:
    """In numbers for people; fails with all that is not as it must be."""
    tell(world.account(time.monotonic() - began))
    wrong = await world.wrong()
    assert not wrong, "\n".join([*wrong[:20], f"{len(wrong)} in all"])
