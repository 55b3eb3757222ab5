"""FCM against the simulated FCM and its token endpoint: every error code, and what becomes of the device."""

import json
from collections.abc import AsyncIterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from clarion.crypto.credentials import ServiceAccount
from clarion.model import Action, Device, DeviceKind, DeviceState, Json, LockScreen, Registration, Urgency
from clarion.ports import (
    Accepted,
    ArmedWork,
    BadCredentials,
    Gone,
    HttpResponse,
    Outgoing,
    Prepared,
    ProviderOutcome,
    Quarantined,
    Rejected,
    RetryAfter,
    TooLarge,
    uuid_of,
)
from clarion.providers.fcm import URL, FcmProvider
from clarion.testing import ManualClock, MemoryStore, SeededChance
from clarion.testing.simulators import FcmSimulator
from clarion.testing.simulators.fcm_errors import ERROR_CODES
from clarion.transport.senders import Http2Senders
from contract.support_credentials import rsa_pem, service_account
from contract.test_providers import RecordingSenders, message_for
from story.world import World

NOW = ManualClock().now()
TOKEN = "d" * 40
FID = "c" + "x" * 21
PAYLOAD = b'{"notification":{"title":"Shipped"},"android":{"priority":"HIGH"}}'
SEND = "/v1/projects/shop/messages:send"


@pytest.fixture
async def fcm(clock: ManualClock, tmp_path: Path) -> AsyncIterator[FcmSimulator]:
    async with FcmSimulator(folder=tmp_path, now=clock.now) as simulator:
        yield simulator


@pytest.fixture
async def provider(fcm: FcmSimulator) -> AsyncIterator[FcmProvider]:
    senders = Http2Senders(authority=fcm.ca_file)
    yield FcmProvider(senders, url=fcm.url)
    await senders.close()


def message(token: str = TOKEN, details: bytes = b"{}", **ready: Any) -> Outgoing:
    return message_for(DeviceKind.FCM, token, details, **{"payload": PAYLOAD, **ready})


async def send(
    provider: FcmProvider, batch: Sequence[Outgoing], account: ServiceAccount, now: int = NOW
) -> list[ProviderOutcome]:
    return await provider.send(batch, {"google": account.sealed_form()}, now)


def accepted(outcomes: Sequence[ProviderOutcome]) -> list[bool]:
    return [isinstance(outcome, Accepted) for outcome in outcomes]


# --- what is sent ----------------------------------------------------------------------------------------------------


async def test_a_token_and_an_installation_are_addressed_as_what_they_are(
    fcm: FcmSimulator, provider: FcmProvider
) -> None:
    batch = [message(), message(FID, b'{"address_kind":"fid"}'), message("x", b'{"address_kind":"topic"}')]
    outcomes = await send(provider, batch, service_account(fcm))
    assert accepted(outcomes) == [True, True, False]
    assert isinstance(outcomes[2], Quarantined)
    assert [sent.token for sent in fcm.shown.messages] == [TOKEN, FID]
    assert [outcome.provider_id for outcome in outcomes if isinstance(outcome, Accepted)] == [
        f"projects/{fcm.project}/messages/{sent.id}" for sent in fcm.shown.messages
    ]


@pytest.mark.parametrize(("left_ms", "ttl"), [(90_500, "91s"), (0, "0s"), (-5, "0s"), (40 * 86_400_000, "2419200s")])
async def test_the_time_to_live_is_what_is_left_of_it(
    fcm: FcmSimulator, provider: FcmProvider, left_ms: int, ttl: str
) -> None:
    await send(provider, [message(expires_at=NOW + left_ms)], service_account(fcm))
    assert fcm.shown.messages[-1].payload["android"] == {"priority": "HIGH", "ttl": ttl}


async def test_the_callers_time_to_live_stays(fcm: FcmSimulator, provider: FcmProvider) -> None:
    await send(provider, [message(payload=b'{"android":{"ttl":"5s"}}'), message(payload=b"{}")], service_account(fcm))
    assert [sent.payload["android"]["ttl"] for sent in fcm.shown.messages] == ["5s", "60s"]


