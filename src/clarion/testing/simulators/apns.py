"""Apple's push service, as far as a sender can tell."""

import json
import secrets
import string
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Unpack

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clarion.model import Millis
from clarion.testing.simulators.apns_rules import (
    REASONS,
    TOPIC_SUFFIX,
    Push,
    Refusal,
    check_topic,
    device_token,
    read_push,
)
from clarion.testing.simulators.apns_senders import RENEWAL_S, ProviderTokens, PushCertificate, SigningKey
from clarion.testing.simulators.certificates import Environment, private_pem, write_secret
from clarion.testing.simulators.codes import Codes
from clarion.testing.simulators.exchange import Peer, Request, Respond
from clarion.testing.simulators.script import Refuse
from clarion.testing.simulators.shown import Message, Waiting
from clarion.testing.simulators.simulator import Common, Passed, Settled, Simulator

STREAMS: Final = 1_000
TOPIC: Final = "com.example.app"
_HTTP1: Final = Settled("505", Respond(505, (("content-type", "text/plain"),), b"APNs speaks HTTP/2 only\n"))
_ID_LETTERS: Final = string.ascii_uppercase + string.digits


class Credential(msgspec.Struct, frozen=True):
    """What Apple gives to a sender: the key (PKCS #8, PEM) and what its tokens say of themselves."""

    key_id: str
    team_id: str
    key: str


class Registered(NamedTuple):
    """Where a device token comes from: the app's bundle id, and how the app was signed."""

    bundle_id: str
    environment: Environment = "production"


class _Sender:
    """What is known of the other end of a connection."""

    def __init__(self, certificate: PushCertificate | None) -> None:
        self.certificate = certificate
        self.team_id: str | None = None


def keep(waiting: Waiting, message: Message) -> None:
    """APNs keeps one message for each app on a device, the newest one."""
    assert message.slot is not None
    waiting[message.slot] = message


