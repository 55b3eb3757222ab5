"""Two servers on one PostgreSQL share the work: either may be killed, and PostgreSQL may go away and come back."""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from postgres_server import PostgresServer, find_binaries, running_server
from processes.server import Server
from processes.waiting import until
from processes.world import ROUNDS, Tell, new_world, seed

pytestmark = [pytest.mark.process, pytest.mark.postgres]

# A job that was under way comes back when its lease has run out: a round takes longer than on a single server.
SHARED_ROUNDS = max(3, ROUNDS // 4)


def two_servers(folder: Path, url: str) -> Sequence[Server]:
    """On one database, with one address for push endpoints, as behind a load balancer."""
    settings = {
        "DATABASE_URL": url,
        "PUBLIC_ENDPOINT_URL": "http://push.example",
        "PUSH_MESSAGE_LIMIT": "100000",
        "RATE_LIMITS": "off",
    }
    return [Server(folder / name, settings) for name in ("one", "other")]


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


@contextmanager
def restartable() -> Iterator[PostgresServer]:
    """A server of our own, whose end disturbs no other test; its databases keep what they have committed."""
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries) as server:
        yield server


def durable(server: PostgresServer) -> str:
    """A database in which what is committed outlives the server."""
    url = server.create("durable")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE durable SET synchronous_commit = on")
    return url


def crash_and_restart(server: PostgresServer) -> None:
    """As when it is killed: connections break, what was not committed is gone."""
    binaries = find_binaries()
    assert binaries is not None
    with psycopg.connect(server.url("postgres")) as connection:
        [folder] = connection.execute("SHOW data_directory").fetchone() or ()
    command = [str(binaries / "pg_ctl"), "restart", "-w", "-D", folder, "-m", "immediate"]
    if os.geteuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


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


async def test_both_recover_when_postgresql_goes_away_and_comes_back(tmp_path: Path, tell: Tell) -> None:
    with restartable() as postgres:
        servers = two_servers(tmp_path, durable(postgres))
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