async def test_a_message_as_it_is_composed_gets_its_target_and_its_time(
    fcm: FcmSimulator, provider: FcmProvider
) -> None:
    composed = b'{"android":{"ttl":null,"priority":"HIGH"},"data":{"ttl":"mine","token":"mine"}}'
    batch = [message(payload=composed), message(FID, b'{"address_kind":"fid"}', payload=composed)]
    assert accepted(await send(provider, batch, service_account(fcm))) == [True, True]
    assert [sent.token for sent in fcm.shown.messages] == [TOKEN, FID]
    for sent in fcm.shown.messages:
        assert sent.payload["android"] == {"ttl": "60s", "priority": "HIGH"}
        assert sent.payload["data"] == {"ttl": "mine", "token": "mine"}


@pytest.mark.parametrize(
    "payload", [PAYLOAD, b'{"android":{"ttl":null,"priority":"HIGH"}}', b'{"android":{"ttl":"5s"}}']
)
@pytest.mark.parametrize(("address", "details"), [(TOKEN, "{}"), (FID, '{"address_kind":"fid"}')])
async def test_what_was_armed_goes_out_like_any_other(
    fcm: FcmSimulator, provider: FcmProvider, payload: bytes, address: str, details: str
) -> None:
    """Straight from its columns, with the same words as one by one, and the time that is left at the fire."""
    one = message(address, details.encode(), payload=payload, id=b"i" * 16, expires_at=NOW + 60_000)
    ready, [body] = one.ready, await provider.prepare([one], {})
    assert isinstance(body, bytes)
    work = ArmedWork(
        kind=DeviceKind.FCM, notification=ready.notification, armed_at=0, category=ready.category,
        urgency=ready.urgency, collapse_key=None, headers=None, users=[ready.user], devices=[ready.device],
        ids=[uuid_of(ready.id)], addresses=[address], details=[details], bodies=[body],
    )  # fmt: skip
    armed = Prepared(work, ready.expires_at)
    for batch in ([one], armed, list(armed)):
        assert accepted(await send(provider, batch, service_account(fcm), NOW + 20_000)) == [True]
    assert [each.payload for each in fcm.shown.messages] == [fcm.shown.messages[0].payload] * 3
    assert fcm.shown.messages[0].payload["android"]["ttl"] in ("40s", "5s")


async def test_a_thousand_go_out_in_one_batch(fcm: FcmSimulator, provider: FcmProvider) -> None:
    batch = [message(f"{number:040d}", id=number.to_bytes(16)) for number in range(1_000)]
    assert accepted(await send(provider, batch, service_account(fcm))) == [True] * 1_000
    assert fcm.shown.accepted == len(fcm.shown.tokens) == 1_000


# --- access tokens ---------------------------------------------------------------------------------------------------


async def test_one_access_token_serves_for_nearly_an_hour(
    fcm: FcmSimulator, provider: FcmProvider, clock: ManualClock
) -> None:
    for _ in range(24):  # two hours
        assert accepted(await send(provider, [message()], service_account(fcm), clock.now())) == [True]
        clock.advance(seconds=300)
    assert fcm.answers == {"200": 24, "200 token": 3}


