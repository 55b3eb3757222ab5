"""An agent at its sockets: what it says, how it takes bad manners, when it comes back and when it stays away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from clarion.agent import agent as agent_module
from clarion.agent import connection
from clarion.agent.backoff import FLOOR_S
from clarion.wire.autopush import Notification, encode
from contract.support_agent import RecordingScreen, Scripted, push, running, scripted
from processes.waiting import until


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.fixture
def screen() -> RecordingScreen:
    return RecordingScreen()


def acked(server: Scripted) -> list[tuple[str, int]]:
    return [(update["version"], update["code"]) for ack in server.said("ack") for update in ack["updates"]]


# --- the usual way ---------------------------------------------------------------------------------------------------


async def test_hello_channel_device_message(tmp_path: Path, server: Scripted, screen: RecordingScreen) -> None:
    async with running(tmp_path, screen, server=server.origin + "/", user="ada") as (_, state, _):
        socket = await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
        assert server.said("hello") == [{"messageType": "hello", "use_webpush": True, "broadcasts": {}}]
        [register] = server.said("register")
        assert register["key"] == server.vapid
        [device] = server.registrations
        assert device["address"] == f"{server.origin}/wpush/{register['channelID']}"
        assert (device["kind"], device["permission"], device["vapid_public_key"]) == (
            *("webpush", "granted"),
            server.vapid,
        )
        assert (device["p256dh"], device["auth"]) == tuple(state.kept.receiver.keys().values())
        assert server.who == [{"Clarion-User": "ada"}]
        await push(socket, state, "d1", receipts_url=f"{server.origin}/v1/receipts")
        await until(lambda: len(server.receipts) == 2, "receipts")
        assert screen.titles == ["Title d1"]
        assert acked(server) == [("version of d1", 100)]
        assert [(each["receipt"], each["kind"]) for each in server.receipts] == [
            ("receipt of d1", "delivered"),
            ("receipt of d1", "displayed"),
        ]
        assert all(each["at"].endswith("Z") for each in server.receipts)


async def test_after_a_restart_it_says_its_name_and_nothing_new(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    for _ in range(2):
        async with running(tmp_path, screen, server=server.origin, user="ada") as (_, state, _):
            socket = await server.connection()
            await until(lambda: state.kept.told is not None, "registered")
            await push(socket, state, "d1")
            await until(lambda: bool(server.said("ack")), "an ack")
            server.heard[:] = [message for message in server.heard if message["messageType"] != "ack"]
    first, second = server.said("hello")
    assert ("uaid" in first, second["uaid"]) == (False, state.kept.uaid)
    assert len(server.said("register")) == len(server.registrations) == 1
    assert screen.titles == ["Title d1"], "shown by the first, remembered by the second"


# --- bad manners -----------------------------------------------------------------------------------------------------


async def test_frames_that_say_nothing_to_it_are_passed_over(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        socket = await server.connection()
        for frame in ("", "{", "[]", "null", "{}", '{"messageType":"new"}', '{"messageType":"notification"}'):
            await socket.send_str(frame)
        await socket.send_str("[" * 5000)
        await socket.send_bytes(b"\x00\xff")
        await socket.send_str('{"messageType":"register","channelID":"nobody","status":200,"pushEndpoint":"x"}')
        await socket.send_str('{"messageType":"broadcast","broadcasts":{"a":"b"}}')
        unreadable = Notification(channel_id="c", version="bad", data="AAAA", headers={"encoding": "aes128gcm"})
        await socket.send_str(encode(unreadable).decode())
        await push(socket, state, "d1")
        await until(lambda: len(acked(server)) == 2, "the acks")
        assert acked(server) == [("bad", 101), ("version of d1", 100)]
        assert server.handshakes == 1


async def test_a_ping_is_answered(tmp_path: Path, server: Scripted, screen: RecordingScreen) -> None:
    server.reads = False  # so that the script sees the pong
    async with running(tmp_path, screen, server=server.origin):
        socket = await server.connection()
        await socket.ping(b"are you there")
        await until(lambda: server.pongs == [b"are you there"], "a pong")


async def test_it_comes_back_after_every_close(tmp_path: Path, server: Scripted, screen: RecordingScreen) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, state, task):
        for code in (1000, 1001, 1002, 1011, 1013):
            socket = await server.connection()
            await until(lambda: state.kept.told is not None, "registered")
            await socket.close(code=code)
        await server.connection()
        assert not task.done()
    assert len(server.registrations) == 1


async def test_told_to_stay_away_it_ends(tmp_path: Path, server: Scripted, screen: RecordingScreen) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, _, task):
        await (await server.connection()).close(code=connection.STAY_AWAY)
        await asyncio.wait_for(task, 10)


async def test_a_full_push_service_is_given_the_time_it_asks_for(
    tmp_path: Path, server: Scripted, screen: RecordingScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []

    async def rest(event: asyncio.Event, seconds: float | None) -> bool:
        waits.append(seconds)
        return True

    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        socket = await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
        monkeypatch.setattr(agent_module, "rest", rest)
        server.once("/push", lambda: web.Response(status=503, headers={"Retry-After": "77"}))
        server.once("/push", lambda: web.Response(status=429, headers={"Retry-After": "never"}))
        await socket.close(code=1001)
        await server.connection()
    assert waits == [FLOOR_S, FLOOR_S + 77, FLOOR_S]


async def test_a_dead_connection_is_noticed_and_replaced(
    tmp_path: Path, server: Scripted, screen: RecordingScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PONG_S", 0.2)
    server.reads = False  # it does not answer pings, as a network that is gone
    async with running(tmp_path, screen, server=server.origin) as (agent, state, _):
        await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
        agent._surroundings._changed()  # the machine woke up
        await server.connection()
    assert server.handshakes == 2


async def test_a_living_connection_survives_the_question(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async with running(tmp_path, screen, server=server.origin) as (agent, state, _):
        socket = await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
        line = agent._line
        assert line is not None
        line._heard.clear()
        agent._surroundings._changed()
        await until(line._heard.is_set, "a pong")
        await push(socket, state, "d1")
        await until(lambda: bool(acked(server)), "an ack")
    assert server.handshakes == 1


@pytest.mark.parametrize("odd", [{"status": 401}, {"use_webpush": False}, {"uaid": ""}, {"messageType": "register"}])
async def test_a_greeting_that_is_none_is_not_taken_for_one(
    tmp_path: Path, server: Scripted, screen: RecordingScreen, odd: dict[str, Any]
) -> None:
    good, server.greeting = server.greeting, server.greeting | odd
    async with running(tmp_path, screen, server=server.origin) as (_, state, task):
        await server.connection()
        await server.connection()
        assert (state.kept.uaid, server.said("register"), task.done()) == (None, [], False)
        server.greeting = good
        await until(lambda: state.kept.told is not None, "registered")
