"""The three push services as this bench has them: devices, our credential, and what the far side answers."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from clarion.crypto import base64url
from common.database import SeedDevice
from common.nghttpd import FarSide

KEY_ID, TEAM_ID, BUNDLE_ID = "KEY1234567", "TEAM123456", "com.example.shop"
FCM_PROJECT = "shop-1234"
FCM_PATH = f"/v1/projects/{FCM_PROJECT}/messages:send"
_APNS_PATH = "/3/device/"
_WEBPUSH_PATH = "/wpush/v2"
_LINKS_A_FILE = 50_000
"""Names that one file gets; some file systems stop at 65,000."""
_SENT = b'{"name": "projects/shop-1234/messages/0:1790000000000000%7a7a7a7a7a7a7a7a"}'
_GRANTED = b'{"access_token": "%s", "expires_in": 3599, "token_type": "Bearer"}' % (b"ya29." + b"e" * 200)


class Service(NamedTuple):
    """One of them.

    `devices`: of so many people, at this far side, who subscribed with this VAPID key; `credential`: what is uploaded.
    """

    kind: str
    label: str
    answers: Callable[[FarSide, int], None]
    devices: Callable[[FarSide, int, str], Iterator[SeedDevice]]
    credential: Callable[[FarSide], dict[str, Any]] | None


def apns_token(number: int) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(b"apns %d" % number).hexdigest()


def fcm_token(number: int) -> str:
    """163 characters, as Google makes them."""
    text = base64.urlsafe_b64encode(hashlib.shake_256(b"fcm %d" % number).digest(114)).decode()
    return f"{text[:22]}:APA91b{text[:134]}"


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """As Apple and Google give it out: PKCS #8 without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def service_account(far: FarSide) -> dict[str, str]:
    """The JSON file that Google gives out."""
    return {
        "type": "service_account",
        "project_id": FCM_PROJECT,
        "client_email": f"sender@{FCM_PROJECT}.iam.gserviceaccount.com",
        "private_key_id": "key-1",
        "private_key": pem(rsa.generate_private_key(65_537, 2_048)),
        "token_uri": f"{far.origin}/token",
    }


def subscription_keys() -> dict[str, str]:
    """`p256dh` and `auth` of a browser that nobody has seen before."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {"p256dh": base64url.encode(point), "auth": base64url.encode(os.urandom(16))}


def endpoint(far: FarSide, number: int) -> str:
    """Of one of two origins; the token stands where nghttpd does not take it for the name of a file."""
    host = ("localhost", "127.0.0.1")[number % 2]
    token = base64url.encode(hashlib.shake_256(b"webpush %d" % number).digest(105))
    return f"https://{host}:{far.port}{_WEBPUSH_PATH}?{token}"


def _apns_answers(far: FarSide, people: int) -> None:
    """A file a token, all of them the same few empty ones under many names."""
    file: Path | None = None
    for number in range(people):
        if file is None or number % _LINKS_A_FILE == 0:
            file = far.answer(_APNS_PATH + apns_token(number))
        else:
            os.link(file, file.with_name(apns_token(number)))


def _apns_devices(_far: FarSide, people: int, _key: str) -> Iterator[SeedDevice]:
    details = f'{{"environment":"production","bundle_id":"{BUNDLE_ID}"}}'
    return (SeedDevice(apns_token(number), details) for number in range(people))


def _apns_credential(_far: FarSide) -> dict[str, Any]:
    key = pem(ec.generate_private_key(ec.SECP256R1()))
    ids = {"bundle_id": BUNDLE_ID, "key_id": KEY_ID, "team_id": TEAM_ID}
    return {"kind": "apns", "name": "apple", **ids, "private_key": key}


def _fcm_answers(far: FarSide, _people: int) -> None:
    far.answer("/token", _GRANTED)
    far.answer(FCM_PATH, _SENT)


def _fcm_devices(_far: FarSide, people: int, _key: str) -> Iterator[SeedDevice]:
    return (SeedDevice(fcm_token(number), '{"address_kind":"token"}') for number in range(people))


def _fcm_credential(far: FarSide) -> dict[str, Any]:
    return {"kind": "fcm", "name": "firebase", "service_account": service_account(far)}


def _webpush_answers(far: FarSide, _people: int) -> None:
    far.answer(_WEBPUSH_PATH)


def _webpush_devices(far: FarSide, people: int, key: str) -> Iterator[SeedDevice]:
    for number in range(people):
        keys = subscription_keys()
        details = f'{{"p256dh":"{keys["p256dh"]}","auth":"{keys["auth"]}","vapid_public_key":"{key}"}}'
        yield SeedDevice(endpoint(far, number), details)


SERVICES = (
    Service("apns", "APNs", _apns_answers, _apns_devices, _apns_credential),
    Service("fcm", "FCM", _fcm_answers, _fcm_devices, _fcm_credential),
    Service("webpush", "Web Push", _webpush_answers, _webpush_devices, None),
)