async def test_the_assertion_says_who_and_for_what() -> None:
    senders, account = RecordingSenders(), service_account()
    await send(FcmProvider(senders), [message()], account)
    grant, sent = senders.batches
    assert (grant.origin, grant.requests[0].path) == ("https://oauth2.googleapis.com", "/token")
    form = dict(part.split("=", 1) for part in grant.requests[0].body.decode().split("&"))
    header = jwt.get_unverified_header(form["assertion"])
    claims = jwt.decode(form["assertion"], options={"verify_signature": False})
    assert (header["alg"], header["kid"]) == ("RS256", "k1")
    assert claims == {
        "iss": account.client_email,
        "aud": account.token_uri,
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "iat": NOW // 1000,
        "exp": NOW // 1000 + 3600,
    }
    assert (sent.origin, sent.requests[0].path) == (URL, SEND)
    assert ("authorization", "Bearer ya29.x") in sent.headers


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (HttpResponse(400, {}, b'{"error":"invalid_grant","error_description":"Invalid JWT"}'), BadCredentials),
        (HttpResponse(401, {}, b"<html>"), BadCredentials),
        (HttpResponse(200, {}, b"{}"), BadCredentials),
        (HttpResponse(503, {}, b""), RetryAfter),
        (HttpResponse(0, error="gone", unknown=True), RetryAfter),
    ],
)
async def test_without_an_access_token_nothing_is_sent(answer: HttpResponse, outcome: type) -> None:
    senders = RecordingSenders({"/token": answer})
    outcomes = await send(FcmProvider(senders), [message()] * 2, service_account())
    assert [type(each) for each in outcomes] == [outcome] * 2
    assert not any(getattr(each, "unknown", False) for each in outcomes)  # no message was on its way
    assert len(senders.batches) == 1


async def test_nobody_but_google_is_asked_for_one() -> None:
    senders = RecordingSenders()
    account = msgspec.structs.replace(service_account(), token_uri="https://169.254.169.254/token")
    assert await send(FcmProvider(senders), [message()], account) == [BadCredentials("token_uri is not Google's")]
    assert senders.batches == []


async def test_another_accounts_key(fcm: FcmSimulator, provider: FcmProvider) -> None:
    stranger = msgspec.structs.replace(service_account(fcm), private_key=rsa_pem())
    [outcome] = await send(provider, [message()], stranger)
    assert outcome == BadCredentials("no access token: 400 invalid_grant Invalid JWT Signature.")


async def test_an_access_token_that_ended_early_is_replaced(
    clock: ManualClock, tmp_path: Path, fcm: FcmSimulator, provider: FcmProvider
) -> None:
    account = service_account(fcm)
    assert accepted(await send(provider, [message()], account)) == [True]
    clock.advance(seconds=7_200)  # for the service only
    [outcome] = await send(provider, [message()], account)
    assert isinstance(outcome, RetryAfter)
    assert accepted(await send(provider, [message()], account, clock.now())) == [True]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [({}, None), ({"private_key": rsa_pem()}, BadCredentials), ({"project_id": "another"}, BadCredentials)],
)
async def test_a_check_shows_nothing(
    fcm: FcmSimulator, provider: FcmProvider, change: dict[str, str], outcome: type | None
) -> None:
    account = msgspec.structs.replace(service_account(fcm), **change)
    said = await provider.check(account.sealed_form(), NOW)
    assert said is None if outcome is None else isinstance(said, outcome)
    assert fcm.shown.accepted == 0


# --- what the answers mean -------------------------------------------------------------------------------------------

ACTIVE, QUARANTINED, RETIRED = DeviceState.ACTIVE, DeviceState.QUARANTINED, DeviceState.RETIRED
MEANING: dict[str, tuple[type[ProviderOutcome], DeviceState]] = {
    "INVALID_ARGUMENT": (Quarantined, QUARANTINED),  # the simulator names message.token
    "UNREGISTERED": (Gone, RETIRED),
    "SENDER_ID_MISMATCH": (Quarantined, QUARANTINED),
    "QUOTA_EXCEEDED": (RetryAfter, ACTIVE),
    "UNAVAILABLE": (RetryAfter, ACTIVE),
    "INTERNAL": (RetryAfter, ACTIVE),
    "THIRD_PARTY_AUTH_ERROR": (BadCredentials, ACTIVE),
}


def test_every_error_code_is_in_the_table() -> None:
    assert MEANING.keys() == ERROR_CODES.keys()


class Watched(FcmProvider):
    """Keeps the last outcome by address."""

    outcomes: dict[str, ProviderOutcome]

    async def send(self, batch: Sequence[Outgoing], secrets: Any, now: int) -> list[ProviderOutcome]:
        outcomes = await super().send(batch, secrets, now)
        self.outcomes = {one.address.address: outcome for one, outcome in zip(batch, outcomes, strict=True)}
        return outcomes


