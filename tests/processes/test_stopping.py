"""Ending a server by asking it to, and refusing a second one on the same folder."""

import socket
from pathlib import Path

import aiohttp
import pytest

from free_ports import HOST
from processes.server import Server
from processes.waiting import until
from processes.world import Tell, new_world

pytestmark = pytest.mark.process

# What an operator waits for, and an init system allows at the least: it grants a request three seconds.
ENDS_WITHIN_S = 10.0
GOING_AWAY = 1001  # RFC 6455 section 7.4.1


async def test_a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    first, second = Server(tmp_path, {}), Server(tmp_path, {})
    async with new_world([first], names=("ann",)) as world:
        process = second.spawn()
        await until(lambda: process.poll() is not None, "the second server gives up")
        assert process.returncode == 1
        assert "already serves the folder" in second.last_words()
        assert str(tmp_path) in second.last_words()
        assert "Traceback" not in second.last_words()
        await world.send("still here")
        assert first.running
        await first.stop()
        await second.start()
        await second.stop()


async def test_a_busy_server_ends_when_asked_to_and_loses_nothing(tmp_path: Path, tell: Tell) -> None:
    server = Server(tmp_path, {"RATE_LIMITS": "off"})
    async with new_world([server]) as world:
        world.traffic.left = 1_000_000
        for number in range(1, 4):
            async with world.traffic.flowing():
                await until(lambda: len(world.traffic.answered) > 20 * number, "it is busy")  # noqa: B023 - called at once
                with idle_connection(server), half_a_request(server, world.keys.server):
                    tell(f"ended {await server.stop(ENDS_WITHIN_S):.2f} s after it was asked to")
            for device in world.devices:
                await until(lambda: device.closings[GOING_AWAY] == number, "the device was told")  # noqa: B023 - the same
            await server.start()
        account = await world.account(3)
    assert not account.wrong, str(account)
    complaints = [line for line in server.complaints() if "graceful shutdown exceeded" not in line]
    assert not complaints, "\n".join(complaints[:20])


async def test_a_page_that_follows_events_does_not_keep_the_demo_from_ending(tmp_path: Path) -> None:
    server = Server(tmp_path, {"LOG_LEVEL": "warning"}, command="demo")
    try:
        await server.start()
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/live/events?user=ann") as events:
            assert events.content_type == "text/event-stream"
            await events.content.readline()
            await server.stop(ENDS_WITHIN_S)
    finally:
        server.kill()


def idle_connection(server: Server) -> socket.socket:
    """Open, and silent."""
    return socket.create_connection((HOST, server.port))


def half_a_request(server: Server, key: str) -> socket.socket:
    """Announces a body that never comes."""
    connection = socket.create_connection((HOST, server.port))
    head = f"POST /v1/events HTTP/1.1\r\nHost: clarion\r\nAuthorization: Bearer {key}\r\nContent-Length: 100\r\n\r\n{{"
    connection.sendall(head.encode())
    return connection
