"""Our push service as a sender sees it: RFC 8030 with its refusals."""

import base64
import json
import os
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, cast

import pytest

from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.p256 import KeyPair
from clarion.gateway.extract import MAX_BODY
from clarion.ports import HttpRequest, HttpResponse, PushStore
from clarion.testing import ManualClock, MemoryStore
from contract.support_gateway import (
    ORIGIN,
    SECRETS,
    Meddler,
    PushService,
    data_of,
    push_service,
    request,
    vapid,
)

BODY = b"b" * 60
MONTH = 30 * 86_400


@pytest.fixture
def meddler(clock: ManualClock) -> Meddler:
    return Meddler(MemoryStore(clock).push)


@pytest.fixture
async def service(meddler: Meddler, clock: ManualClock) -> AsyncIterator[PushService]:
    async with push_service(cast("PushStore", meddler), clock) as running:
        yield running


def errno(response: HttpResponse) -> tuple[int, int | None]:
    body = json.loads(response.body)
    assert set(body) == {"code", "errno", "error", "message", "more_info"}
    assert body["code"] == response.status
    assert response.headers["content-type"] == "application/json"
    assert body["message"]
    return response.status, body["errno"]


# --- what is refused -------------------------------------------------------------------------------------------------


class Refusal(NamedTuple):
    headers: dict[str, str]
    answer: tuple[int, int | None]
    ttl: int | None = 60
    body: bytes = BODY


SALT, DH = "salt=XZwpw6o37R-6qoZjw6KwAw", "dh=BNoRDbb84JGm8g5Z5CFxurSqsXWJ11Itfx"
REFUSALS = [
    Refusal({}, (400, 111), ttl=None),
    Refusal({"TTL": ""}, (400, 111), ttl=None),
    Refusal({"TTL": "soon"}, (400, 111), ttl=None),
    Refusal({"TTL": "1.5"}, (400, 111), ttl=None),
    Refusal({"TTL": "+5"}, (400, 111), ttl=None),
    Refusal({"TTL": "٣"}, (400, 111), ttl=None),
    Refusal({"TTL": "9" * 400}, (400, 111), ttl=None),
    Refusal({"TTL": "-1"}, (400, 114), ttl=None),
    Refusal({"Topic": ""}, (400, 113)),
    Refusal({"Topic": "a" * 33}, (400, 113)),
    Refusal({"Topic": "with space"}, (400, 113)),
    Refusal({"Topic": "sl/ash"}, (400, 113)),
    Refusal({"Topic": "ünder"}, (400, 113)),
    Refusal({"Urgency": "low, high"}, (400, None)),
    Refusal({"Content-Encoding": ""}, (400, 110)),
    Refusal({"Content-Encoding": "gzip"}, (400, 110)),
    Refusal({"Content-Encoding": "aes128gcm", "Encryption": SALT}, (400, 110)),
    Refusal({"Content-Encoding": "aes128gcm", "Crypto-Key": f"keyid=p256dh; {DH}"}, (400, 110)),
    Refusal({"Content-Encoding": "aesgcm"}, (400, 110)),
    Refusal({"Content-Encoding": "aesgcm", "Encryption": "keyid=p256dh"}, (400, 110)),
    Refusal({"Content-Encoding": "aesgcm", "Encryption": "salt=sl/ash+"}, (400, 110)),
    Refusal({"Content-Encoding": "aesgcm", "Encryption": SALT, "Crypto-Key": "p256ecdsa=abc"}, (400, 110)),
    Refusal({"Content-Encoding": "aesgcm", "Encryption": SALT, "Encryption-Key": DH}, (400, 110)),
    Refusal({"Content-Encoding": "aesgcm", "Encryption": SALT + ";x=" + "y" * 2000, "Crypto-Key": DH}, (400, 110)),
    Refusal({}, (413, 104), body=b"x" * (MAX_BODY + 1)),
    Refusal({"Authorization": "Basic dTpw"}, (401, 109)),
    Refusal({"Authorization": "Bearer"}, (401, 109)),
    Refusal({"Authorization": "vapid t=a.b.c,k=invalid"}, (401, 109)),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: f"{refusal.answer[1]}-{str(refusal.headers)[:40]}")
async def test_what_is_not_valid_is_refused_before_anything_runs(
    service: PushService, meddler: Meddler, refusal: Refusal
) -> None:
    device, endpoint = await service.subscribed()
    asked = len(meddler.calls)
    response = await service.post(endpoint, refusal.body, refusal.ttl, **refusal.headers)
    assert errno(response) == refusal.answer
    assert len(meddler.calls) == asked
    assert ("www-authenticate" in response.headers) is (response.status == 401)
    await service.push(endpoint, BODY)
    assert data_of(await device.hear()) == BODY