@pytest.fixture
async def world(fcm: FcmSimulator, clock: ManualClock, chance: SeededChance) -> AsyncIterator[World]:
    world = await World(MemoryStore(clock), clock, chance).begin()
    senders = Http2Senders(authority=fcm.ca_file)
    world.providers[DeviceKind.FCM] = Watched(senders, url=fcm.url)
    await world.credential(DeviceKind.FCM, service_account(fcm))
    yield world
    await senders.close()


async def register(world: World, user_id: str, token: str) -> Device:
    phone = Registration(kind=DeviceKind.FCM, address=token, details={"address_kind": "token"})
    device, _ = await world.pipeline.register(world.project, user_id, phone)
    return device


async def test_every_code_has_its_outcome_and_the_device_its_state(world: World, fcm: FcmSimulator) -> None:
    tokens = {code: fcm.codes.token(number, rest="x" * 30) for number, code in enumerate(ERROR_CODES, start=1)}
    devices = {code: (await register(world, code, token)).id for code, token in tokens.items()}
    await register(world, "fine", TOKEN)
    world.clock.advance(seconds=1)
    await world.notify("fine", *tokens)
    await world.work()
    provider = world.providers[DeviceKind.FCM]
    assert isinstance(provider, Watched)
    stored = {code: (await world.store.devices.find(world.project.key, [id]))[0].state for code, id in devices.items()}
    assert {code: (type(provider.outcomes[token]), stored[code]) for code, token in tokens.items()} == MEANING
    assert isinstance(provider.outcomes[TOKEN], Accepted)
    assert fcm.shown.tokens == [TOKEN]


def refusal(status: int, code: str, fields: Sequence[str] = (), message: str = "") -> HttpResponse:
    details: list[Json] = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]
    details.append({"@type": "x/google.rpc.BadRequest", "fieldViolations": [{"field": field} for field in fields]})
    return HttpResponse(status, {}, json.dumps({"error": {"message": message, "details": details}}).encode())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refusal(400, "INVALID_ARGUMENT", ["message.data"]), Rejected),
        (refusal(400, "INVALID_ARGUMENT", ["message.token"]), Quarantined),
        (refusal(400, "INVALID_ARGUMENT", ["message.fid"]), Quarantined),
        (refusal(400, "INVALID_ARGUMENT", message="Message is too large."), TooLarge),
        (refusal(200 + 204, "UNREGISTERED"), Gone),
        (HttpResponse(404, {}, b"<html>"), Rejected),  # no proof about a device
        (HttpResponse(400, {}, b'{"error":{"message":"Unknown name"}}'), Rejected),
        (HttpResponse(401, {}, b"{}"), BadCredentials),
        (HttpResponse(403, {}, b"{}"), BadCredentials),
        (HttpResponse(502, {}, b"<html>502"), RetryAfter),
        (HttpResponse(0, error="no answer", unknown=True), RetryAfter),
    ],
)
async def test_what_counts_is_fcms_own_word(answer: HttpResponse, outcome: type) -> None:
    [said] = await send(FcmProvider(RecordingSenders({SEND: answer})), [message()], service_account())
    assert isinstance(said, outcome), said


@pytest.mark.parametrize(
    ("answer", "attempts", "seconds"),
    [
        (HttpResponse(429, {"retry-after": "90"}), 0, 90),
        (HttpResponse(429), 0, 60),
        (HttpResponse(503), 0, 10),
        (HttpResponse(503), 2, 40),
        (HttpResponse(503, {"retry-after": "1"}), 5, 1),
        (HttpResponse(500), 30, 900),
    ],
)
async def test_how_long_to_wait(answer: HttpResponse, attempts: int, seconds: int) -> None:
    provider = FcmProvider(RecordingSenders({SEND: answer}))
    [said] = await send(provider, [message(id=bytes(16), attempts=attempts)], service_account())
    assert isinstance(said, RetryAfter)
    assert said.seconds == seconds


