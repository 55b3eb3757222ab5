"""Web Push as push services see it: what is sent, and what their answers mean."""

import base64
import json
from hashlib import sha256

import http_ece
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from clarion.crypto import base64url
from clarion.crypto.p256 import KeyPair, load_public
from clarion.crypto.webpush import CannotDecrypt, Receiver
from clarion.ports import (
    Accepted,
    BadCredentials,
    Gone,
    HttpRequest,
    HttpResponse,
    Outgoing,
    ProviderOutcome,
    Quarantined,
    Rejected,
    RetryAfter,
    TooLarge,
)
from clarion.providers.webpush import WebPushProvider
from clarion.testing import ManualClock
from contract.test_providers import SECRETS, VAPID, RecordingTransport, outgoing

NOW = ManualClock().now()
SUBJECT = "mailto:team@shop.example"
OWN = "https://own.example"


async def sent(message: Outgoing) -> HttpRequest:
    transport = RecordingTransport()
    await WebPushProvider(transport, subject=SUBJECT, own_origin=OWN).send([message], SECRETS, NOW)
    [request] = transport.requests
    return request


async def meaning(answer: HttpResponse) -> ProviderOutcome:
    transport = RecordingTransport(answer)
    provider = WebPushProvider(transport, subject=SUBJECT, own_origin=OWN)
    [outcome] = await provider.send([outgoing()], SECRETS, NOW)
    return outcome


async def test_an_outside_library_decrypts_what_is_sent() -> None:
    receiver = Receiver.generate()
    request = await sent(outgoing(receiver, payload=b'{"title":"Gr\xc3\xbc\xc3\x9fe"}'))
    private = ec.derive_private_key(int.from_bytes(receiver.private), ec.SECP256R1())
    clear = http_ece.decrypt(request.body, private_key=private, auth_secret=receiver.auth, version="aes128gcm")
    assert json.loads(clear) == {"title": "Grüße"}
    assert request.headers["content-encoding"] == "aes128gcm"
    assert request.method == "POST"
    assert request.url == "https://push.example/s/1"