@pytest.mark.parametrize(
    "path",
    [
        "/wpush/v1/",
        "/wpush/v1/made-up",
        "/wpush/v1/" + "A" * 64,
        "/wpush/v3/{v1}",
        "/wpush/v2/{v1}",
        "/wpush/v1/{v1}=",
        "/wpush/v1/{v1}/more",
        "/wpush/{v1}",
        "/",
        "",
        "/m/",
        "/m/forged",
    ],
)
async def test_a_token_that_we_did_not_make_is_not_even_looked_up(
    service: PushService, meddler: Meddler, path: str
) -> None:
    _, endpoint = await service.subscribed()
    asked = len(meddler.calls)
    url = ORIGIN + path.format(v1=endpoint.rpartition("/")[2])
    method = "DELETE" if path.startswith("/m/") else "POST"
    [response] = await service.gateway.accept([request(url, BODY, method=method)])
    assert errno(response) == (404, 102)
    assert len(meddler.calls) == asked


async def test_a_token_of_another_server_is_unknown(service: PushService) -> None:
    token = EndpointTokens([b"other" * 8]).make_v1(os.urandom(16), os.urandom(16))
    assert errno(await service.post(f"{ORIGIN}/wpush/v1/{token}")) == (404, 102)


async def test_a_good_token_without_a_subscription_is_gone(service: PushService) -> None:
    device, _ = await service.subscribed()
    assert device.uaid
    tokens = EndpointTokens(SECRETS)
    stranger = tokens.make_v1(os.urandom(16), os.urandom(16))
    cancelled = tokens.make_v1(bytes.fromhex(device.uaid), os.urandom(16))
    for token, number in ((stranger, 105), (cancelled, 106)):
        response = await service.post(f"{ORIGIN}/wpush/v1/{token}", BODY)
        assert errno(response) == (410, number)
        assert response.headers["cache-control"] == "max-age=86400"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
async def test_other_methods_are_not_allowed(service: PushService, method: str) -> None:
    _, endpoint = await service.subscribed()
    [response] = await service.gateway.accept([request(endpoint, method=method)])
    assert errno(response) == (405, None)
    assert response.headers["allow"] == "POST, GET"


# --- VAPID -----------------------------------------------------------------------------------------------------------

PAIR, OTHER = KeyPair.generate(), KeyPair.generate()


def now_s(clock: ManualClock) -> int:
    return clock.now() // 1000


VAPID_REFUSED: dict[str, Any] = {
    "missing": lambda _: None,
    "another key": lambda clock: vapid(OTHER, ORIGIN, clock.now()),
    "another key than the token's": lambda clock: vapid(OTHER, ORIGIN, clock.now()).replace(
        OTHER.public_text, PAIR.public_text
    ),
    "another audience": lambda clock: vapid(PAIR, "http://elsewhere.test", clock.now()),
    "a path in no audience": lambda clock: vapid(PAIR, "push.test", clock.now()),
    "no audience": lambda clock: vapid(PAIR, ORIGIN, clock.now(), aud=None),
    "expired": lambda clock: vapid(PAIR, ORIGIN, clock.now(), exp=now_s(clock)),
    "too far ahead": lambda clock: vapid(PAIR, ORIGIN, clock.now(), exp=now_s(clock) + 86_401),
    "exp is text": lambda clock: vapid(PAIR, ORIGIN, clock.now(), exp="@"),
    "no exp": lambda clock: vapid(PAIR, ORIGIN, clock.now(), exp=None),
    "not signed": lambda clock: vapid(PAIR, ORIGIN, clock.now())[:-100] + "A" * 5 + f",k={PAIR.public_text}",
    "draft without its key": lambda clock: "WebPush " + vapid(PAIR, ORIGIN, clock.now())[8:].partition(",")[0],
}


@pytest.mark.parametrize("name", VAPID_REFUSED)
async def test_a_subscription_made_with_a_key_takes_messages_of_that_key_only(service: PushService, name: str) -> None:
    _, endpoint = await service.subscribed(key=PAIR.public_text)
    authorization = VAPID_REFUSED[name](service.clock)
    headers = {} if authorization is None else {"Authorization": authorization}
    response = await service.post(endpoint, BODY, **headers)
    assert errno(response) == (401, 109)
    assert response.headers["www-authenticate"] == "vapid"


@pytest.mark.parametrize(
    "form", ["rfc", "exactly a day", "WebPush", "Bearer", "padded standard base64", "with a slash"]
)
async def test_the_senders_own_signature_is_taken_in_every_form(service: PushService, form: str) -> None:
    device, endpoint = await service.subscribed(key=PAIR.public_text)
    claims = {"exactly a day": {"exp": now_s(service.clock) + 86_400}, "with a slash": {"aud": ORIGIN + "/"}}
    headers = {"Authorization": vapid(PAIR, ORIGIN, service.clock.now(), **claims.get(form, {}))}
    if form in {"WebPush", "Bearer"}:
        token = headers["Authorization"].removeprefix("vapid t=").partition(",")[0]
        headers = {"Authorization": f"{form} {token}", "Crypto-Key": f'keyid="a1"; p256ecdsa="{PAIR.public_text}"'}
    elif form == "padded standard base64":
        headers["Authorization"] = headers["Authorization"].replace(
            PAIR.public_text, base64.b64encode(PAIR.public).decode()
        )
    await service.push(endpoint, BODY, **headers)
    assert data_of(await device.hear()) == BODY