# --- the words -------------------------------------------------------------------------------------------------------


async def sent(world: World, simulator: FcmSimulator, **message: Any) -> Json:
    await register(world, "ada", TOKEN)
    await world.notify("ada", **message)
    await world.work()
    assert simulator.answers.keys() <= {"200", "200 token"}, simulator.answers
    [shown] = simulator.shown.messages
    payload: Json = shown.payload
    return payload


async def test_what_the_phone_gets(world: World, fcm: FcmSimulator) -> None:
    payload = await sent(
        world,
        fcm,
        title="Order {{ data.order }}",
        body="It left today.",
        url="https://shop.example/{{ data.order }}",
        image="https://shop.example/a.png",
        data={"order": "A-17", "count": 2, "from": "shop"},
        vibrate=[100, 50],
        lock_screen=LockScreen.HIDE_CONTENT,
        actions=[Action(id="track", title="Track {{ data.order }}", url="https://shop.example/t")],
        ttl=60,
    )
    receipt = payload["data"].pop("clarion.receipt")
    assert world.receipts.read(receipt, world.clock.now()).project == world.project.key
    id = payload["data"].pop("clarion.id")
    assert payload == {
        "token": TOKEN,
        "notification": {
            "title": "Order A-17", "body": "It left today.", "image": "https://shop.example/a.png",
        },
        "data": {
            "order": "A-17",
            "count": "2",
            "data.from": "shop",
            "clarion.receipts_url": "https://push.example/v1/receipts",
            "clarion.url": "https://shop.example/A-17",
            "clarion.category": "general",
            "clarion.class": "informational",
            "clarion.actions.0.id": "track",
            "clarion.actions.0.title": "Track A-17",
            "clarion.actions.0.url": "https://shop.example/t",
        },
        "android": {
            "priority": "HIGH",
            "ttl": "60s",
            "notification": {
                "tag": id,
                "channelId": "general",
                "sound": "default",
                "vibrateTimings": ["0s", "0.1s", "0.05s"],
                "visibility": "PRIVATE",
            },
        },
    }  # fmt: skip


async def test_a_collapse_key_is_handed_on_only_when_the_caller_gives_one(world: World, fcm: FcmSimulator) -> None:
    payload = await sent(world, fcm, collapse_key="order", urgency=Urgency.LOW, sound="none")
    android = payload["android"]
    assert (android["collapseKey"], android["notification"]["tag"]) == ("order", "order")
    assert (android["priority"], android["notification"].get("sound")) == ("NORMAL", None)


async def test_the_caller_has_the_last_word_in_either_spelling(world: World, fcm: FcmSimulator) -> None:
    theirs = {
        "android": {"ttl": "7s", "notification": {"channel_id": "mine", "clickAction": "OPEN", "sound": None}},
        "webpush": {"fcm_options": {"link": "https://shop.example/"}},
        "data": {"my_own": "x"},
    }
    payload = await sent(world, fcm, fcm=theirs)
    own = payload["android"]["notification"]
    assert (own["channelId"], own["clickAction"], "sound" in own) == ("mine", "OPEN", False)
    assert (payload["android"]["ttl"], payload["data"]["my_own"]) == ("7s", "x")
    assert payload["webpush"]["fcmOptions"]["link"] == "https://shop.example/"


async def test_without_a_notification_the_words_are_data(world: World, fcm: FcmSimulator) -> None:
    payload = await sent(world, fcm, title="Hi {{ user.user_id }}", body="there", fcm={"notification": None})
    assert "notification" not in payload
    assert "notification" not in payload["android"]
    assert (payload["data"]["clarion.title"], payload["data"]["clarion.body"]) == ("Hi ada", "there")


