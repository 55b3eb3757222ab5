"""An agent at its sockets: what it says, how it takes bad manners, when it comes back and when it stays away."""

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from clarion.agent import agent as agent_module
from clarion.agent import connection, surroundings
from clarion.agent.backoff import CAP_S, FLOOR_S, Backoff
from clarion.agent.server import retry_after
from clarion.agent.state import State
from clarion.agent.surroundings import Surroundings
from clarion.crypto.p256 import KeyPair
from clarion.errors import Forbidden, Unauthenticated, Unavailable
from clarion.wire.autopush import Notification, encode
from contract.support_agent import RecordingScreen, Scripted, payload, pushed, running, scripted
from processes.waiting import until


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.fixture
def screen() -> RecordingScreen:
    return RecordingScreen()


async def push(socket: web.WebSocketResponse, state: State, id: str, **more: Any) -> None:
    message = pushed(state.kept.receiver, payload(id, **more), version=f"version of {id}")
    await socket.send_str(encode(message).decode())


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
            with pytest.raises(Exception, match="Clarion server"):
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
        await server.connection()
        await until(lambda: state.kept.told is not None, "registered")
        old = state.kept.channel_id
    server.vapid = KeyPair.generate().public_text
    async with running(tmp_path, screen, server=server.origin) as (_, state, _):
        await server.connection()
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


# --- waiting ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=1, max_size=40))
def test_waits_are_spread_bounded_and_never_none(seed: int, told: list[int | None]) -> None:
    backoff = Backoff(random.Random(seed), base_s=2.0)
    for number, retry_after_s in enumerate(told):
        wait = backoff.next(retry_after_s)
        asked = min(retry_after_s or 0, 3600)
        assert asked + FLOOR_S <= wait <= asked + min(CAP_S, 2.0 * 2**number)
    backoff.reset()
    assert backoff.next() <= 2.0


def test_a_crowd_spreads_over_the_whole_wait() -> None:
    waits = []
    for seed in range(300):
        backoff = Backoff(random.Random(seed))
        for _ in range(6):
            wait = backoff.next()
        waits.append(wait)
    assert min(waits) < 8
    assert max(waits) > 56


class Machine:
    """Clocks and addresses in a test's hands."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1000.0, 50.0
        self.addresses: tuple[str | None, ...] = ("192.168.0.7", None)
        self.changes = 0
        self.surroundings = Surroundings(
            self._changed,
            wall=lambda: self.wall,
            monotonic=lambda: self.monotonic,
            addresses=lambda: self.addresses,
        )

    def _changed(self) -> None:
        self.changes += 1

    def tick(self, wall: float = surroundings.TICK_S, monotonic: float = surroundings.TICK_S) -> int:
        self.wall += wall
        self.monotonic += monotonic
        self.surroundings.look()
        return self.changes


def test_sleep_is_noticed_by_either_clock() -> None:
    machine = Machine()
    assert machine.tick() == 0
    assert machine.tick(wall=3600) == 1, "Linux, macOS: the monotonic clock stood still"
    assert machine.tick() == 1
    assert machine.tick(wall=3600, monotonic=3600) == 2, "Windows: it went on"
    assert machine.tick(wall=8) == 2, "a busy machine"
    assert machine.tick(wall=-7200) == 2, "the clock was set back"


def test_another_network_is_noticed() -> None:
    machine = Machine()
    for addresses in (("10.0.0.2", None), (None, None), ("10.0.0.2", "2001:db8::7")):
        machine.addresses = addresses
        before = machine.changes
        assert machine.tick() == before + 1
        assert machine.tick() == before + 1


def test_the_addresses_of_this_machine_can_be_asked_for() -> None:
    assert len(surroundings.local_addresses()) == 2


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("7", 7), ("0", 0), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("Fri, 01 Jan 2021 00:00:00 GMT", 0)],
)
def test_retry_after(told: str, seconds: int | None) -> None:
    assert retry_after({"Retry-After": told}) == seconds


def test_retry_after_as_a_date() -> None:
    assert (retry_after({"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}) or 0) > 10**6