async def test_without_a_key_anyone_may_send_but_a_name_must_be_proven(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, BODY)
    await service.push(endpoint, BODY, Authorization=vapid(OTHER, ORIGIN, service.clock.now()))
    stolen = vapid(PAIR, "http://elsewhere.test", service.clock.now())
    assert errno(await service.post(endpoint, BODY, Authorization=stolen)) == (401, 109)
    assert [data_of(await device.hear()) for _ in range(2)] == [BODY, BODY]


# --- what is accepted ------------------------------------------------------------------------------------------------


async def test_a_message_of_4096_bytes_and_its_overhead_fits(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    for size in (3_993 + 103, 4_096 + 103, MAX_BODY):
        body = os.urandom(size)
        await service.push(endpoint, body)
        assert data_of(await device.hear()) == body


async def test_a_ttl_is_kept_up_to_a_month(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    for asked, kept in (("0", "0"), (" 7 ", "7"), (str(MONTH), str(MONTH)), ("9" * 20, str(MONTH))):
        response = await service.post(endpoint, BODY, None, TTL=asked)
        assert (response.status, response.headers["ttl"]) == (201, kept)
        await device.hear()


async def test_the_old_encoding_is_handed_on_without_quotes_and_padding(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await service.push(
        endpoint,
        BODY,
        Content_Encoding="aesgcm",
        Encryption='keyid="http://example.org/bob/keys/123";salt="XZwpw6o37R-6qoZjw6KwAw=="',
        Crypto_Key='keyid="a1"; dh="JcqK-OLkJZlJ3sJJWstJCA=="; p256ecdsa="abc="',
    )
    assert (await device.hear())["headers"] == {
        "encoding": "aesgcm",
        "encryption": "keyid=http://example.org/bob/keys/123;salt=XZwpw6o37R-6qoZjw6KwAw",
        "crypto_key": "keyid=a1; dh=JcqK-OLkJZlJ3sJJWstJCA; p256ecdsa=abc",
    }


async def test_encryption_headers_without_a_body_do_not_matter(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    for headers in ({"Content_Encoding": "gzip"}, {"Content_Encoding": "aes128gcm", "Encryption": SALT}):
        await service.push(endpoint, **headers)
        assert set(await device.hear()) == {"messageType", "channelID", "version"}


@pytest.mark.parametrize(
    "headers", [{"Urgency": "high"}, {"Urgency": "whenever"}, {"Topic": "a" * 32}, {"Topic": "YQ=="}]
)
async def test_topic_and_urgency_are_taken(service: PushService, headers: dict[str, str]) -> None:
    device, endpoint = await service.subscribed()
    await service.push(endpoint, BODY, **headers)
    assert data_of(await device.hear()) == BODY


async def test_a_sender_takes_its_message_back(service: PushService) -> None:
    device, endpoint = await service.subscribed()
    await device.leave()
    first = await service.push(endpoint, b"first" * 10)
    await service.push(endpoint, b"second" * 10)
    location = first.headers["location"]
    assert location.startswith(f"{ORIGIN}/m/")
    for _ in range(2):
        [response] = await service.gateway.accept([request(location, method="DELETE")])
        assert (response.status, response.body) == (204, b"")
    await device.back()
    assert data_of(await device.hear()) == b"second" * 10
    assert await device.silence()


async def test_every_answer_names_a_resource_of_its_own(service: PushService) -> None:
    _, endpoint = await service.subscribed()
    requests = [
        request(endpoint, BODY, ttl, id)
        for ttl, id in ((60, None), (60, b"s" * 16), (60, b"s" * 16), (0, None), (0, None))
    ]
    responses = await service.gateway.accept(requests)
    assert [response.status for response in responses] == [201] * 5
    assert len({response.headers["location"] for response in responses}) == 5


async def test_a_batch_is_answered_in_order(service: PushService, meddler: Meddler) -> None:
    one, first = await service.subscribed()
    two, second = await service.subscribed()
    gone = f"{ORIGIN}/wpush/v1/{EndpointTokens(SECRETS).make_v1(os.urandom(16), os.urandom(16))}"
    meddler.calls.clear()
    responses = await service.gateway.accept(
        [
            request(first, b"1" * 30),
            request(gone, BODY),
            request(second, b"2" * 30, ttl=None),
            request(second, b"3" * 30),
            HttpRequest("GET", first, {}, b""),
            request(f"{ORIGIN}/wpush/v1/no", BODY),
            request(second, b"4" * 30, ttl=0),
        ]
    )
    assert [response.status for response in responses] == [201, 410, 400, 201, 200, 404, 201]
    assert meddler.calls.count("add") == meddler.calls.count("channels") == 1
    assert data_of(await one.hear()) == b"1" * 30
    assert {data_of(await two.hear()) for _ in range(2)} == {b"3" * 30, b"4" * 30}


async def test_nothing_in_nothing_out(service: PushService) -> None:
    assert await service.gateway.accept([]) == []