async def test_what_is_just_short_enough_is_taken_and_one_byte_more_is_not_sent(
    world: World, fcm: FcmSimulator
) -> None:
    await register(world, "ada", TOKEN)

    async def reason(size: int) -> str:
        notification = await world.notify("ada", title="x", data={"x": "y" * size})
        await world.work()
        [decision] = await world.decisions(notification)
        return str(decision.reason)

    low, high = 1_000, 4_096
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if await reason(middle) == "send" else (low, middle)
    assert low > 3_600
    assert fcm.answers.keys() == {"200", "200 token"}, "everything that we thought to fit, fitted"


# --- Google's own schema ---------------------------------------------------------------------------------------------


def schemas() -> dict[str, Json]:
    document = files("googleapiclient.discovery_cache") / "documents" / "fcm.v1.json"
    found: dict[str, Json] = json.loads(document.read_text("utf-8"))["schemas"]
    return found


def unfitting(value: Any, told: Json, path: str = "") -> list[str]:
    """Where a value does not fit the schema of a discovery document."""
    if "$ref" in told:
        told = schemas()[told["$ref"]]
    match told.get("type"):
        case "object" if "properties" in told:
            unknown = [f"{path}.{name}" for name in value if name not in told["properties"]]
            known = [(name, told["properties"][name]) for name in value if name in told["properties"]]
            return unknown + [bad for name, kind in known for bad in unfitting(value[name], kind, f"{path}.{name}")]
        case "object":
            inner = told.get("additionalProperties", {})
            return [bad for name in value for bad in unfitting(value[name], inner, f"{path}.{name}")]
        case "array":
            return [bad for each in value for bad in unfitting(each, told["items"], path)]
        case "string":
            good = isinstance(value, str) and value in told.get("enum", [value])
            return [] if good else [path]
        case _:
            return []


@pytest.mark.parametrize("lock_screen", LockScreen)
@pytest.mark.parametrize("urgency", Urgency)
@pytest.mark.parametrize("sound", [None, "none", "bell.wav"])
async def test_every_payload_fits_googles_own_document(
    world: World, fcm: FcmSimulator, lock_screen: LockScreen, urgency: Urgency, sound: str | None
) -> None:
    payload = await sent(
        world, fcm, body="b", url="https://a.example/", image="https://a.example/i", vibrate=[1, 2, 3],
        lock_screen=lock_screen, urgency=urgency, sound=sound, collapse_key="k", data={"a": [1], "b": None},
        actions=[Action(id="a", title="A")],
    )  # fmt: skip
    assert unfitting(payload, {"$ref": "Message"}) == []
    assert unfitting({**payload, "android": {"priorty": "HIGH"}}, {"$ref": "Message"}) == [".android.priorty"]


@pytest.mark.parametrize("key", [None, "order-A-17"])
async def test_an_update_has_the_tag_of_the_first_and_a_withdrawal_is_only_data(
    world: World, fcm: FcmSimulator, key: str | None
) -> None:
    await register(world, "ada", TOKEN)
    first = await world.notify("ada", body="10 stops away", collapse_key=key)
    await world.work()
    for more in ({}, {"renotify": True}):
        await world.pipeline.updating.replace(world.project, first.id, {"body": "3 stops away"}, **more)
        await world.work()
    await world.pipeline.updating.withdraw(world.project, first.id)
    await world.work()
    assert fcm.answers.keys() <= {"200", "200 token"}, fcm.answers
    shown, quiet, loud, gone = (one.payload for one in fcm.shown.messages)
    [tag] = {one["android"]["notification"]["tag"] for one in (shown, quiet, loud)}
    assert quiet["data"]["clarion.replaces"] == loud["data"]["clarion.replaces"] == tag
    assert "sound" not in quiet["android"]["notification"]
    assert quiet["android"]["notification"]["notificationPriority"] == "PRIORITY_LOW"
    assert loud["android"]["notification"].items() == shown["android"]["notification"].items()
    assert gone.keys() == {"token", "android", "data"}
    assert gone["data"].keys() == {f"clarion.{name}" for name in ("id", "receipt", "receipts_url", "withdraw")}
    assert gone["data"]["clarion.withdraw"] == tag
    assert {one["android"].get("collapseKey") for one in (shown, quiet, loud, gone)} == {key}