class ApnsSimulator(Simulator):
    """`POST /3/device/{token}` as Apple answers it; see `Simulator` for what all simulators take.

    Senders of `topics` (bundle ids) are known by `credential`, by further `keys`, or by a client certificate that
    `authority.push_certificate` made. Every well-formed device token is registered for every topic, unless `devices`
    says which there are. `renewal_s` is how long a team must keep its provider token, `streams` how many requests a
    connection may have at a time after the first good token (one before that).
    """

    codes = Codes(REASONS, retry_after={"TooManyRequests": 1})
    reasons = REASONS.keys()

    def __init__(
        self,
        *,
        topics: Sequence[str] = (TOPIC,),
        environment: Environment = "production",
        keys: Sequence[SigningKey] = (),
        devices: Mapping[str, Registered] | None = None,
        renewal_s: float = RENEWAL_S,
        streams: int = STREAMS,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(keep, **common)
        self.topics = tuple(topics)
        self.environment: Environment = environment
        self.devices = devices
        self.credential = _credential(self.folder)
        self.streams = streams
        self._tokens = ProviderTokens([_signing_key(self.credential), *keys], environment, renewal_s)

    @property
    def key_file(self) -> Path:
        """The `.p8` file of the credential."""
        return self.folder / f"AuthKey_{self.credential.key_id}.p8"

    def opened(self, peer: Peer) -> int:
        certificate = None if peer.certificate is None else PushCertificate(peer.certificate)
        peer.context = _Sender(certificate)
        # "APNs allows only one stream for each connection until you post a notification with a valid token."
        return 1 if certificate is None else self.streams

    def goodbye(self, reason: str | None) -> bytes:
        return msgspec.json.encode({"reason": reason or "Shutdown"})

    def check(self, request: Request, now: Millis) -> Passed | Settled:
        if not request.peer.http2:
            return _HTTP1
        try:
            push = self._admitted(request, now)
        except Refusal as refusal:
            response = _refused(request, refusal.reason, now if refusal.timestamp is None else refusal.timestamp)
            return Settled(f"{response.status} {refusal.reason}", response)
        if wait := self.quota.take(push.token, now):
            response = self.refusal(request, Refuse(reason="TooManyRequests", retry_after=wait), now)
            return Settled("429 TooManyRequests", response)
        return Passed(push.token, _message(push, request, now), self._accepted(push))

    def refusal(self, request: Request, answer: Refuse, now: Millis) -> Respond:
        timestamp = now if answer.timestamp is None else answer.timestamp
        return _refused(request, answer.reason, timestamp, answer.retry_after)

    def _admitted(self, request: Request, now: Millis) -> Push:
        token = device_token(request)
        sender: _Sender = request.peer.context
        bundles: Sequence[str]
        if sender.certificate is not None:
            sender.certificate.check(self.environment)
            own = sender.certificate.topic or ""
            bundles = [own]
        else:
            key = self._authenticated(request, sender, now)
            own, bundles = "", key.topics or self.topics
        push = read_push(request, token, own)
        check_topic(push.topic, push.push_type, bundles)
        self._check_device(push)
        return push

    def _authenticated(self, request: Request, sender: _Sender, now: Millis) -> SigningKey:
        """Raises Refusal. A connection is for one team: another's token is taken for a wrong one."""
        key = self._tokens.check(request.headers.get("authorization"), now / 1000)
        if sender.team_id not in (None, key.team_id):
            raise Refusal("InvalidProviderToken")
        if sender.team_id is None:
            sender.team_id = key.team_id
            request.peer.allow_streams(self.streams)
        return key

    def _check_device(self, push: Push) -> None:
        if self.devices is None:
            return
        device = self.devices.get(push.token)
        if device is None or device.environment != self.environment:
            raise Refusal("BadDeviceToken")
        if push.topic != device.bundle_id + TOPIC_SUFFIX[push.push_type]:
            raise Refusal("DeviceTokenNotForTopic")

    def _accepted(self, push: Push) -> Respond:
        headers = [("apns-id", push.id)]
        if self.environment == "sandbox":
            headers.append(("apns-unique-id", str(uuid.uuid4())))
        return Respond(200, tuple(headers))


def _refused(request: Request, reason: str, timestamp: Millis, retry_after: int | None = None) -> Respond:
    body: dict[str, Any] = {"reason": reason}
    if reason == "Unregistered":
        body["timestamp"] = timestamp
    headers = [("apns-id", request.headers.get("apns-id") or str(uuid.uuid4()))]
    if retry_after is not None:
        headers.append(("retry-after", str(retry_after)))
    return Respond(REASONS[reason], tuple(headers), msgspec.json.encode(body))


def _message(push: Push, request: Request, now: Millis) -> Message:
    headers = {name: value for name, value in request.headers.items() if name.startswith("apns-")}
    return Message(
        token=push.token,
        id=push.id,
        key=push.collapse_id,
        visible=push.visible,
        slot=None if push.expiration == 0 else push.topic,
        at=now,
        headers=headers,
        payload=push.payload,
    )


def _credential(folder: Path) -> Credential:
    """The one in the folder, which is made when there is none."""
    file = folder / "apns.json"
    if not file.exists():
        made = Credential(_ten(), _ten(), private_pem(ec.generate_private_key(ec.SECP256R1())).decode())
        write_secret(folder / f"AuthKey_{made.key_id}.p8", made.key.encode())
        write_secret(file, json.dumps({"key_id": made.key_id, "team_id": made.team_id}).encode())
    told = json.loads(file.read_bytes())
    key = (folder / f"AuthKey_{told['key_id']}.p8").read_text()
    return Credential(told["key_id"], told["team_id"], key)


def _signing_key(credential: Credential) -> SigningKey:
    key = serialization.load_pem_private_key(credential.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return SigningKey(key_id=credential.key_id, team_id=credential.team_id, public=key.public_key())


def _ten() -> str:
    """An id as Apple makes them: ten capital letters and digits."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(10))
