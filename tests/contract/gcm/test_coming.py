"""Chromium comes to our push service: check-in, registration, and the senders who write to it."""

from pathlib import Path

import pytest

from clarion.crypto.android import AndroidIds
from clarion.crypto.p256 import KeyPair
from clarion.gateway import Limits
from clarion.testing import ManualClock
from clarion.transport.local import LocalTransport
from contract.support_batches import send
from contract.support_gateway import ORIGIN, Meddler, PushService, request, vapid
from contract.support_gcm import (
    GOOGLE,
    WITHOUT_CAUSE,
    Browser,
    gcm_service,
    until,
)
from contract.test_transport_local import Elsewhere

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
        assert not service.gateway.issued(GOOGLE, f"/fcm/send/{forged}")
    assert (await service.post(f"{ORIGIN}/wpush/v2/{token}", b"x", Authorization=authorization)).status == 404
    assert (await service.post(f"{ORIGIN}/wpush/gcm/{token}", b"x", Authorization=authorization)).status == 404
    assert set(meddler.calls) <= WITHOUT_CAUSE


async def test_our_own_sender_keeps_ours_and_lets_googles_go(online: Browser, service: PushService) -> None:
    ours = await online.register()
    googles = f"{GOOGLE}/fcm/send/cAb:APA91bF-a-token-that-google-made"
    transport = LocalTransport(ORIGIN, service.gateway.accept, Elsewhere(), service.gateway.issued)
    authorization = vapid(online.pair, GOOGLE, service.clock.now())
    requests = [request(url, b"sealed", id=b"delivery", Authorization=authorization) for url in (googles, ours)]
    assert [answer.status for answer in await send(transport, requests)] == [299, 201]
    assert (await online.message()).raw_data == b"sealed"
    assert [answer.status for answer in await send(transport, requests)] == [299, 201]
    await online.silence()


async def test_presence_knows_it(browser: Browser, service: PushService) -> None:
    endpoint = await browser.register()
    assert await service.gateway.presence([endpoint, f"{GOOGLE}/fcm/send/googles"]) == [False, None]
    await browser.back()
    assert await service.gateway.presence([endpoint]) == [True]
    await browser.leave()
    await until(lambda: not list(service.gateway._node.registry))
    assert await service.gateway.presence([endpoint]) == [False]