async def test_the_proof_is_made_with_the_key_of_the_subscription() -> None:
    request = await sent(outgoing(endpoint="https://push.example:8443/s/1"))
    scheme, _, rest = request.headers["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert scheme == "vapid"
    assert parts["k"] == VAPID.public_text
    key = load_public(base64url.decode(parts["k"]))
    claims = jwt.decode(
        parts["t"], key, algorithms=["ES256"], audience="https://push.example:8443", options={"verify_exp": False}
    )
    assert claims["sub"] == SUBJECT
    assert NOW / 1000 < claims["exp"] <= NOW / 1000 + 86_400


async def test_one_proof_serves_all_messages_to_an_origin() -> None:
    transport = RecordingTransport()
    provider = WebPushProvider(transport, subject=SUBJECT, own_origin=OWN)
    await provider.send([outgoing(), outgoing(endpoint="https://push.example/s/2")], SECRETS, NOW)
    assert len({request.headers["authorization"] for request in transport.requests}) == 1


ORIGINS = [
    OWN,
    "https://push.example",
    "https://web.push.apple.com",
    "https://db5p.notify.windows.com",
    "http://1.2.3.4:5",
]
OTHER = KeyPair.generate()
BOTH = {**SECRETS, OTHER.public_text: OTHER.private}
RECEIVERS = [Receiver.generate() for _ in range(3)]


@st.composite
def messages(draw: st.DrawFn) -> Outgoing:
    vapid = draw(st.sampled_from([VAPID, OTHER]))
    receiver = draw(st.sampled_from(RECEIVERS))
    made = outgoing(
        endpoint=f"{draw(st.sampled_from(ORIGINS))}/s/{draw(st.integers(0, 3))}?q=1",
        payload=draw(st.binary(max_size=20)),
        expires_at=NOW + 1_000 * draw(st.sampled_from([0, 60, 86_400])),
        collapse_key=draw(st.sampled_from([None, "a", "b"])),
        urgency=draw(st.sampled_from(["low", "normal"])),
        details=json.dumps({**receiver.keys(), "vapid_public_key": vapid.public_text}).encode(),
    )
    return msgspec.structs.replace(
        made, ready=msgspec.structs.replace(made.ready, id=draw(st.binary(min_size=16, max_size=16)))
    )


def headers_of(message: Outgoing, key: str) -> dict[str, str]:
    """As RFC 8030 and the services' own documentation have them, without the token, which is signed anew."""
    ready, (scheme, _, host, *_) = message.ready, message.address.address.split("/")
    origin, ttl = f"{scheme}//{host}", (ready.expires_at - NOW) // 1000
    topic = base64.urlsafe_b64encode(sha256((ready.collapse_key or "").encode()).digest()).decode()[:32]
    made = {
        "authorization": f"{origin} {key}",
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "ttl": str(ttl),
        "urgency": "high" if "apple" in host else ready.urgency,
    }
    if ready.collapse_key or origin == OWN:
        made["topic"] = topic if ready.collapse_key else ready.id.hex()
    return made | ({"x-wns-cache-policy": "no-cache"} if "windows" in host and ttl == 0 else {})


@given(batch=st.lists(messages(), max_size=12))
async def test_each_request_of_a_mixed_batch_is_as_if_it_were_alone(batch: list[Outgoing]) -> None:
    transport = RecordingTransport()
    outcomes = await WebPushProvider(transport, subject=SUBJECT, own_origin=OWN).send(batch, BOTH, NOW)
    assert outcomes == [Accepted()] * len(batch)
    requests = transport.requests
    shared = {
        (each.address.address.split("/s/")[0], each.address.details[-60:], each.ready.urgency, *headers_of(each, ""))
        for each in batch
    }
    assert len(transport.batches) <= len(shared)
    for message in batch:
        details = json.loads(message.address.details)
        receiver = next(each for each in RECEIVERS if each.keys()["auth"] == details["auth"])
        request = next(
            each
            for each in requests
            if (each.id, each.url) == (message.ready.id, message.address.address)
            and _opened(receiver, each.body) == message.ready.payload
            and dict(each.headers) | {"authorization": _proof(each)} == headers_of(message, details["vapid_public_key"])
        )
        requests.remove(request)
    assert requests == []


def _opened(receiver: Receiver, body: bytes) -> bytes | None:
    try:
        return receiver.decrypt(body)
    except CannotDecrypt:
        return None


def _proof(request: HttpRequest) -> str:
    """Audience and key of a proof that holds."""
    token, key = request.headers["authorization"].removeprefix("vapid t=").split(",k=")
    options = {"verify_exp": False, "verify_aud": False}
    return (
        f"{jwt.decode(token, load_public(base64url.decode(key)), algorithms=['ES256'], options=options)['aud']} {key}"
    )


@given(left_ms=st.integers(-5_000, 40 * 86_400_000))
async def test_the_time_to_live_is_what_is_left_of_it(left_ms: int) -> None:
    request = await sent(outgoing(expires_at=NOW + left_ms))
    ttl = int(request.headers["ttl"])
    assert ttl >= 0
    assert max(0, left_ms) <= ttl * 1000 < max(0, left_ms) + 1000


async def test_a_collapse_key_becomes_a_topic_that_tells_nothing_about_it() -> None:
    request = await sent(outgoing(collapse_key="order A-17"))
    expected = base64.urlsafe_b64encode(sha256(b"order A-17").digest()).decode()[:32]
    assert request.headers["topic"] == expected
    assert "topic" not in (await sent(outgoing())).headers


async def test_the_topic_of_an_update_is_that_of_the_first() -> None:
    for endpoint in (f"{OWN}/wpush/v2/x", "https://push.example/x"):
        message = outgoing(endpoint=endpoint)
        update = msgspec.structs.replace(message, ready=msgspec.structs.replace(message.ready, place=b"p" * 16))
        assert (await sent(update)).headers["topic"] == (b"p" * 16).hex()


async def test_on_our_own_service_the_topic_is_the_deliverys_id() -> None:
    request = await sent(outgoing(endpoint=f"{OWN}/wpush/v2/x"))
    assert request.headers["topic"] == bytes(range(16)).hex() == (request.id or b"").hex()


async def test_apple_always_gets_high_urgency_and_others_what_was_asked() -> None:
    assert (await sent(outgoing(endpoint="https://web.push.apple.com/x", urgency="low"))).headers["urgency"] == "high"
    assert (await sent(outgoing(urgency="low"))).headers["urgency"] == "low"


async def test_windows_gets_its_own_header_with_a_ttl_of_zero() -> None:
    windows = "https://db5p.notify.windows.com/w/?token=x"
    assert (await sent(outgoing(endpoint=windows, expires_at=NOW))).headers["x-wns-cache-policy"] == "no-cache"
    assert "x-wns-cache-policy" not in (await sent(outgoing(endpoint=windows))).headers


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (201, b"", Accepted),
        (200, b"", Accepted),
        (404, b"", Gone),
        (410, b"", Gone),
        (413, b"", TooLarge),
        (400, b'{"errno": 110}', Rejected),
        (400, b'{"reason":"VapidPkHashMismatch"}', Quarantined),
        (401, b'{"errno": 109}', Quarantined),
        (403, b"the key in the authorization header does not correspond", Quarantined),
        (403, b'{"reason":"BadJwtToken"}', BadCredentials),
        (301, b"", Rejected),
        (429, b"", RetryAfter),
        (500, b"", RetryAfter),
        (502, b"<html>", RetryAfter),
        (503, b"", RetryAfter),
    ],
)
async def test_each_answer_has_its_meaning(status: int, body: bytes, outcome: type) -> None:
    assert isinstance(await meaning(HttpResponse(status, {}, body)), outcome)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("Fri, 15 Jan 2027 08:02:00 GMT", 120.0), ("soon", None), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0)],
)
async def test_retry_after_is_a_number_or_a_date(header: str, seconds: float | None) -> None:
    outcome = await meaning(HttpResponse(503, {"retry-after": header}))
    assert isinstance(outcome, RetryAfter)
    assert outcome.seconds == seconds


