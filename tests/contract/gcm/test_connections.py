"""Connections of Chromium: what is not the protocol, who is not who they say, who is silent, slow or too many."""

import asyncio
import gc
from pathlib import Path
from unittest.mock import Mock

import pytest

from clarion.crypto.android import AndroidIds
from clarion.gateway.gcm import connection
from clarion.gateway.gcm.connection import McsConnection
from clarion.testing import ManualClock
from contract.support_gateway import SECRETS, Meddler, PushService
from contract.support_gcm import (
    CLOSE,
    IQ,
    LOGIN,
    PING,
    PING_ACK,
    PROTO,
    STREAM_ERROR,
    WELCOME,
    WITHOUT_CAUSE,
    Browser,
    Hung,
    framed,
    gcm_service,
    until,
)


@pytest.mark.parametrize("wrong", ["token", "id", "both"])
async def test_a_login_that_is_not_proven(browser: Browser, meddler: Meddler, wrong: str) -> None:
    browser.token ^= wrong != "id"
    browser.id ^= wrong != "token"
    await browser.connect()
    answer = await browser.login()
    assert answer.error.code == 401
    assert (await browser.hear())[0] == CLOSE
    with pytest.raises(Hung):
        await browser.hear()
    assert set(meddler.calls) <= WITHOUT_CAUSE


LOGIN_FRAME = framed(LOGIN, PROTO["LoginRequest"](id="a", user="1", auth_token="2").SerializeToString())


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "version"),
        (bytes([38]), "version"),
        (bytes([41, 99, 0]), "tag"),
        (bytes([41, LOGIN]) + b"\xff" * 5, "length"),
        (bytes([41, LOGIN, 0x81, 0x80, 4]), "at most"),  # one byte too many
        (bytes([41]) + framed(PING, b""), "login"),
        (bytes([41]) + framed(LOGIN, b"\x0a\xff"), "cannot be read"),
        (bytes([41]) + framed(LOGIN, b"\x1a\x01x\x2a\x01y"), "64 bits"),
        (bytes([41]) + framed(LOGIN, b""), "user"),
        (bytes([41]) + framed(LOGIN, b"\x1a\x02\xff\xff"), "cannot be read"),
    ],
)
async def test_what_is_not_the_protocol(browser: Browser, meddler: Meddler, data: bytes, told: str) -> None:
    await browser.connect()
    await browser.write(data)
    tag, error = await browser.hear()
    assert tag == STREAM_ERROR
    assert told in error.text
    with pytest.raises(Hung):
        await browser.hear()
    assert set(meddler.calls) <= WITHOUT_CAUSE


@pytest.mark.parametrize("data", [LOGIN_FRAME, framed(IQ, b"\xff"), bytes([IQ, 0x81, 0x80, 4]), bytes([200])])
async def test_what_is_not_the_protocol_after_the_login(online: Browser, data: bytes) -> None:
    await online.write(data)
    assert (await online.hear())[0] == STREAM_ERROR
    with pytest.raises(Hung):
        await online.hear()


async def test_frames_may_come_in_pieces(browser: Browser) -> None:
    await browser.connect()
    login = PROTO["LoginRequest"](id="slow", user=str(browser.id), auth_token=str(browser.token))
    for byte in bytes([41]) + framed(LOGIN, login.SerializeToString()):
        await browser.write(bytes([byte]))
    tag, answer = await browser.hear()
    assert (tag, answer.id) == (WELCOME, "slow")


async def test_who_does_not_log_in_is_sent_away(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HELLO_TIMEOUT_S", 0.05)
    await browser.connect()
    assert (await browser.hear())[0] == CLOSE


async def test_who_does_not_speak_tls_gets_nothing(service: PushService) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.gateway.gcm_port)
    writer.write(b"hello, is anybody there?" * 10)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert len(answer) < 100  # a TLS alert at most
    writer.close()


async def test_a_silent_browser_is_asked_and_then_cut(meddler: Meddler, clock: ManualClock, tmp_path: Path) -> None:
    times = {"push_ping_interval": 0.1, "push_ping_timeout": 0.2}
    async with gcm_service(meddler, clock, tmp_path, **times) as running:
        browser = Browser(running, tmp_path)
        await browser.check_in()
        await browser.back()
        assert (await browser.hear())[0] == PING
        await browser.say(PING_ACK, last_stream_id_received=2)
        assert (await browser.hear())[0] == PING
        assert (await browser.hear())[0] == CLOSE
        with pytest.raises(Hung):
            await browser.hear()


async def test_a_full_node_takes_no_more(meddler: Meddler, clock: ManualClock, tmp_path: Path) -> None:
    async with gcm_service(meddler, clock, tmp_path, capacity=1) as running:
        first, second = Browser(running, tmp_path), Browser(running, tmp_path)
        for each in (first, second):
            await each.check_in()
        await first.back()
        with pytest.raises((Hung, ConnectionError)):
            await second.back()
        await first.silence()
        await first.leave()


async def test_a_server_that_stops_says_so(online: Browser) -> None:
    closing = asyncio.create_task(online.service.gateway.close())
    assert (await online.hear())[0] == CLOSE
    await online.leave()
    await closing


async def test_who_takes_no_answers_is_not_read_either(service: PushService) -> None:
    socket = McsConnection(service.gateway._browsers)
    transport = Mock()
    socket.connection_made(transport)
    socket.pause_writing()
    transport.pause_reading.assert_called_once()
    assert not socket.has_room()
    socket.resume_writing()
    transport.resume_reading.assert_called_once()
    assert socket.has_room()
    socket.connection_lost(None)


async def test_a_connection_that_is_gone_leaves_nothing_behind(online: Browser) -> None:
    gc.collect()
    gc.disable()
    try:
        assert _connections() == 1
        await online.leave()
        await until(lambda: _connections() == 0)
    finally:
        gc.enable()


def _connections() -> int:
    return sum(isinstance(each, McsConnection) for each in gc.get_objects())


def test_names_outlive_a_rotation_of_secrets() -> None:
    old, new = SECRETS[0], b"n" * 32
    made = AndroidIds([old]).new()
    assert AndroidIds([new, old]).prove(*made) == made
    assert AndroidIds([new]).prove(*made) is None
    for id, token in ((0, 0), (made.id, 0), (0, made.token), (1 << 64, made.token), (made.id, 1 << 64), (-1, -1)):
        assert AndroidIds([old]).prove(id, token) is None
    assert len(made.uaid()) == 16
