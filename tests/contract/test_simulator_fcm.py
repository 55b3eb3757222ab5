"""The simulated FCM checks what Google checks, and answers in Google's form."""

import json
import runpy
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from clarion.testing import ManualClock
from clarion.testing.simulators import FcmSimulator
from clarion.testing.simulators.fcm import STREAMS
from clarion.testing.simulators.fcm_errors import ERROR_CODES
from clarion.testing.simulators.fcm_rules import MAX_PAYLOAD, MAX_TTL_S
from contract.support_simulators import frames, http, named

ROOT = Path(__file__).parents[2]
TOKEN = "dQw4w9WgXcQ:APA91bH" + "x" * 140
FID = "cIKD0Ykm2ZI-APA91bG_Oz"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
RPC = "type.googleapis.com/google.rpc."
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys are made once: an RSA key takes its time."""
    return tmp_path_factory.mktemp("fcm")


@pytest.fixture
async def fcm(clock: ManualClock, folder: Path) -> AsyncIterator[FcmSimulator]:
    async with FcmSimulator(folder=folder, now=clock.now) as simulator:
        yield simulator


def assertion(fcm: FcmSimulator, now: float, *, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
    account = json.loads(fcm.account.file.read_text())
    said = {
        "iss": account["client_email"],
        "scope": SCOPE,
        "aud": account["token_uri"],
        "iat": int(now),
        "exp": int(now) + 3_600,
    } | claims
    return jwt.encode(said, key or account["private_key"], algorithm, {"kid": account["private_key_id"]})


def grant(signed: str) -> dict[str, str]:
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}


async def access_token(client: httpx.AsyncClient, fcm: FcmSimulator, now: float, **claims: Any) -> str:
    response = await client.post("/token", data=grant(assertion(fcm, now, **claims)))
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def send(fcm: FcmSimulator, clock: ManualClock, message: Any, **more: Any) -> httpx.Response:
    async with http(fcm) as client:
        headers = {"authorization": "Bearer " + await access_token(client, fcm, clock.now() / 1000)}
        body = message if isinstance(message, bytes) else json.dumps({"message": message} | more).encode()
        return await client.post(fcm.send_url, content=body, headers=headers)


def violations(response: httpx.Response) -> list[tuple[str, str]]:
    """The fields that an error names, with what is wrong."""
    return [
        (violation["field"], violation["description"])
        for detail in response.json()["error"].get("details", [])
        for violation in detail.get("fieldViolations", [])
    ]


def codes(response: httpx.Response) -> list[str]:
    return [
        detail["errorCode"] for detail in response.json()["error"].get("details", []) if detail["@type"] == FCM_ERROR
    ]


# --- messages --------------------------------------------------------------------------------------------------------

FULL: dict[str, Any] = {
    "token": TOKEN,
    "data": {"order": "7"},
    "notification": {"title": "Shipped", "body": "On its way", "image": "https://shop.example/box.png"},
    "android": {
        "collapse_key": "order-7",
        "priority": "high",
        "ttl": "3600.5s",
        "restrictedPackageName": "com.example.app",
        "notification": {
            "tag": "order-7",
            "channel_id": "orders",
            "visibility": "PRIVATE",
            "vibrate_timings": ["0.1s", "0.2s"],
            "notification_count": 3,
            "click_action": "OPEN",
            "event_time": "2026-11-26T07:00:00Z",
            "light_settings": {
                "color": {"red": 1, "green": 0.5, "blue": 0, "alpha": 1},
                "light_on_duration": "1s",
                "light_off_duration": "1s",
            },
        },
    },
    "apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"alert": {"title": "Shipped"}, "badge": 1}}},
    "webpush": {"headers": {"TTL": "60"}, "notification": {"title": "Shipped", "requireInteraction": True}},
    "fcm_options": {"analytics_label": "orders"},
}
GOOD: list[dict[str, Any]] = [
    {"token": TOKEN},
    {"fid": FID},
    {"token": FID},
    {"topic": "news"},
    {"condition": "'a' in topics && ('b' in topics || 'c' in topics)"},
    FULL,
    {"token": TOKEN, "android": {"ttl": "0s"}},
    {"token": TOKEN, "android": {"ttl": f"{MAX_TTL_S}s"}},
    {"token": TOKEN, "data": {"k": "x" * (MAX_PAYLOAD - 1)}},
    {"token": TOKEN, "androidV2": {"remoteNotification": {"notification": {"title": "a"}}}},
    {"token": TOKEN, "notification": None},
]


async def test_what_google_takes(fcm: FcmSimulator, clock: ManualClock) -> None:
    for message in GOOD:
        response = await send(fcm, clock, message)
        assert response.status_code == 200, response.text
        assert response.json()["name"].startswith(f"projects/{fcm.project}/messages/0:")
    assert len({message.id for message in fcm.shown.messages}) == len(GOOD)


def unknown(name: str, at: str) -> str:
    return f"Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field."


TOO_LARGE = "Message is too large. The maximum is 4K (4096 bytes)."
NO_TOKEN = "The registration token is not a valid FCM registration token"
SCHEMA: list[tuple[dict[str, Any], str, str]] = [
    ({"to": TOKEN}, "message", unknown("to", "message")),
    (
        {"token": TOKEN, "notification": {"tilte": "a"}},
        "message.notification",
        unknown("tilte", "message.notification"),
    ),
    ({"token": 7}, "message.token", "Invalid value at 'message.token' (TYPE_STRING), 7"),
    (
        {"token": TOKEN, "data": {"n": 5}},
        "message.data[0].value",
        "Invalid value at 'message.data[0].value' (TYPE_STRING), 5",
    ),
    ({"token": TOKEN, "data": "text"}, "message.data", "Invalid value at 'message.data' (Map), \"text\""),
    (
        {"token": TOKEN, "android": {"priority": "urgent"}},
        "message.android.priority",
        "Invalid value at 'message.android.priority' (TYPE_ENUM), \"urgent\"",
    ),
    (
        {"token": TOKEN, "android": {"ttl": 60}},
        "message.android.ttl",
        "Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), 60",
    ),
    (
        {"token": TOKEN, "android": {"ttl": "1h"}},
        "message.android.ttl",
        "Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), \"1h\"",
    ),
    (
        {"token": TOKEN, "android": {"notification": {"sticky": "yes"}}},
        "message.android.notification.sticky",
        "Invalid value at 'message.android.notification.sticky' (TYPE_BOOL), \"yes\"",
    ),
    (
        {"token": TOKEN, "android": {"notification": {"notification_count": 2**31}}},
        "message.android.notification.notification_count",
        "Invalid value at 'message.android.notification.notification_count' (TYPE_INT32), 2147483648",
    ),
    (
        {"token": TOKEN, "topic": "news"},
        "message",
        "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set 'topic'",
    ),
    (
        {"token": TOKEN, "fid": FID},
        "message",
        "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set 'fid'",
    ),
]
RULES: list[tuple[dict[str, Any], str | None, str]] = [
    ({}, "message", "Recipient of the message is not set."),
    ({"token": ""}, "message", "Recipient of the message is not set."),
    ({"token": "short"}, "message.token", NO_TOKEN),
    ({"token": TOKEN + "/"}, "message.token", NO_TOKEN),
    ({"fid": TOKEN}, "message.fid", NO_TOKEN),
    ({"fid": "x" + FID[1:]}, "message.fid", NO_TOKEN),
    ({"topic": "news!"}, "message", "Topic name contains invalid characters."),
    ({"token": TOKEN, "data": {"from": "me"}}, "message.data[0].key", "Invalid data payload key: from"),
    ({"token": TOKEN, "data": {"a": "", "google.x": ""}}, "message.data[1].key", "Invalid data payload key: google.x"),
    (
        {"token": TOKEN, "android": {"data": {"gcm.notification.e": ""}}},
        "message.android.data[0].key",
        "Invalid data payload key: gcm.notification.e",
    ),
    (
        {"token": TOKEN, "android": {"ttl": f"{MAX_TTL_S + 1}s"}},
        "message.android.ttl",
        f"TTL must be a duration from 0 to {MAX_TTL_S} seconds.",
    ),
    (
        {"token": TOKEN, "android": {"ttl": "-1s"}},
        "message.android.ttl",
        f"TTL must be a duration from 0 to {MAX_TTL_S} seconds.",
    ),
    (
        {"token": TOKEN, "webpush": {"headers": {"TTL": "soon"}}},
        "message.webpush.headers.TTL",
        "TTL must be a non-negative integer.",
    ),
    (
        {"token": TOKEN, "android": {}, "android_v2": {}},
        "message.android_v2",
        "android and android_v2 are mutually exclusive.",
    ),
    ({"token": TOKEN, "data": {"k": "x" * MAX_PAYLOAD}}, None, TOO_LARGE),
    ({"token": TOKEN, "data": {"k": "ü" * (MAX_PAYLOAD // 2)}}, None, TOO_LARGE),
    ({"topic": "news", "data": {"k": "x" * 2_048}}, None, TOO_LARGE),
    ({"token": TOKEN, "notification": {"body": "x" * MAX_PAYLOAD}}, None, TOO_LARGE),
    ({"token": TOKEN, "apns": {"payload": {"aps": {"alert": "x" * MAX_PAYLOAD}}}}, None, TOO_LARGE),
    ({"token": TOKEN, "webpush": {"data": {"k": "x" * MAX_PAYLOAD}}}, None, TOO_LARGE),
]


@pytest.mark.parametrize(("message", "field", "text"), SCHEMA, ids=[str(at) for at in range(len(SCHEMA))])
async def test_what_does_not_fit_the_schema(
    fcm: FcmSimulator, clock: ManualClock, message: dict[str, Any], field: str, text: str
) -> None:
    response = await send(fcm, clock, message)
    told = response.json()["error"]
    assert (response.status_code, told["status"], told["message"]) == (400, "INVALID_ARGUMENT", text)
    assert violations(response) == [(field, text)]
    assert codes(response) == []


@pytest.mark.parametrize(("message", "field", "text"), RULES, ids=[str(at) for at in range(len(RULES))])
async def test_what_google_refuses(
    fcm: FcmSimulator, clock: ManualClock, message: dict[str, Any], field: str | None, text: str
) -> None:
    response = await send(fcm, clock, message)
    told = response.json()["error"]
    assert (response.status_code, told["status"], told["message"]) == (400, "INVALID_ARGUMENT", text)
    assert violations(response) == ([] if field is None else [(field, text)])
    assert codes(response) == ["INVALID_ARGUMENT"]
    assert fcm.shown.accepted == 0


async def test_a_condition_that_cannot_be_read(fcm: FcmSimulator, clock: ManualClock) -> None:
    response = await send(fcm, clock, {"condition": "a or b"})
    assert response.json() == {
        "error": {"code": 400, "message": "Request contains an invalid argument.", "status": "INVALID_ARGUMENT"}
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "Invalid JSON payload received."),
        (b"[]", "Invalid value at ''"),
        (b'{"massage": {}}', 'Unknown name "massage": Cannot find field.'),
        (b'{"validate_only": "yes"}', "Invalid value at 'validate_only' (TYPE_BOOL)"),
    ],
)
async def test_a_body_that_is_no_request(fcm: FcmSimulator, clock: ManualClock, body: bytes, words: str) -> None:
    response = await send(fcm, clock, body)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


async def test_several_faults_are_all_named(fcm: FcmSimulator, clock: ManualClock) -> None:
    response = await send(fcm, clock, {"token": TOKEN, "colour": "red", "data": {"a": 1, "b": 2}})
    assert [field for field, _ in violations(response)] == ["message", "message.data[0].value", "message.data[1].value"]


def test_the_schema_is_google_s_own() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "fcm_schema.py"))
    assert tool["FILE"].read_text("utf-8") == tool["text"](), "python tools/fcm_schema.py writes it anew"


async def test_a_trial_run_is_not_shown(fcm: FcmSimulator, clock: ManualClock) -> None:
    response = await send(fcm, clock, {"token": TOKEN, "notification": {"title": "a"}}, validate_only=True)
    assert response.json() == {"name": f"projects/{fcm.project}/messages/fake_message_id"}
    gone = await send(fcm, clock, {"token": fcm.codes.token(2, 0, "x" * 30)}, validateOnly=True)
    assert (gone.status_code, codes(gone)) == (404, ["UNREGISTERED"])
    assert fcm.shown.accepted == 0


# --- errors by token -------------------------------------------------------------------------------------------------


def errors_by_code() -> list[tuple[int, str]]:
    return [(number, getattr(answer, "reason", "")) for number, answer in FcmSimulator.codes.answers.items()][1:8]


def test_every_error_has_a_code() -> None:
    assert [code for _, code in errors_by_code()] == list(ERROR_CODES)


@pytest.mark.parametrize(("number", "code"), errors_by_code())
async def test_every_error_can_be_asked_for(fcm: FcmSimulator, clock: ManualClock, number: int, code: str) -> None:
    token = fcm.codes.token(number, 1, "x" * 30)
    response = await send(fcm, clock, {"token": token})
    status, name, _ = ERROR_CODES[code]
    assert (response.status_code, response.json()["error"]["code"], response.json()["error"]["status"]) == (
        status,
        status,
        name,
    )
    assert codes(response) == [code]
    assert violations(response) == ([("message.token", NO_TOKEN)] if code == "INVALID_ARGUMENT" else [])
    waits = {"QUOTA_EXCEEDED": "60", "UNAVAILABLE": "1"}
    assert response.headers.get("retry-after") == waits.get(code)
    assert (await send(fcm, clock, {"token": token})).status_code == 200


async def test_an_installation_brings_its_answer_along_too(fcm: FcmSimulator, clock: ManualClock) -> None:
    response = await send(fcm, clock, {"fid": fcm.codes.token(2, 0, "x" * 14)})
    assert (response.status_code, codes(response)) == (404, ["UNREGISTERED"])


async def test_the_project_s_quota(clock: ManualClock, folder: Path) -> None:
    async with FcmSimulator(folder=folder, quota=2, now=clock.now) as fcm:
        clock.advance(seconds=20)
        responses = [await send(fcm, clock, {"token": TOKEN}) for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 429]
        told = responses[2].json()["error"]
        assert (told["status"], responses[2].headers["retry-after"]) == ("RESOURCE_EXHAUSTED", "40")
        [info] = told["details"]
        assert (info["@type"], info["reason"]) == (RPC + "ErrorInfo", "RATE_LIMIT_EXCEEDED")
        assert info["metadata"]["quota_limit_value"] == "2"
        clock.advance(seconds=40)
        assert (await send(fcm, clock, {"token": TOKEN})).status_code == 200


# --- who may send ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"key": rsa.generate_private_key(65_537, 2_048)}, "invalid_grant: Invalid JWT Signature."),
        ({"key": "s" * 32, "algorithm": "HS256"}, "invalid_grant: Invalid JWT Signature."),
        ({"iss": "other@example.iam.gserviceaccount.com"}, "invalid_grant: Invalid grant: account not found"),
        ({"aud": "https://example.org/token"}, "invalid_grant: Failed audience check."),
        ({"iat": -10, "exp": 3_591}, "invalid_grant: Invalid JWT: Token must be a short-lived token"),
        ({"iat": -3_600, "exp": 0}, "invalid_grant: Invalid JWT: Token must be a short-lived token"),
        ({"iat": 301, "exp": 600}, "invalid_grant: Invalid JWT: Token must be a short-lived token"),
        ({"scope": ""}, "invalid_scope: Invalid OAuth scope"),
        ({"scope": "messaging"}, "invalid_scope: Invalid OAuth scope"),
        ({"exp": "tomorrow"}, "invalid_grant: Invalid JWT Signature."),
    ],
    ids=named,
)
async def test_assertions_that_google_refuses(
    fcm: FcmSimulator, clock: ManualClock, change: dict[str, Any], error: str
) -> None:
    now = clock.now() // 1000
    dated = {
        name: now + value if name in ("iat", "exp") and isinstance(value, int) else value
        for name, value in change.items()
    }
    async with http(fcm) as client:
        response = await client.post("/token", data=grant(assertion(fcm, now, **dated)))
    told = response.json()
    assert response.status_code == 400
    assert f"{told['error']}: {told['error_description']}".startswith(error)


async def test_only_the_grant_of_service_accounts(fcm: FcmSimulator) -> None:
    async with http(fcm) as client:
        response = await client.post("/token", data={"grant_type": "password"})
    assert (response.status_code, response.json()["error"]) == (400, "unsupported_grant_type")


async def test_google_s_own_audience_is_taken_too(fcm: FcmSimulator, clock: ManualClock) -> None:
    async with http(fcm) as client:
        assert await access_token(client, fcm, clock.now() / 1000, aud="https://oauth2.googleapis.com/token")


async def test_an_access_token_lasts_an_hour(fcm: FcmSimulator, clock: ManualClock) -> None:
    async with http(fcm) as client:
        response = await client.post("/token", data=grant(assertion(fcm, clock.now() / 1000)))
        told = response.json()
        assert (told["expires_in"], told["token_type"]) == (3_599, "Bearer")
        headers = {"authorization": f"Bearer {told['access_token']}"}
        body = {"message": {"token": TOKEN}}
        clock.advance(seconds=3_599)
        assert (await client.post(fcm.send_url, json=body, headers=headers)).status_code == 200
        clock.advance(seconds=1)
        late = await client.post(fcm.send_url, json=body, headers=headers)
        assert (late.status_code, reason(late)) == (401, "ACCESS_TOKEN_EXPIRED")


def reason(response: httpx.Response) -> str:
    [detail] = response.json()["error"]["details"]
    assert detail["@type"] == RPC + "ErrorInfo"
    return str(detail["reason"])


@pytest.mark.parametrize(
    ("authorization", "why"),
    [
        (None, "CREDENTIALS_MISSING"),
        ("Basic abc", "CREDENTIALS_MISSING"),
        ("Bearer ya29.garbage", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        ("Bearer ya29." + "A" * 80, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ],
)
async def test_no_good_access_token(fcm: FcmSimulator, authorization: str | None, why: str) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    async with http(fcm) as client:
        response = await client.post(fcm.send_url, json={"message": {"token": TOKEN}}, headers=headers)
    assert (response.status_code, reason(response)) == (401, why)
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_for_something_else(fcm: FcmSimulator, clock: ManualClock) -> None:
    body = {"message": {"token": TOKEN}}
    async with http(fcm) as client:
        other = await access_token(client, fcm, clock.now() / 1000, scope="https://www.googleapis.com/auth/drive")
        response = await client.post(fcm.send_url, json=body, headers={"authorization": f"Bearer {other}"})
        assert (response.status_code, reason(response)) == (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
        good = await access_token(client, fcm, clock.now() / 1000)
        response = await client.post(
            "/v1/projects/other/messages:send", json=body, headers={"authorization": f"Bearer {good}"}
        )
        assert (response.status_code, reason(response)) == (403, "IAM_PERMISSION_DENIED")


async def test_access_tokens_stay_good_over_a_restart(clock: ManualClock, folder: Path) -> None:
    async with FcmSimulator(folder=folder, now=clock.now) as fcm, http(fcm) as client:
        token = await access_token(client, fcm, clock.now() / 1000)
    async with FcmSimulator(folder=folder, now=clock.now) as fcm, http(fcm) as client:
        body = {"message": {"token": TOKEN}}
        response = await client.post(fcm.send_url, json=body, headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/projects/p/messages:send"), ("POST", "/fcm/send"), ("GET", "/token")]
)
async def test_no_such_address(fcm: FcmSimulator, method: str, path: str) -> None:
    async with http(fcm) as client:
        response = await client.request(method, path)
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")


async def test_http_1_1_is_spoken_too(clock: ManualClock, folder: Path) -> None:
    async with FcmSimulator(folder=folder, now=clock.now) as fcm, http(fcm, http2=False) as client:
        headers = {"authorization": "Bearer " + await access_token(client, fcm, clock.now() / 1000)}
        replies = [
            await client.post(fcm.send_url, json={"message": {"token": TOKEN}}, headers=headers) for _ in range(3)
        ]
    assert {(reply.status_code, reply.http_version) for reply in replies} == {(200, "HTTP/1.1")}


async def test_how_many_streams(fcm: FcmSimulator) -> None:
    async with frames(fcm) as connection:
        assert await connection.streams() == STREAMS


# --- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "key", "visible"),
    [
        ({"notification": {"title": "a"}}, None, True),
        ({"notification": {"title": "a"}, "android": {"notification": {"tag": "t"}}}, "t", True),
        ({"android": {"notification": {"title": "a", "tag": "t"}}}, "t", True),
        ({"androidV2": {"remoteNotification": {"notification": {"title": "a", "tag": "t"}}}}, "t", True),
        ({"apns": {"headers": {"apns-collapse-id": "c"}, "payload": {"aps": {"alert": "a"}}}}, "c", True),
        ({"webpush": {"notification": {"title": "a", "tag": "w"}}}, "w", True),
        ({"data": {"a": "b"}, "android": {"collapse_key": "k"}}, None, False),
    ],
)
async def test_under_which_key_a_device_shows_it(
    fcm: FcmSimulator, clock: ManualClock, message: dict[str, Any], key: str | None, *, visible: bool
) -> None:
    await send(fcm, clock, {"token": TOKEN} | message)
    [accepted] = fcm.shown.messages
    assert (accepted.key, accepted.visible) == (key, visible)


async def test_a_tag_shows_once(fcm: FcmSimulator, clock: ManualClock) -> None:
    for tag in ("a", "a", "b"):
        await send(
            fcm, clock, {"token": TOKEN, "notification": {"title": "t"}, "android": {"notification": {"tag": tag}}}
        )
    assert fcm.shown.on(TOKEN).told() == {
        "accepted": 3,
        "notifications": 2,
        "duplicates": 0,
        "by_key": {"a": 2, "b": 1},
        "without_key": 0,
        "silent": 0,
        "off": False,
        "waiting": 0,
    }


async def test_what_fcm_keeps_for_a_device_that_is_off(fcm: FcmSimulator, clock: ManualClock) -> None:
    fcm.shown.switch_off(TOKEN)
    alert = {"token": TOKEN, "notification": {"title": "t"}}
    for number in (1, 1, 2, 3, 4, 5):
        android = {"collapse_key": f"k{number}", "notification": {"tag": f"t{number}"}}
        await send(fcm, clock, alert | {"android": android})
    await send(fcm, clock, alert | {"android": {"ttl": "0s"}})
    await send(fcm, clock, alert)
    assert fcm.shown.on(TOKEN).notifications == 0
    fcm.shown.switch_on(TOKEN)
    device = fcm.shown.on(TOKEN)
    assert device.screen == {"t2": 1, "t3": 1, "t4": 1, "t5": 1}
    assert device.plain == 1


async def test_the_hundred_and_first_message_that_waits_is_one_too_many(fcm: FcmSimulator, clock: ManualClock) -> None:
    fcm.shown.switch_off(TOKEN)
    async with http(fcm) as client:
        headers = {"authorization": "Bearer " + await access_token(client, fcm, clock.now() / 1000)}
        body = {"message": {"token": TOKEN, "notification": {"title": "t"}}}
        for _ in range(100):
            await client.post(fcm.send_url, json=body, headers=headers)
        assert len(fcm.shown.on(TOKEN).waiting or ()) == 100
        await client.post(fcm.send_url, json=body, headers=headers)
    assert fcm.shown.on(TOKEN).waiting == {}


async def test_without_a_clock_it_goes_by_the_machine_s(folder: Path) -> None:
    async with FcmSimulator(folder=folder) as fcm, http(fcm) as client:
        headers = {"authorization": "Bearer " + await access_token(client, fcm, time.time())}
        assert (await client.post(fcm.send_url, json={"message": {"token": TOKEN}}, headers=headers)).is_success
