"""Senders that other people wrote work with the simulators: these speak what Apple's and Google's services speak."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import firebase_admin
import pytest
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol
from firebase_admin import credentials, messaging

from clarion.testing.simulators import ApnsSimulator, FcmSimulator, Leave, Refuse, Script
from clarion.testing.simulators.apns import TOPIC

FID = "cIKD0Ykm2ZI-APA91bG_Oz"
FEW = 500


# --- aioapns ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def apns() -> AsyncIterator[ApnsSimulator]:
    # aioapns signs a new token for each connection, which Apple may call too early.
    async with ApnsSimulator(renewal_s=0) as simulator:
        yield simulator


@pytest.fixture
async def sender(apns: ApnsSimulator) -> AsyncIterator[APNs]:
    """aioapns, led to the simulator."""
    client = APNs(
        key=apns.credential.key,
        key_id=apns.credential.key_id,
        team_id=apns.credential.team_id,
        topic=TOPIC,
        max_connections=1,
        ssl_context=apns.authority.client_context(),
    )
    client.pool.protocol_class = type(
        "Led", (APNsProductionClientProtocol,), {"APNS_SERVER": apns.host, "APNS_PORT": apns.port}
    )
    yield client
    client.pool.close()


def request(token: str, **options: object) -> NotificationRequest:
    return NotificationRequest(token, {"aps": {"alert": "Shipped"}}, push_type=PushType.ALERT, **options)


async def test_aioapns_sends(apns: ApnsSimulator, sender: APNs) -> None:
    tokens = [f"{number:064x}" for number in range(FEW)]
    first = await sender.send_notification(request(tokens[0], collapse_key="a"))
    assert first.is_successful
    results = await asyncio.gather(*(sender.send_notification(request(token)) for token in tokens[1:]))
    assert all(result.is_successful for result in results)
    assert (apns.shown.accepted, apns.shown.notifications, len(apns.shown.tokens)) == (FEW, FEW, FEW)
    assert apns.shown.on(tokens[0]).screen == {"a": 1}
    assert len(apns.peers) == 1


async def test_aioapns_understands_a_refusal(apns: ApnsSimulator, sender: APNs) -> None:
    token = "ab" * 32
    apns.script.on(token, Refuse(reason="Unregistered", timestamp=1_700_000_000_000))
    given = str(uuid.uuid4())
    result = await sender.send_notification(request(token, notification_id=given))
    assert (result.notification_id, result.status, result.description, result.timestamp) == (
        given,
        "410",
        "Unregistered",
        1_700_000_000_000,
    )


async def test_aioapns_goes_on_after_goaway(apns: ApnsSimulator, sender: APNs) -> None:
    token = "ab" * 32
    apns.script.on(token, Leave(times=1))
    result = await sender.send_notification(request(token))
    assert result.is_successful
    assert apns.answers == {"leave": 1, "200": 1}


# --- firebase-admin --------------------------------------------------------------------------------------------------


@pytest.fixture
async def fcm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FcmSimulator]:
    """A simulator that firebase-admin is led to and trusts."""
    async with FcmSimulator(folder=tmp_path, script=Script()) as simulator:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(simulator.ca_file))
        monkeypatch.setenv("SSL_CERT_FILE", str(simulator.ca_file))
        url = f"{simulator.url}/v1/projects/{{0}}/messages:send"
        monkeypatch.setattr(messaging._MessagingService, "FCM_URL", url)
        yield simulator


@pytest.fixture
def app(fcm: FcmSimulator) -> Iterator[firebase_admin.App]:
    made = firebase_admin.initialize_app(credentials.Certificate(str(fcm.account.file)), name=uuid.uuid4().hex)
    yield made
    firebase_admin.delete_app(made)


def message(fid: str) -> messaging.Message:
    return messaging.Message(
        fid=fid,
        data={"order": "7"},
        notification=messaging.Notification(title="Shipped", body="On its way"),
        android=messaging.AndroidConfig(
            priority="high",
            ttl=3_600,
            collapse_key="order-7",
            notification=messaging.AndroidNotification(
                tag="order-7", channel_id="orders", visibility="private", vibrate_timings_millis=[100, 200]
            ),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "10"},
            payload=messaging.APNSPayload(messaging.Aps(alert=messaging.ApsAlert(title="Shipped"), badge=1)),
        ),
        webpush=messaging.WebpushConfig(headers={"TTL": "60"}),
        fcm_options=messaging.FCMOptions(analytics_label="orders"),
    )


async def test_firebase_admin_sends_over_http_1_1(fcm: FcmSimulator, app: firebase_admin.App) -> None:
    name = await asyncio.to_thread(messaging.send, message(FID), app=app)
    [accepted] = fcm.shown.messages
    assert name == f"projects/{fcm.project}/messages/{accepted.id}"
    assert fcm.shown.on(FID).screen == {"order-7": 1}
    assert accepted.payload["data"] == {"order": "7"}
    assert fcm.answers == {"200 token": 1, "200": 1}


async def test_firebase_admin_sends_many_over_http2(fcm: FcmSimulator, app: firebase_admin.App) -> None:
    fids = [f"c{number:021d}" for number in range(200)]
    # It would block this loop, and the simulator with it, while it asks for its access token.
    await asyncio.to_thread(app.credential.get_access_token)
    answer = await messaging.send_each_async([message(fid) for fid in fids], dry_run=False, app=app)
    assert [response.exception for response in answer.responses] == [None] * len(fids)
    assert {accepted.token for accepted in fcm.shown.messages} == set(fids)


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("UNREGISTERED", messaging.UnregisteredError),
        ("SENDER_ID_MISMATCH", messaging.SenderIdMismatchError),
        ("QUOTA_EXCEEDED", messaging.QuotaExceededError),
        ("THIRD_PARTY_AUTH_ERROR", messaging.ThirdPartyAuthError),
        ("INVALID_ARGUMENT", firebase_admin.exceptions.InvalidArgumentError),
    ],
)
async def test_firebase_admin_understands_a_refusal(
    fcm: FcmSimulator, app: firebase_admin.App, reason: str, error: type[Exception]
) -> None:
    fcm.script.on(FID, Refuse(reason=reason))
    with pytest.raises(error):
        await asyncio.to_thread(messaging.send, message(FID), app=app)


async def test_firebase_admin_is_told_of_a_wrong_key(fcm: FcmSimulator, tmp_path: Path) -> None:
    told = json.loads(fcm.account.file.read_text())
    app = firebase_admin.initialize_app(
        credentials.Certificate(told | {"client_email": "somebody@else.example"}), name=uuid.uuid4().hex
    )
    with pytest.raises(Exception, match="account not found"):
        await asyncio.to_thread(messaging.send, message(FID), app=app)
    await asyncio.to_thread(firebase_admin.delete_app, app)
