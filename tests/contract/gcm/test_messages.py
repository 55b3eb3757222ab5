"""Messages to a Chromium and their acknowledgement, over real TLS: nothing is lost, and nothing is shown twice."""

import asyncio
from pathlib import Path

import pytest

from clarion.testing import ManualClock
from clarion.transport.bus import LocalBus
from contract.support_gateway import Meddler, vapid
from contract.support_gcm import (
    CLOSE,
    GOOGLE,
    IQ,
    PROTO,
    SELECTIVE_ACK,
    Browser,
    Hung,
    gcm_service,
    until,
)


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
