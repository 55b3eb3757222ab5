"""Chromium as a device of our push service: check-in, registration, and MCS over real TLS."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

from clarion.crypto.android import AndroidIds
from clarion.crypto.p256 import KeyPair
from clarion.gateway import Limits
from clarion.gateway.gcm import connection
from clarion.gateway.gcm.connection import McsConnection
from clarion.ports import PushStore
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.authority import OwnCertificate
from clarion.transport.bus import LocalBus
from clarion.transport.local import LocalTransport
from contract.support_gateway import ORIGIN, SECRETS, Meddler, PushService, push_service, request, vapid
from contract.support_gcm import (
    CLOSE,
    GOOGLE,
    IQ,
    LOGIN,
    PING,
    PING_ACK,
    PROTO,
    SELECTIVE_ACK,
    STREAM_ERROR,
    WELCOME,
    Browser,
    Hung,
    framed,
)
from contract.test_transport_local import Elsewhere


@pytest.fixture
def meddler(clock: ManualClock) -> Meddler:
    return Meddler(MemoryStore(clock).push)


@pytest.fixture
async def service(meddler: Meddler, clock: ManualClock, tmp_path: Path) -> AsyncIterator[PushService]:
    async with gcm_service(meddler, clock, tmp_path) as running:
        yield running


WITHOUT_CAUSE = {"beat", "broadcasts"}
"""What a node asks of its store by itself."""


def gcm_service(meddler: Meddler, clock: ManualClock, folder: Path, **more: Any) -> Any:
    # By the machine's own time, which TLS goes by.
    tls = OwnCertificate(folder, ["127.0.0.1", "localhost"], ManualClock(time.time_ns() // 1_000_000)).listening()
    more["gcm_tls"] = tls
    return push_service(cast("PushStore", meddler), clock, gcm=True, gcm_port=0, data=folder, **more)


@pytest.fixture
async def browser(service: PushService, tmp_path: Path) -> AsyncIterator[Browser]:
    """It has checked in."""
    browser = Browser(service, tmp_path)
    await browser.check_in()
    yield browser
    await browser.leave()


@pytest.fixture
async def online(browser: Browser) -> Browser:
    """It has logged in."""
    return await browser.back()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.005)


# --- check-in --------------------------------------------------------------------------------------------------------


async def test_check_in_gives_a_name_and_stores_nothing(browser: Browser, meddler: Meddler) -> None:
    named = (browser.id, browser.token)
    assert all(named)
    status, again = await browser.check_in()
    assert (status, (again.android_id, again.security_token)) == (200, named)
    assert again.stats_ok
    assert again.time_msec == browser.service.clock.now()
    assert set(meddler.calls) <= WITHOUT_CAUSE


async def test_check_in_tells_where_everything_is(browser: Browser) -> None:
    _, response = await browser.check_in()
    assert not response.settings_diff
    settings = {each.name: each.value for each in response.setting}
    assert settings[b"gcm_hostname"] == b"127.0.0.1"
    assert settings[b"gcm_secure_port"].isdigit()
    assert settings[b"gcm_registration_url"].endswith(b"/gcm/register3")


async def test_a_name_that_is_not_ours_begins_anew(browser: Browser) -> None:
    browser.token += 1
    assert (await browser.check_in())[0] == 401
    browser.id, browser.token = AndroidIds([b"another" * 8]).new()
    assert (await browser.check_in())[0] == 401


async def test_requests_that_make_no_sense(browser: Browser) -> None:
    assert (await browser.call("/gcm/checkin", b"\xff\xff\xff"))[0] == 400
    assert (await browser.call("/gcm/checkin", method="GET"))[0] == 405
    assert (await browser.call("/gcm/other"))[0] == 404
    assert (await browser.call("/gcm/checkin", b"\0" * 10_000))[0] == 413


async def test_a_flood_is_slowed_down(meddler: Meddler, clock: ManualClock, tmp_path: Path) -> None:
    from clarion.api.limits import Buckets  # noqa: PLC0415 - the adapter that bootstrap gives

    limits = Limits(by_address=Buckets(clock, 1, 3), by_token=Buckets(clock, 1, 3))
    async with gcm_service(meddler, clock, tmp_path, limits=limits) as running:
        browser = Browser(running, tmp_path)
        assert [(await browser.check_in())[0] for _ in range(4)] == [200, 200, 200, 429]


# --- registration ----------------------------------------------------------------------------------------------------


async def test_the_same_app_keeps_its_address(browser: Browser) -> None:
    endpoint = await browser.register()
    assert await browser.register() == endpoint
    assert await browser.register(X_subtype="wp:https://shop.example/#2-V2") != endpoint


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"sender": "745476177629"}, "INVALID_SENDER"),
        ({"sender": ""}, "INVALID_SENDER"),
        ({"app": "", "sender": KeyPair.generate().public_text}, "INVALID_PARAMETERS"),
        ({"app": "a" * 3_000, "sender": KeyPair.generate().public_text}, "INVALID_PARAMETERS"),
    ],
)
async def test_registrations_that_are_refused(
    browser: Browser, meddler: Meddler, fields: dict[str, str], word: str
) -> None:
    assert await browser.form(**fields) == (200, f"Error={word}")
    assert "register" not in meddler.calls


async def test_a_stranger_cannot_register(browser: Browser, meddler: Meddler) -> None:
    browser.token ^= 1
    assert await browser.form(sender=browser.pair.public_text) == (401, "Error=PHONE_REGISTRATION_ERROR")
    assert await browser.form(delete="true") == (401, "Error=PHONE_REGISTRATION_ERROR")
    assert set(meddler.calls) <= WITHOUT_CAUSE


async def test_a_store_that_is_away_is_told(browser: Browser, meddler: Meddler) -> None:
    meddler.broken = {"register"}
    assert await browser.form(sender=browser.pair.public_text) == (503, "Error=InternalServerError")
    meddler.broken = set()
    assert await browser.register()


async def test_unregistering_ends_the_channel(online: Browser) -> None:
    endpoint = await online.register()
    await online.unregister(X_subtype="wp:https://other.example/#9-V2")  # was never there
    await online.push(endpoint)
    await online.message()
    await online.unregister()
    authorization = vapid(online.pair, GOOGLE, online.service.clock.now())
    response = await online.service.post(endpoint, b"late", Authorization=authorization)
    assert response.status == 410


# --- the way of a message --------------------------------------------------------------------------------------------


async def test_a_message_says_all_that_chromium_asks_for(online: Browser, clock: ManualClock) -> None:
    endpoint = await online.register()
    await online.push(endpoint, b"sealed" * 100, ttl=77)
    message = await online.message()
    assert getattr(message, "from") == online.pair.public_text
    assert message.category == "com.chrome.linux"
    assert {each.key: each.value for each in message.app_data} == {
        "subtype": "wp:https://shop.example/#1-V2",
        "content-encoding": "aes128gcm",
    }
    assert message.raw_data == b"sealed" * 100
    assert (message.ttl, message.sent, message.immediate_ack) == (77, clock.now(), True)
    assert message.persistent_id


async def test_the_old_encoding_and_an_empty_message(online: Browser) -> None:
    endpoint = await online.register()
    key = vapid(online.pair, GOOGLE, online.service.clock.now()).partition("k=")[2]
    old = {"Content_Encoding": "aesgcm", "Encryption": "salt=c2FsdA", "Crypto_Key": f"dh=ZGg;p256ecdsa={key}"}
    await online.push(endpoint, b"sealed", **old)
    data = {each.key: each.value for each in (await online.message()).app_data}
    assert (data["content-encoding"], data["encryption"]) == ("aesgcm", "salt=c2FsdA")
    assert data["crypto-key"].startswith("dh=ZGg")
    await online.push(endpoint, b"")
    empty = await online.message()
    assert not empty.HasField("raw_data")
    assert [each.key for each in empty.app_data] == ["subtype"]


async def test_a_browser_that_registers_before_it_logs_in(browser: Browser) -> None:
    endpoint = await browser.register()
    await browser.push(endpoint, b"waited")
    await browser.back()
    assert (await browser.message()).raw_data == b"waited"


async def test_what_is_acknowledged_is_gone_and_what_is_not_comes_back(online: Browser) -> None:
    endpoint = await online.register()
    for number in range(3):
        await online.push(endpoint, b"%d" % number)
    heard = [await online.message() for _ in range(3)]
    assert [message.raw_data for message in heard] == [b"0", b"1", b"2"]
    await online.ack(up_to=3)  # the welcome was 1
    await online.back()
    again = await online.message()
    assert (again.raw_data, again.persistent_id) == (b"2", heard[2].persistent_id)
    await online.silence()


async def test_what_came_on_an_earlier_connection_is_acknowledged_by_the_login(online: Browser) -> None:
    endpoint = await online.register()
    for number in range(3):
        await online.push(endpoint, b"%d" % number)
    heard = [await online.message() for _ in range(3)]
    await online.back(received=(heard[0].persistent_id, heard[2].persistent_id, "not one of ours"))
    assert (await online.message()).raw_data == b"1"
    await online.silence()


async def test_a_selective_ack(online: Browser) -> None:
    endpoint = await online.register()
    for number in range(2):
        await online.push(endpoint, b"%d" % number)
    _, second = await online.message(), await online.message()
    named = PROTO["SelectiveAck"](id=[second.persistent_id]).SerializeToString()
    await online.say(IQ, type=1, id="", extension={"id": SELECTIVE_ACK, "data": named})
    await online.back()
    assert (await online.message()).raw_data == b"0"
    await online.silence()


async def test_stored_messages_come_ten_at_a_time_and_without_a_limit(
    meddler: Meddler, clock: ManualClock, tmp_path: Path
) -> None:
    """Chromium cannot be told to subscribe again, so it is not reset for what waited."""
    async with gcm_service(meddler, clock, tmp_path, push_message_limit=15) as running:
        browser = Browser(running, tmp_path)
        await browser.check_in()
        endpoint = await browser.register()
        for number in range(25):
            await browser.push(endpoint, b"%d" % number)
        await browser.back()
        for start in (0, 10, 20):
            batch = [await browser.message() for _ in range(min(10, 25 - start))]
            assert [message.raw_data for message in batch] == [b"%d" % (start + n) for n in range(len(batch))]
            await browser.silence()
            await browser.ack()
        await browser.silence()
        await browser.leave()


async def test_an_instant_message_is_not_to_be_acknowledged(online: Browser) -> None:
    endpoint = await online.register()
    await online.push(endpoint, b"now", ttl=0)
    message = await online.message()
    assert message.raw_data == b"now"
    assert not message.HasField("persistent_id")
    assert not message.immediate_ack
    await online.leave()
    await until(lambda: not list(online.service.gateway._node.registry))
    await online.push(endpoint, b"lost", ttl=0)
    await online.back()
    await online.silence()


async def test_acks_are_confirmed_when_they_are_in_the_store_and_not_before(online: Browser, meddler: Meddler) -> None:
    endpoint = await online.register()
    await online.push(endpoint)
    await online.message()
    written = asyncio.Event()

    async def wait() -> None:
        await written.wait()

    meddler.before["acknowledge"] = wait
    await online.ack()
    confirmed = (await online.silence()).last_stream_id_received
    assert confirmed == online.said - 2, "the ack is confirmed before it is written"
    written.set()
    async with asyncio.timeout(5):
        while (await online.silence()).last_stream_id_received != online.said:
            pass


async def test_acks_that_were_not_written_are_not_confirmed_and_come_again(online: Browser, meddler: Meddler) -> None:
    """Chromium forgets what is confirmed, and would then show a message twice."""
    endpoint = await online.register()
    await online.push(endpoint, b"once")
    message = await online.message()
    meddler.broken = {"acknowledge"}
    await online.ack()
    await until(lambda: meddler.calls.count("acknowledge") == 2)  # it is tried again at once, in vain
    await online.silence()
    meddler.broken = set()
    confirmed = (await online.silence()).last_stream_id_received
    assert confirmed < online.said - 1
    await online.back(received=(message.persistent_id,))
    await online.silence()
    await online.push(endpoint, b"next")
    assert (await online.message()).raw_data == b"next"


async def test_a_store_that_is_away_sends_it_to_come_back(browser: Browser, meddler: Meddler) -> None:
    await browser.connect()
    meddler.broken = {"enrol"}
    with pytest.raises(AssertionError):  # no welcome
        await browser.login()
    meddler.broken = set()
    await browser.back()


async def test_a_login_with_acks_is_confirmed_later(online: Browser) -> None:
    endpoint = await online.register()
    await online.push(endpoint)
    message = await online.message()
    await online.leave()
    await online.connect()
    answer = await online.login(received=(message.persistent_id,))
    assert not answer.HasField("last_stream_id_received")
    async with asyncio.timeout(5):
        while (await online.silence()).last_stream_id_received != online.said:
            pass


async def test_the_next_connection_takes_the_place_of_the_last(online: Browser, tmp_path: Path) -> None:
    other = Browser(online.service, tmp_path, online.id, online.token, online.pair)
    await other.back()
    assert (await online.hear())[0] == CLOSE
    with pytest.raises(Hung):
        await online.hear()
    await other.push(await other.register(), b"here")
    assert (await other.message()).raw_data == b"here"
    await other.leave()


async def test_a_message_finds_the_browser_from_another_process(
    meddler: Meddler, clock: ManualClock, tmp_path: Path
) -> None:
    bus = LocalBus()
    async with (
        gcm_service(meddler, clock, tmp_path, bus=bus) as one,
        gcm_service(meddler, clock, tmp_path, bus=bus) as two,
    ):
        browser = Browser(one, tmp_path)
        await browser.check_in()
        await browser.back()
        browser.service = two  # a balancer sends its HTTP elsewhere, and its senders as well
        endpoint = await browser.register()
        assert await two.gateway.presence([endpoint]) == [True]
        await browser.push(endpoint, b"stored")
        assert (await browser.message()).raw_data == b"stored"
        await browser.push(endpoint, b"instant", ttl=0)
        assert (await browser.message()).raw_data == b"instant"
        await browser.leave()
    await bus.close()


# --- senders ---------------------------------------------------------------------------------------------------------


async def test_senders_name_googles_origin_or_ours(online: Browser) -> None:
    endpoint = await online.register()
    for audience in (GOOGLE, "https://fcm.googleapis.com", ORIGIN):
        await online.push(endpoint, audience.encode(), audience=audience)
        assert (await online.message()).raw_data == audience.encode()
    foreign = vapid(online.pair, "https://updates.push.services.mozilla.com", online.service.clock.now())
    assert (await online.service.post(endpoint, b"x", Authorization=foreign)).status == 401
    stranger = vapid(KeyPair.generate(), GOOGLE, online.service.clock.now())
    assert (await online.service.post(endpoint, b"x", Authorization=stranger)).status == 401
    assert (await online.service.post(endpoint, b"x")).status == 401
    await online.silence()


async def test_a_sender_may_rewrite_the_host(online: Browser) -> None:
    endpoint = await online.register()
    await online.push(endpoint.replace(GOOGLE, ORIGIN), b"rewritten")
    assert (await online.message()).raw_data == b"rewritten"


async def test_googles_audience_opens_no_other_endpoint(service: PushService) -> None:
    pair = KeyPair.generate()
    _, endpoint = await service.subscribed(key=pair.public_text)
    response = await service.post(endpoint, b"x", Authorization=vapid(pair, GOOGLE, service.clock.now()))
    assert response.status == 401


async def test_forged_tokens_cost_no_look_up(online: Browser, meddler: Meddler, service: PushService) -> None:
    endpoint = await online.register()
    token = endpoint.rpartition("/")[2]
    _, v2 = await service.subscribed(key=online.pair.public_text)
    meddler.calls.clear()
    authorization = vapid(online.pair, GOOGLE, service.clock.now())
    turned = token[:-1] + ("A" if token[-1] != "A" else "Q")
    for forged in (turned, token[:-4], "x" * 107, "", v2.rpartition("/")[2]):
        response = await service.post(f"{GOOGLE}/fcm/send/{forged}", b"x", Authorization=authorization)
        assert response.status == 404
        assert not service.gateway.issued(f"{GOOGLE}/fcm/send/{forged}")
    assert (await service.post(f"{ORIGIN}/wpush/v2/{token}", b"x", Authorization=authorization)).status == 404
    assert (await service.post(f"{ORIGIN}/wpush/gcm/{token}", b"x", Authorization=authorization)).status == 404
    assert set(meddler.calls) <= WITHOUT_CAUSE


async def test_our_own_sender_keeps_ours_and_lets_googles_go(online: Browser, service: PushService) -> None:
    ours = await online.register()
    googles = f"{GOOGLE}/fcm/send/cAb:APA91bF-a-token-that-google-made"
    transport = LocalTransport(ORIGIN, service.gateway.accept, Elsewhere(), service.gateway.issued)
    authorization = vapid(online.pair, GOOGLE, service.clock.now())
    requests = [request(url, b"sealed", id=b"delivery", Authorization=authorization) for url in (googles, ours)]
    assert [answer.status for answer in await transport.send(requests)] == [299, 201]
    assert (await online.message()).raw_data == b"sealed"
    assert [answer.status for answer in await transport.send(requests)] == [299, 201]
    await online.silence()


async def test_presence_knows_it(browser: Browser, service: PushService) -> None:
    endpoint = await browser.register()
    assert await service.gateway.presence([endpoint, f"{GOOGLE}/fcm/send/googles"]) == [False, None]
    await browser.back()
    assert await service.gateway.presence([endpoint]) == [True]
    await browser.leave()
    await until(lambda: not list(service.gateway._node.registry))
    assert await service.gateway.presence([endpoint]) == [False]


# --- bad input and time ----------------------------------------------------------------------------------------------


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
