"""The narrow moments of a crash, each met on purpose: between one thing that is done and the next that is not."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from processes.server import Server
from processes.waiting import until
from processes.world import World, new_world

pytestmark = pytest.mark.process

ALONE = ("ben",)  # who sends no receipts: what is recorded, the server has recorded by itself


class Database:
    """The server's own file, opened beside it."""

    def __init__(self, server: Server) -> None:
        self._path = server.data / "clarion.db"

    @contextmanager
    def refusing(self, statement: str) -> Iterator[None]:
        """A kind of statement fails, such as `UPDATE ON delivery`: the moment just before it lasts."""
        self._run(f"CREATE TRIGGER refusing BEFORE {statement} BEGIN SELECT RAISE(ABORT, 'not now'); END")
        try:
            yield
        finally:
            self._run("DROP TRIGGER refusing")

    def acknowledged(self) -> bool:
        """Whether no message waits for a device."""
        return self._run("SELECT count(*) FROM push_message WHERE data IS NOT NULL") == [(0,)]

    def _run(self, statement: str) -> Sequence[object]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as database:
            return database.execute(statement).fetchall()


async def states(world: World) -> list[str]:
    """Of all deliveries, the newest first."""
    async with world.api as api:
        return [item["state"] async for item in api.all("/v1/deliveries")]


def titles(world: World) -> list[str]:
    """What reached the application of the only device, in order."""
    return [payload["title"] for payload in world.devices[0].received]


async def test_killed_when_the_message_is_at_the_device_and_its_ack_is_not_sent(tmp_path: Path) -> None:
    server = Server(tmp_path, {})
    async with new_world([server], names=ALONE) as world:
        world.moments.arm("frame", 1, server.kill)
        world.traffic.ask(world.traffic.notification("once", ALONE))
        async with world.traffic.flowing(callers=1):
            await until(lambda: not server.running, "the message is at the device")
            await server.start()
        account = await world.account(1)
    assert not account.wrong, str(account)
    assert titles(world) == ["once", "mark 1"]
    assert world.devices[0].repeated == 1, "what was not acknowledged comes again, under the version that it had"


async def test_killed_when_the_ack_has_left_the_device(tmp_path: Path) -> None:
    server = Server(tmp_path, {})
    async with new_world([server], names=ALONE) as world:
        world.moments.arm("acked", 1, server.kill)
        world.traffic.ask(world.traffic.notification("once", ALONE))
        async with world.traffic.flowing(callers=1):
            await until(lambda: not server.running, "the ack has left")
            await server.start()
        account = await world.account(1)
    assert not account.wrong, str(account)
    assert titles(world) == ["once", "mark 1"]


async def test_killed_when_the_device_has_it_and_the_delivery_is_still_recorded_as_queued(tmp_path: Path) -> None:
    server = Server(tmp_path, {})
    async with new_world([server], names=ALONE) as world:
        database = Database(server)
        with database.refusing("UPDATE ON delivery"):
            await world.send("once")
            await until(database.acknowledged, "the device's ack is on disk")
            assert await states(world) == ["queued"]
            server.kill()
        await server.start()
        account = await world.account(1)
        assert not account.wrong, str(account)
        assert await states(world) == ["accepted", "accepted"]
    assert titles(world) == ["once", "mark 1"]
    assert world.devices[0].repeated == 0, "what was acknowledged does not come again, however often it is handed over"


async def test_killed_when_the_notification_is_accepted_and_its_answer_is_not_recorded(tmp_path: Path) -> None:
    server = Server(tmp_path, {})
    async with new_world([server], names=ALONE) as world:
        ask = world.traffic.notification("once", ALONE)
        with Database(server).refusing("UPDATE ON idempotency"):
            [(status, _)] = await world.traffic.ask_again([ask])
            assert status == 500
            await until(lambda: titles(world) == ["once"], "it is on its way all the same")
            server.kill()
        await server.start()
        world.traffic.ask(ask)
        account = await world.account(1)
    assert not account.wrong, str(account)
    assert titles(world) == ["once", "mark 1"]


async def test_killed_when_an_event_is_accepted_and_its_notification_is_not_made(tmp_path: Path) -> None:
    server = Server(tmp_path, {})
    async with new_world([server], names=ALONE) as world:
        with Database(server).refusing("INSERT ON notification"):
            world.traffic.ask(world.traffic.event("e", 3))
            await world.traffic.settle()
            server.kill()
        await server.start()
        account = await world.account(1)
    assert not account.wrong, str(account)
    assert sorted(titles(world)) == ["e.0", "e.1", "e.2", "mark 1"]


async def test_a_burst_to_a_connected_device_arrives_whole(tmp_path: Path) -> None:
    server = Server(tmp_path, {})
    async with new_world([server], names=ALONE) as world:
        world.traffic.ask(world.traffic.event("burst", 500))
        account = await world.account(1)
    assert not account.wrong, str(account)
