"""What an agent tells a server, and when: a device that changed, a receipt; and whose word counts how long."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from clarion.agent.server import NotClarion
from clarion.agent.state import State
from clarion.crypto.p256 import KeyPair
from clarion.errors import Forbidden, Unauthenticated, Unavailable
from contract.support_agent import RecordingScreen, Scripted, push, running, scripted
from processes.waiting import until


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.fixture
def screen() -> RecordingScreen:
    return RecordingScreen()


# --- the server ------------------------------------------------------------------------------------------------------


def problem(status: int, code: str, detail: str, **headers: str) -> web.Response:
    body = {"type": f"x/errors/{code}", "title": "T", "status": status, "code": code, "detail": detail, "errors": []}
    return web.json_response(body, status=status, headers=headers)


@pytest.mark.parametrize(
    ("path", "answer", "raised", "says"),
    [
        ("/v1/sdk/config", (401, "unauthenticated", "the key is not known"), Unauthenticated, "key is not known"),
        ("/v1/sdk/devices", (401, "unauthenticated", "plain user ids"), Unauthenticated, "plain user ids"),
        ("/v1/sdk/config", (403, "forbidden", "this is a server key"), Forbidden, "server key"),
        ("/v1/sdk/config", (503, "unavailable", "later"), Unavailable, "503"),
    ],
)
async def test_a_refusal_is_told_in_the_servers_words(
    tmp_path: Path,
    server: Scripted,
    screen: RecordingScreen,
    path: str,
    answer: tuple[int, str, str],
    raised: type[Exception],
    says: str,
) -> None:
    server.once(path, lambda: problem(*answer))
    async with running(tmp_path, screen, server=server.origin, user="ada") as (_, _, task):
        with pytest.raises(raised, match=says):
            await asyncio.wait_for(task, 10)


async def test_what_is_no_clarion_server_is_said_at_once(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    for response in (web.Response(text="<html>", content_type="text/html"), web.Response(status=404)):
        server.once("/v1/sdk/config", lambda response=response: response)
        async with running(tmp_path, screen, server=server.origin) as (_, _, task):
            with pytest.raises(NotClarion, match="Clarion server"):
                await asyncio.wait_for(task, 10)


async def test_a_key_is_not_carried_to_where_somebody_else_points(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async with scripted() as other:
        server.once("/v1/sdk/config", partial(web.Response, status=302, headers={"Location": f"{other.origin}/x"}))
        async with running(tmp_path, screen, server=server.origin) as (_, _, task):
            with pytest.raises(NotClarion, match=f"has moved.*{other.origin}"):
                await asyncio.wait_for(task, 10)


async def test_a_server_that_is_away_later_is_waited_for(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
    server.once("/v1/sdk/config", lambda: web.Response(status=502, text="proxy"))
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        socket = await server.connection()  # the push service is there, and known from before
        await push(socket, state, "d1")
        await until(lambda: screen.titles == ["Title d1"], "shown")


async def test_registering_goes_on_while_the_socket_stays(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    server.once("/v1/sdk/devices", lambda: web.Response(status=500), lambda: web.Response(status=503))
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
    assert (server.handshakes, len(server.registrations)) == (1, 1)


async def test_a_new_name_at_the_push_service_is_a_new_address(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        socket = await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
        old = state.kept.endpoint
        server.known.clear()  # the push service has forgotten everybody
        await socket.close(code=1000)
        await until(lambda: len(server.registrations) == 2, "registered again")
    assert server.registrations[1]["previous_address"] == old
    assert server.registrations[1]["address"] != old
    assert server.registrations[1]["p256dh"] == server.registrations[0]["p256dh"]


async def test_a_new_vapid_key_needs_a_new_channel_and_frees_the_old_one(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        socket = await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
        old = state.kept.channel_id
        server.vapid = KeyPair.generate().public_text
        await socket.close(code=1001)
        await until(lambda: bool(server.said("unregister")), "the old channel is given up")
    assert server.said("unregister")[0]["channelID"] == old
    assert [device["vapid_public_key"] for device in server.registrations][1] == server.vapid
    assert server.registrations[1]["previous_address"] == server.registrations[0]["address"]


async def test_an_anonymous_device_keeps_its_user_until_somebody_logs_in(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async def once(**options: Any) -> State:
        async with running(tmp_path, screen, server=server.origin, **options) as (_, state, _):
            await server.connection()
            await until(lambda: state.kept.told is not None and state.kept.server is not None, "registered")
            await until(lambda: len(server.registrations) == len(server.who), "told")
            return state

    assert (await once()).kept.user_token == "secret 1"
    await once()
    assert server.who == [{}], "nothing new to tell"
    async with running(tmp_path, screen, server=server.origin, user="ada") as (_, state, _):
        await until(lambda: state.kept.user_id == "ada", "logged in")
        await until(lambda: state.kept.user_token is None, "the secret is dropped")
    assert server.who[1] == {"Clarion-User": "ada", "Clarion-Anonymous": "secret 1"}
    await once(user="ada")
    assert len(server.who) == 2


async def test_an_anonymous_user_that_is_gone_is_begun_anew(
    tmp_path: Path, server: Scripted, screen: RecordingScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        await until(lambda: state.kept.told is not None, "registered")
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")  # something to tell
    server.once("/v1/sdk/devices", lambda: problem(401, "unauthenticated", "this anonymous user is gone"))
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        await until(lambda: state.kept.user_token == "secret 2", "a new user")


async def test_another_server_gets_none_of_the_secrets_of_the_first(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        await until(lambda: state.kept.told is not None, "registered")
        uaid = state.kept.uaid
    async with scripted() as other:
        async with running(tmp_path, screen, server=other.origin) as (_, state, _):
            await until(lambda: state.kept.server == other.origin and state.kept.told is not None, "registered there")
        assert other.who == [{}]
        assert all(uaid != hello.get("uaid") for hello in other.said("hello"))
        assert "previous_address" not in other.registrations[0]


async def test_a_mistyped_server_costs_nothing(tmp_path: Path, server: Scripted, screen: RecordingScreen) -> None:
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        await until(lambda: state.kept.told is not None, "registered")
        before = state.kept
    async with running(tmp_path, screen, server="http://127.0.0.1:1") as (_, state, task):
        with pytest.raises(Unavailable, match="refused"):
            await asyncio.wait_for(task, 10)
        assert state.kept == before


# --- receipts --------------------------------------------------------------------------------------------------------


async def test_receipts_wait_for_a_server_that_is_away_and_outlive_a_restart(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    failing = [partial(web.Response, status=status) for status in (503, 429, 500)]
    server.once("/v1/receipts", *failing)
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        await push(await server.connection(), state, "d1", receipts_url=f"{server.origin}/v1/receipts")
        await until(lambda: not server.answers["/v1/receipts"], "refused")
    async with running(tmp_path, screen, server=server.origin):
        await until(lambda: len(server.receipts) == 2, "receipts")
    assert [each["kind"] for each in server.receipts] == ["delivered", "displayed"]


async def test_receipts_that_are_refused_for_good_are_dropped(
    tmp_path: Path, server: Scripted, screen: RecordingScreen
) -> None:
    async with running(tmp_path, screen, server=server.origin) as (agent, state, _):
        socket = await server.connection()
        server.once("/v1/receipts", *[lambda: web.Response(status=400)] * 2)
        await push(socket, state, "d1", receipts_url=f"{server.origin}/v1/receipts")
        await until(lambda: screen.titles == ["Title d1"] and len(agent._reporter._outbox) == 0, "dropped")
        server.answers.clear()
        await push(socket, state, "d2", receipts_url=f"{server.origin}/v1/receipts")
        await until(lambda: len(server.receipts) == 2, "the next ones are taken")
    assert {each["receipt"] for each in server.receipts} == {"receipt of d2"}