async def test_no_answer_may_mean_that_it_arrived_unless_it_was_never_sent() -> None:
    lost = await meaning(HttpResponse(0, error="timed out", unknown=True))
    assert lost == RetryAfter(detail="timed out", unknown=True)
    unsent = await meaning(HttpResponse(0, error="no connection"))
    assert unsent == RetryAfter(detail="no connection", unknown=False)
    assert isinstance(await meaning(HttpResponse(0, error="refused: a private address")), Rejected)


async def test_the_services_own_name_for_a_message_is_kept() -> None:
    assert await meaning(HttpResponse(201, {"location": "https://p/m/1"})) == Accepted("https://p/m/1")


@pytest.mark.parametrize(
    "details",
    [
        b'{"p256dh":"AAAA","auth":"AAAA","vapid_public_key":"k"}',
        b'{"p256dh":"","auth":"","vapid_public_key":""}',
        b"{}",
    ],
)
async def test_a_subscription_with_unusable_keys_is_put_aside(details: bytes) -> None:
    transport = RecordingTransport()
    provider = WebPushProvider(transport, subject=SUBJECT, own_origin=OWN)
    [outcome] = await provider.send([outgoing(details=details)], SECRETS, NOW)
    assert isinstance(outcome, Quarantined)
    assert transport.requests == []


