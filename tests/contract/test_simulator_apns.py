"""The simulated APNs checks what Apple checks, and answers in Apple's form."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from h2.errors import ErrorCodes

from clarion.testing import ManualClock
from clarion.testing.simulators import ApnsSimulator, Registered, SigningKey
from clarion.testing.simulators.apns import STREAMS, TOPIC
from clarion.testing.simulators.apns_rules import REASONS, TOPIC_SUFFIX
from clarion.testing.simulators.certificates import Environment
from contract.support_simulators import ALERT, TOKEN, frames, http, named, provider_token, push_headers

MINUTE = 60
Reply = tuple[int, str | None]


@pytest.fixture
async def apns(clock: ManualClock, tmp_path: Path) -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator(folder=tmp_path, now=clock.now) as simulator:
        yield simulator


def token_now(apns: ApnsSimulator, clock: ManualClock) -> str:
    return provider_token(apns, clock.now() / 1000)


def told(response: httpx.Response) -> Reply:
    """Status and reason."""
    return response.status_code, response.json()["reason"] if response.content else None


async def push(apns: ApnsSimulator, authorization: str | None, **changed: Any) -> Reply:
    async with http(apns) as client:
        response = await client.post(
            changed.pop("path", f"/3/device/{TOKEN}"),
            content=changed.pop("content", ALERT),
            headers=push_headers(authorization, **changed),
        )
        return told(response)


# --- rules -----------------------------------------------------------------------------------------------------------

LARGEST = b'{"aps":{"alert":"' + b"x" * (4_096 - 20) + b'"}}'
LARGEST_VOIP = b'{"aps":{"alert":"' + b"x" * (5_120 - 20) + b'"}}'
GOOD: list[dict[str, Any]] = [
    {},
    {"apns_push_type": None},
    {"apns_push_type": "background", "apns_priority": "5", "content": b'{"aps":{"content-available":1}}'},
    *(
        {"apns_push_type": kind, "apns_topic": TOPIC + suffix, "apns_priority": "5"}
        for kind, suffix in TOPIC_SUFFIX.items()
    ),
    {"apns_priority": "10"},
    {"apns_priority": "1"},
    {"apns_expiration": "0"},
    {"apns_expiration": "1900000000"},
    {"apns_collapse_id": "k" * 64},
    {"apns_id": str(uuid.UUID(int=7))},
    {"apns_id": str(uuid.UUID(int=2**128 - 1)).upper()},
    {"content": LARGEST},
    {"content": LARGEST_VOIP, "apns_push_type": "voip", "apns_topic": f"{TOPIC}.voip"},
    {"content": b'{"aps":{}}'},
    {"path": f"/3/device/{'AB' * 32}"},
    {"path": f"/3/device/{'ab' * 80}"},
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"path": "/3/device/"}, "MissingDeviceToken"),
    ({"path": "/3/device"}, "MissingDeviceToken"),
    ({"path": f"/2/device/{TOKEN}"}, "BadPath"),
    ({"path": f"/3/device/{TOKEN}/more"}, "BadPath"),
    ({"path": "/3/device/xyz"}, "BadDeviceToken"),
    ({"path": f"/3/device/{'abc' * 21}"}, "BadDeviceToken"),
    ({"path": "/3/device/abcd"}, "BadDeviceToken"),
    ({"apns_push_type": "news"}, "InvalidPushType"),
    ({"apns_topic": None}, "MissingTopic"),
    ({"apns_topic": "com.example.other"}, "TopicDisallowed"),
    ({"apns_topic": f"{TOPIC}.voip"}, "BadTopic"),
    ({"apns_push_type": "voip", "apns_priority": "10"}, "BadTopic"),
    ({"apns_push_type": "liveactivity"}, "BadTopic"),
    ({"apns_id": "7"}, "BadMessageId"),
    ({"apns_id": uuid.UUID(int=7).hex}, "BadMessageId"),
    ({"apns_expiration": "soon"}, "BadExpirationDate"),
    ({"apns_expiration": "-1"}, "BadExpirationDate"),
    ({"apns_priority": "2"}, "BadPriority"),
    ({"apns_priority": "high"}, "BadPriority"),
    ({"apns_push_type": "background", "apns_priority": "10"}, "BadPriority"),
    ({"apns_push_type": "background"}, "BadPriority"),
    ({"apns_collapse_id": "k" * 65}, "BadCollapseId"),
    ({"content": b""}, "PayloadEmpty"),
    ({"content": b"{}"}, "PayloadEmpty"),
    ({"content": b"no json"}, "PayloadEmpty"),
    ({"content": b"[]"}, "PayloadEmpty"),
    ({"content": b'{"aps":1}'}, "PayloadEmpty"),
    ({"content": LARGEST + b" "}, "PayloadTooLarge"),
    (
        {"content": LARGEST_VOIP + b" ", "apns_push_type": "voip", "apns_topic": f"{TOPIC}.voip"},
        "PayloadTooLarge",
    ),
]


async def test_what_apple_takes(apns: ApnsSimulator, clock: ManualClock) -> None:
    sign = token_now(apns, clock)
    assert [await push(apns, sign, **dict(case)) for case in GOOD] == [(200, None)] * len(GOOD)
    assert apns.shown.accepted == len(GOOD)


@pytest.mark.parametrize(("change", "reason"), BAD, ids=lambda case: case if isinstance(case, str) else "")
async def test_what_apple_refuses(apns: ApnsSimulator, clock: ManualClock, change: dict[str, Any], reason: str) -> None:
    assert await push(apns, token_now(apns, clock), **dict(change)) == (REASONS[reason], reason)
    assert apns.shown.accepted == 0
    assert apns.answers == {f"{REASONS[reason]} {reason}": 1}


async def test_only_post(apns: ApnsSimulator) -> None:
    async with http(apns) as client:
        assert told(await client.get(f"/3/device/{TOKEN}")) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("name", ["apns-id", "apns-topic", "apns-priority", "authorization"])
async def test_a_header_twice(apns: ApnsSimulator, clock: ManualClock, name: str) -> None:
    headers = push_headers(token_now(apns, clock), apns_id=str(uuid.uuid4()), apns_priority="5")
    async with http(apns) as client:
        again = [*headers.items(), (name, headers[name])]
        response = await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=again)
    assert told(response) == (400, "DuplicateHeaders")


async def test_the_id_comes_back(apns: ApnsSimulator, clock: ManualClock) -> None:
    sign = token_now(apns, clock)
    given = str(uuid.uuid4())
    async with http(apns) as client:
        ids = [
            (await client.post(f"/3/device/{token}", content=ALERT, headers=push_headers(sign, **chosen))).headers[
                "apns-id"
            ]
            for token in (TOKEN, "bad")
            for chosen in ({"apns_id": given}, {})
        ]
    assert [ids[0], ids[2]] == [given, given]
    assert str(uuid.UUID(ids[1])) == ids[1] != given


@pytest.mark.parametrize("environment", ["production", "sandbox"])
async def test_the_sandbox_names_messages_for_its_console(clock: ManualClock, environment: Environment) -> None:
    async with ApnsSimulator(environment=environment, now=clock.now) as apns, http(apns) as client:
        headers = push_headers(token_now(apns, clock))
        response = await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=headers)
    assert ("apns-unique-id" in response.headers) == (environment == "sandbox")


async def test_only_http2(apns: ApnsSimulator, clock: ManualClock) -> None:
    async with http(apns, http2=False) as client:
        headers = push_headers(token_now(apns, clock))
        assert (await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=headers)).status_code == 505
    assert apns.shown.accepted == 0


# --- reasons by token ------------------------------------------------------------------------------------------------


def reasons_by_code() -> list[tuple[int, str]]:
    return [
        (number, answer.reason)
        for number, answer in ApnsSimulator.codes.answers.items()
        if getattr(answer, "reason", None) is not None
    ]


def test_every_reason_has_a_code() -> None:
    assert [reason for _, reason in reasons_by_code()] == list(REASONS)


@pytest.mark.parametrize(("number", "reason"), reasons_by_code())
async def test_every_reason_can_be_asked_for(apns: ApnsSimulator, clock: ManualClock, number: int, reason: str) -> None:
    path = "/3/device/" + apns.codes.token(number, 1, "00" * 28)
    async with http(apns) as client:
        headers = push_headers(token_now(apns, clock))
        response = await client.post(path, content=ALERT, headers=headers)
        body = {"reason": reason} | ({"timestamp": clock.now()} if reason == "Unregistered" else {})
        assert (response.status_code, response.json()) == (REASONS[reason], body)
        assert ("retry-after" in response.headers) == (reason == "TooManyRequests")
        assert (await client.post(path, content=ALERT, headers=headers)).status_code == 200
    assert apns.shown.accepted == 1


# --- provider tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"issued_ago": 60 * MINUTE + 1}, "ExpiredProviderToken"),
        ({"issued_ago": -2 * MINUTE}, "InvalidProviderToken"),
        ({"headers": {"kid": "UNKNOWNKEY"}}, "InvalidProviderToken"),
        ({"headers": {}}, "InvalidProviderToken"),
        ({"iss": "OTHERTEAM1"}, "InvalidProviderToken"),
        ({"iss": None}, "InvalidProviderToken"),
        ({"iat": None}, "InvalidProviderToken"),
        ({"key": ec.generate_private_key(ec.SECP256R1())}, "InvalidProviderToken"),
    ],
    ids=named,
)
async def test_provider_tokens_that_apple_refuses(
    apns: ApnsSimulator, clock: ManualClock, change: dict[str, Any], reason: str
) -> None:
    issued = clock.now() / 1000 - change.pop("issued_ago", 0)
    assert await push(apns, provider_token(apns, issued, **change)) == (403, reason)


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [(None, "MissingProviderToken"), ("", "MissingProviderToken"), ("garbage", "InvalidProviderToken")],
)
async def test_no_provider_token(apns: ApnsSimulator, authorization: str | None, reason: str) -> None:
    assert await push(apns, authorization) == (403, reason)


async def test_only_es256(apns: ApnsSimulator, clock: ManualClock) -> None:
    claims = {"iss": apns.credential.team_id, "iat": clock.now() // 1000}
    signed = jwt.encode(claims, "a secret of thirty-two bytes or more", "HS256", {"kid": apns.credential.key_id})
    assert await push(apns, signed) == (403, "InvalidProviderToken")


async def test_a_token_lasts_an_hour(apns: ApnsSimulator, clock: ManualClock) -> None:
    sign = token_now(apns, clock)
    assert await push(apns, sign) == (200, None)
    clock.advance(minutes=60)
    assert await push(apns, sign) == (200, None)
    clock.advance(seconds=1)
    assert await push(apns, sign) == (403, "ExpiredProviderToken")


async def test_a_token_is_renewed_every_twenty_minutes_at_most(apns: ApnsSimulator, clock: ManualClock) -> None:
    first = token_now(apns, clock)
    assert await push(apns, first) == (200, None)
    clock.advance(minutes=19, seconds=59)
    second = token_now(apns, clock)
    assert await push(apns, second) == (429, "TooManyProviderTokenUpdates")
    assert await push(apns, first) == (200, None)
    clock.advance(seconds=1)
    assert await push(apns, second) == (200, None)
    assert await push(apns, first) == (200, None)


async def test_two_processes_that_each_sign_their_own_token(apns: ApnsSimulator, clock: ManualClock) -> None:
    one, other = token_now(apns, clock), token_now(apns, clock)
    assert one != other
    replies = [await push(apns, sign) for sign in (one, other, one, other)]
    assert replies == [(200, None), (429, "TooManyProviderTokenUpdates")] * 2


async def test_keys_for_one_environment_or_some_topics(clock: ManualClock) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    keys = [
        SigningKey(key_id="SANDBOXKEY", team_id="TEAM000001", public=private.public_key(), environment="sandbox"),
        SigningKey(key_id="TOPICKEY01", team_id="TEAM000002", public=private.public_key(), topics=("com.example.b",)),
    ]
    async with ApnsSimulator(keys=keys, topics=["com.example.a", "com.example.b"], now=clock.now) as apns:
        sandbox, limited = (
            provider_token(apns, clock.now() / 1000, headers={"kid": key.key_id}, key=private, iss=key.team_id)
            for key in keys
        )
        replies = [
            await push(apns, sign, apns_topic=topic)
            for sign, topic in ((sandbox, "com.example.a"), (limited, "com.example.a"), (limited, "com.example.b"))
        ]
    assert replies == [(403, "BadEnvironmentKeyIdInToken"), (400, "TopicDisallowed"), (200, None)]


async def test_a_connection_is_for_one_team(clock: ManualClock) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    other = SigningKey(key_id="OTHERKEY01", team_id="OTHERTEAM1", public=private.public_key())
    async with ApnsSimulator(keys=[other], now=clock.now) as apns, http(apns) as client:
        mine = token_now(apns, clock)
        theirs = provider_token(apns, clock.now() / 1000, headers={"kid": other.key_id}, key=private, iss=other.team_id)
        replies = [
            told(await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=push_headers(sign)))
            for sign in (mine, theirs)
        ]
        assert replies == [(200, None), (403, "InvalidProviderToken")]
        assert await push(apns, theirs) == (200, None)


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "environments", "change", "reply"),
    [
        (TOPIC, ["production", "sandbox"], {"apns_topic": None}, (200, None)),
        (TOPIC, ["production"], {}, (200, None)),
        (TOPIC, ["production"], {"apns_push_type": "voip", "apns_topic": f"{TOPIC}.voip"}, (200, None)),
        (TOPIC, ["production"], {"apns_topic": "com.example.other"}, (400, "TopicDisallowed")),
        (TOPIC, ["sandbox"], {}, (403, "BadCertificateEnvironment")),
        (TOPIC, [], {}, (403, "BadCertificate")),
        (None, ["production"], {}, (403, "BadCertificate")),
    ],
)
async def test_a_certificate_instead_of_a_token(
    apns: ApnsSimulator, tmp_path: Path, topic: str, environments: Any, change: dict[str, Any], reply: Reply
) -> None:
    file = tmp_path / "sender.pem"
    file.write_bytes(apns.authority.push_certificate(topic, *environments))
    context = apns.authority.client_context()
    context.load_cert_chain(file)
    async with http(apns, verify=context) as client:
        response = await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=push_headers(None, **change))
        assert told(response) == reply
    async with frames(apns, context) as connection:
        assert await connection.streams() == STREAMS


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_one_stream_until_the_first_good_token(apns: ApnsSimulator, clock: ManualClock) -> None:
    good, bad = push_headers(token_now(apns, clock)), push_headers("garbage")
    path = f"/3/device/{TOKEN}"
    async with frames(apns) as connection:
        # Both leave before the first SETTINGS is read.
        first, second = connection.ask(path, bad), connection.begin("POST", path, good)
        assert await connection.reset(second) == ErrorCodes.REFUSED_STREAM
        assert await connection.streams() == 1
        assert (await connection.answer(first))[0] == 403
        assert await connection.streams() == 1
        assert (await connection.answer(connection.ask(path, good)))[0] == 200
        assert await connection.streams() == STREAMS
        many = [connection.ask(path, good) for _ in range(STREAMS)]
        assert [(await connection.answer(stream))[0] for stream in many] == [200] * STREAMS
    assert apns.shown.accepted == STREAMS + 1


# --- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "reply"),
    [
        (Registered(TOPIC), (200, None)),
        (Registered(TOPIC, "sandbox"), (400, "BadDeviceToken")),
        (Registered("com.example.other"), (400, "DeviceTokenNotForTopic")),
        (None, (400, "BadDeviceToken")),
    ],
)
async def test_which_devices_there_are(clock: ManualClock, device: Registered | None, reply: Reply) -> None:
    devices = {} if device is None else {TOKEN: device}
    async with ApnsSimulator(devices=devices, now=clock.now) as apns:
        assert await push(apns, token_now(apns, clock)) == reply


async def test_a_quota_is_by_device(clock: ManualClock) -> None:
    async with ApnsSimulator(quota=2, now=clock.now) as apns:
        sign = token_now(apns, clock)
        other = {"path": f"/3/device/{'cd' * 32}"}
        replies = [await push(apns, sign) for _ in range(3)] + [await push(apns, sign, **other)]
        assert replies == [(200, None), (200, None), (429, "TooManyRequests"), (200, None)]
        clock.advance(minutes=1)
        assert await push(apns, sign) == (200, None)


# --- what is shown ---------------------------------------------------------------------------------------------------


async def test_what_a_device_shows(apns: ApnsSimulator, clock: ManualClock) -> None:
    sign = token_now(apns, clock)
    same = str(uuid.uuid4())
    silent = {"apns_push_type": "background", "apns_priority": "5", "content": b'{"aps":{"content-available":1}}'}
    for change in (
        {"apns_id": same, "apns_collapse_id": "order-1"},
        {"apns_id": same, "apns_collapse_id": "order-1"},
        {"apns_collapse_id": "order-2"},
        {},
        silent,
    ):
        assert await push(apns, sign, **change) == (200, None)
    device = apns.shown.on(TOKEN)
    assert (device.accepted, device.notifications, device.duplicates, device.silent) == (5, 3, 1, 1)
    assert device.screen == {"order-1": 2, "order-2": 1}
    assert (apns.shown.accepted, apns.shown.notifications, apns.shown.duplicates) == (5, 3, 1)
    newest = apns.shown.messages[-1]
    assert newest.payload == {"aps": {"content-available": 1}}
    assert newest.headers["apns-priority"] == "5"
    assert "authorization" not in newest.headers


async def test_one_message_waits_for_a_device_that_is_off(apns: ApnsSimulator, clock: ManualClock) -> None:
    sign = token_now(apns, clock)
    apns.shown.switch_off(TOKEN)
    for change in (
        {"apns_collapse_id": "a"},
        {"apns_collapse_id": "b"},
        {"apns_collapse_id": "c", "apns_expiration": "0"},
    ):
        assert await push(apns, sign, **change) == (200, None)
    assert apns.shown.on(TOKEN).notifications == 0
    apns.shown.switch_on(TOKEN)
    assert apns.shown.on(TOKEN).screen == {"b": 1}


async def test_the_credential_stays_over_a_restart(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        async with ApnsSimulator(folder=tmp_path) as apns:
            made.append((apns.credential, apns.ca_file.read_bytes(), apns.key_file.read_text()))
    assert made[0] == made[1]
    assert made[0][0].key == made[0][2]
    assert json.loads((tmp_path / "apns.json").read_text()).keys() == {"key_id", "team_id"}
    assert apns.key_file.stat().st_mode & 0o777 == 0o600
