"""Two servers on one PostgreSQL share the work: either may be killed, and PostgreSQL may go away and come back."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest

from postgres_server import KILLABLE, PostgresServer, find_binaries, running_server
from processes.ledger import Api
from processes.server import Server
from processes.waiting import PATIENCE_S, until
from processes.world import ROUNDS, Tell, new_world, seed

pytestmark = [pytest.mark.process, pytest.mark.postgres]

# A job that was under way comes back when its lease has run out: a round takes longer than on a single server.
SHARED_ROUNDS = max(3, ROUNDS // 4)


def two_servers(folder: Path, url: str) -> Sequence[Server]:
    """On one database, with one address for push endpoints, as behind a load balancer."""
    settings = {"PUBLIC_ENDPOINT_URL": "http://push.example", "PUSH_MESSAGE_LIMIT": "100000", "RATE_LIMITS": "off"}
    return [
        Server(folder / name, {**settings, "DATABASE_URL": f"{url}?application_name={name}"})
        for name in ("one", "other")
    ]


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


@contextmanager
def restartable() -> Iterator[PostgresServer]:
    """A server of our own, whose end disturbs no other test; what is committed outlives its processes."""
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries, KILLABLE) as server:
        yield server


def crash_and_restart(server: PostgresServer) -> None:
    """It is killed: connections break, what was not committed is gone."""
    server.kill()
    server.start()


@pytest.mark.soak
async def test_killing_either_of_two_loses_nothing_and_doubles_nothing(
    tmp_path: Path, empty_database: str, tell: Tell
) -> None:
    starting = seed()
    tell(f"CLARION_SOAK_SEED={starting}")
    servers = two_servers(tmp_path, empty_database)
    async with new_world(servers, starting=starting) as world:
        async with world.traffic.flowing():
            for number in range(SHARED_ROUNDS):
                victim = world.chance.choice(servers)
                await world.strike(victim)
                if number % 5 == 4:  # and sometimes nobody is left
                    for server in servers:
                        server.kill()
                await asyncio.gather(*(server.start() for server in servers if not server.running))
        account = await world.account(SHARED_ROUNDS)
        tell(f"{account}\nversions that came again and were ignored: {sum(d.repeated for d in world.devices)}")
        assert not account.wrong, str(account)
        for server in servers:
            await server.stop()
            assert not server.complaints(), "\n".join(server.complaints()[:20])


async def test_what_one_server_accepts_reaches_a_device_that_the_other_holds(
    tmp_path: Path, empty_database: str
) -> None:
    servers = two_servers(tmp_path, empty_database)
    async with new_world(servers, names=("ben",)) as world:
        [device] = world.devices
        for accepting, holding in (servers, servers[::-1]):
            await device.move_to(holding.push_url)
            world.traffic.urls = [accepting.url]
            for number in range(20):
                await world.send(f"by {accepting.port}, number {number}")
        account = await world.account(0)
    assert not account.wrong, str(account)


async def test_a_wake_up_that_gets_lost_delays_a_message_and_does_not_lose_it(
    tmp_path: Path, empty_database: str
) -> None:
    accepting, holding = servers = two_servers(tmp_path, empty_database)
    async with new_world(servers, names=("ben",)) as world:
        [device] = world.devices
        await device.move_to(holding.push_url)
        world.traffic.urls = [accepting.url]
        await world.send("heard")
        async with deaf(empty_database, holding.data.parent.name):
            world.traffic.ask(world.traffic.notification("not heard", world.traffic.users))
            await world.traffic.settle()
            async with world.api as api:
                await until_accepted(api, 2)
        await until(lambda: len(device.received) == 2, "the message reaches the device all the same")
        account = await world.account(0)
    assert not account.wrong, str(account)


@asynccontextmanager
async def deaf(url: str, server: str) -> AsyncIterator[None]:
    """That server listens to nobody: its connection breaks as soon as it listens."""
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = %s AND query LIKE 'LISTEN%%'"
    )
    count = 0

    async def keep_cutting(connection: psycopg.AsyncConnection) -> None:
        nonlocal count
        while True:
            [number] = await (await connection.execute(cut, (server,))).fetchone() or (0,)
            count += number
            await asyncio.sleep(0.002)

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cutting = asyncio.create_task(keep_cutting(connection))
        await until(lambda: count > 0, "it is deaf")
        yield
        cutting.cancel()
        await asyncio.wait([cutting])


async def until_accepted(api: Api, number: int) -> None:
    """Until the push service has so many messages."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while [item["state"] async for item in api.all("/v1/deliveries")].count("accepted") < number:
        assert asyncio.get_running_loop().time() < deadline, "the push service does not get the message"
        await asyncio.sleep(0.05)


@pytest.mark.usefixtures("postgres_server")  # which says what to do where there is none
async def test_both_recover_when_postgresql_goes_away_and_comes_back(tmp_path: Path, tell: Tell) -> None:
    with restartable() as postgres:
        servers = two_servers(tmp_path, postgres.create("killed"))
        async with new_world(servers) as world:
            async with world.traffic.flowing():
                for number in range(1, 4):
                    world.traffic.left += 100
                    await until(lambda: len(world.traffic.answered) >= 30 * number, "traffic flows")  # noqa: B023 - at once
                    await asyncio.to_thread(crash_and_restart, postgres)
                world.traffic.left += 10
            account = await world.account(3)
            tell(str(account))
            assert not account.wrong, str(account)
            for server in servers:
                assert server.running
                assert len(server.started_in) == 1
                await server.stop()