async def test_a_key_that_the_project_does_not_have_any_more_needs_a_new_subscription() -> None:
    provider = WebPushProvider(RecordingTransport(), subject=SUBJECT, own_origin=OWN)
    [outcome] = await provider.send([outgoing()], {}, NOW)
    assert isinstance(outcome, Quarantined)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b'{"code": 410, "errno": 106, "message": "the channel is gone", "more_info": "https://a.example"}',
            "the channel is gone",
        ),
        (b'{"reason": "Unregistered"}', "Unregistered"),
        (b"push subscription has unsubscribed or expired.\n", "push subscription has unsubscribed or expired."),
        (b'{"message": 5}', '{"message": 5}'),
        (b'{"message": "\xff"}', '{"message": "\ufffd"}'),
    ],
)
async def test_a_refusal_is_told_in_the_services_own_words(body: bytes, words: str) -> None:
    provider = WebPushProvider(RecordingTransport(HttpResponse(410, body=body)), subject=SUBJECT, own_origin=OWN)
    assert await provider.send([outgoing()], SECRETS, NOW) == [Gone(f"410 {words}")]


@given(
    status=st.sampled_from([201, 400, 401, 404, 410, 413, 429, 503]),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "location", "x-wns-error-description"]),
        st.text(st.characters(), max_size=400)  # as HTTP clients give them, half characters included
        | st.integers(0, 10**400).map(str)
        | st.sampled_from(
            ["²", "-1", "1e400", "Wed, 01 Jan 99999999999999999999 00:00:00 GMT", "Wed, 01 Jan 0001 00:00:00 +2400"]
        ),
    ),
    body=st.binary(max_size=400) | st.sampled_from([b'{"message": "\\u0000"}', b'{"reason": "\\ud800"}', b"[" * 4096]),
)
async def test_no_answer_of_a_stranger_fails_the_batch(status: int, headers: dict[str, str], body: bytes) -> None:
    provider = WebPushProvider(RecordingTransport(HttpResponse(status, headers, body)), subject=SUBJECT, own_origin=OWN)
    [outcome] = await provider.send([outgoing()], SECRETS, NOW)
    words = getattr(outcome, "detail", None) or getattr(outcome, "provider_id", None) or ""
    assert "\0" not in words
    words.encode()
    seconds = getattr(outcome, "seconds", None)
    assert seconds is None or 0 <= seconds <= 2_592_000


async def test_the_message_at_the_push_service_is_remembered_whole() -> None:
    location = f"https://push.example/m/{'a' * 500}"
    transport = RecordingTransport(HttpResponse(201, {"location": location}))
    provider = WebPushProvider(transport, subject=SUBJECT, own_origin=OWN)
    assert await provider.send([outgoing()], SECRETS, NOW) == [Accepted(location)]


async def test_what_was_prepared_goes_over_the_wire_byte_by_byte() -> None:
    transport, receiver = RecordingTransport(), Receiver.generate()
    provider = WebPushProvider(transport, subject=SUBJECT, own_origin=OWN)
    message = outgoing(receiver, payload=b"ready before the moment")
    [body] = await provider.prepare([message], SECRETS)
    assert isinstance(body, bytes)
    assert receiver.decrypt(body) == b"ready before the moment"
    other = msgspec.structs.replace(message, body=body, ready=msgspec.structs.replace(message.ready, payload=b""))
    await provider.send([other, message], SECRETS, NOW)
    prepared, sealed_now = transport.requests
    assert prepared.body == body != sealed_now.body


async def test_preparing_tells_what_can_never_be_sent() -> None:
    provider = WebPushProvider(RecordingTransport(), subject=SUBJECT, own_origin=OWN)
    good, too_large, useless = outgoing(), outgoing(payload=b"x" * 4_000), outgoing(details=b"{}")
    made = await provider.prepare([useless, good, too_large], SECRETS)
    assert [type(each) for each in made] == [Quarantined, bytes, TooLarge]
    assert [type(each) for each in await provider.send([useless, good, too_large], SECRETS, NOW)] == [
        Quarantined, Accepted, TooLarge
    ]  # fmt: skip
    assert [type(each) for each in await provider.prepare([good], {})] == [Quarantined]
