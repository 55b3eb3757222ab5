"""APNs: a batch is sorted by what its requests share, and leaves over HTTP/2 to Apple's two environments."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from clarion.crypto.bounded import Bounded
from clarion.crypto.credentials import ApnsCertificate, ApnsSecret, ApnsToken, among, private_key
from clarion.crypto.jws import sign_alike
from clarion.errors import InvalidRequest
from clarion.model import Channel, DeviceKind, Millis, Urgency
from clarion.ports import (
    Accepted,
    Address,
    ArmedWork,
    BadCredentials,
    Blames,
    ClientIdentity,
    Gone,
    HttpBatch,
    HttpResponse,
    Outgoing,
    Prepared,
    ProviderOutcome,
    Quarantined,
    Ready,
    Rejected,
    RetryAfter,
    Senders,
    TooLarge,
    Transport,
    uuid_of,
)
from clarion.wire.answers import clean, retry_after
from clarion.wire.apns import PUSH_TYPE, TOPIC_SUFFIX, collapse_id

HOSTS: Final = {"production": "https://api.push.apple.com", "sandbox": "https://api.sandbox.push.apple.com"}
TOKEN_STEP_S: Final = 30 * 60
"""How long all processes use one token. Apple wants it changed at least every 60 minutes, at most every 20."""
TOKEN_LAG_S: Final = 5 * 60
"""How old a token is when it is first used: a clock that is minutes wrong does not take it for one of the future."""
KEPT_S: Final = 10 * 60
"""Who began to send just before the change is told that it came too soon, and goes on with the token before so long."""
_OLDEST_S: Final = 58 * 60
_PRIORITY: Final[dict[str, str]] = {Urgency.VERY_LOW: "1", Urgency.LOW: "5", Urgency.NORMAL: "10", Urgency.HIGH: "10"}
_LONGEST_TOPIC: Final = 255
_NOBODY: Final = "00" * 32
_NOT_HEX: Final = "the device token is not hexadecimal"
_ACCEPTED: Final = Accepted()
"""Without a name: Apple's is the `apns-id` that we chose, the delivery's id as a UUID."""

_MEANING: Final[dict[str, type[Gone | Quarantined | TooLarge | BadCredentials | RetryAfter]]] = {
    "Unregistered": Gone,
    "ExpiredToken": Gone,
    # A wrong environment or a wrong setting of ours are likelier than a dead device.
    "BadDeviceToken": Quarantined,
    "DeviceTokenNotForTopic": Quarantined,
    "PayloadTooLarge": TooLarge,
    "BadCertificate": BadCredentials,
    "BadCertificateEnvironment": BadCredentials,
    "BadEnvironmentKeyIdInToken": BadCredentials,
    "ExpiredProviderToken": BadCredentials,
    "Forbidden": BadCredentials,
    "InvalidProviderToken": BadCredentials,
    "MissingProviderToken": BadCredentials,
    "UnrelatedKeyIdInToken": BadCredentials,
    "IdleTimeout": RetryAfter,
    "InternalServerError": RetryAfter,
    "ServiceUnavailable": RetryAfter,
    "Shutdown": RetryAfter,
    "TooManyProviderTokenUpdates": RetryAfter,
    "TooManyRequests": RetryAfter,
}
"""By reason; every other one is about this message alone ("Handling notification responses from APNs")."""


class _Details(msgspec.Struct, frozen=True, gc=False):
    """What a device told beside its token."""

    environment: str = "production"
    bundle_id: str | None = None


class _Refusal(msgspec.Struct, frozen=True, gc=False):
    """The body of an answer that is no success; `timestamp` (milliseconds) comes with Unregistered."""

    reason: str = ""
    timestamp: int | None = None


_decode_refusal = msgspec.json.Decoder(_Refusal).decode
_decode_details = msgspec.json.Decoder(_Details).decode


class _Way(NamedTuple):
    """What requests must have in common to go out as one batch. `named`: the topic is not the credential's own."""

    credential: ApnsSecret
    environment: str
    topic: str
    push_type: str
    priority: str
    expires_at: Millis
    named: bool


class _Columns(NamedTuple):
    """What the requests of one way do not have in common.

    Without a key of the caller's, it is the delivery's own id by which a resend shows once.
    """

    addresses: Sequence[str]
    bodies: Sequence[bytes]
    ids: Sequence[str]
    collapse_ids: Sequence[str]


class ApnsProvider:
    """Sends with the project's signing keys and push certificates, each device by the one that is for its app."""

    kind = DeviceKind.APNS
    channel = Channel.PUSH

    def __init__(self, senders: Senders, *, hosts: Mapping[str, str] = HOSTS) -> None:
        """`hosts`: the origin of each environment."""
        self._senders = senders
        self._hosts = hosts
        self._tokens: Bounded[tuple[ApnsToken, int], str] = Bounded(1_000)
        self._too_soon: Bounded[ApnsToken, int] = Bounded(1_000)

    async def send(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis) -> list[ProviderOutcome]:
        """Outcomes in order; a device that cannot be sent to does not hold back the others."""
        credentials: list[ApnsSecret] = among(secrets, ApnsToken, ApnsCertificate)
        if not credentials:
            return [BadCredentials("the project has no APNs credential (POST /v1/credentials)")] * len(batch)
        if isinstance(batch, Prepared) and batch and len(batch.work.details) == 1:
            way = _way(batch.first(), credentials)
            if isinstance(way, _Way):
                return await self._one_way(way, _columns_of(batch.work), now)
        ways, outcomes = _sorted(batch, credentials)
        answers = await asyncio.gather(
            *(self._one_way(way, _columns([batch[at] for at in numbers]), now) for way, numbers in ways.items())
        )
        for numbers, answered in zip(ways.values(), answers, strict=True):
            outcomes.update(zip(numbers, answered, strict=True))
        return [outcomes[number] for number in range(len(batch))]

    async def prepare(
        self,
        batch: Sequence[Outgoing],
        secrets: Mapping[str, bytes],  # noqa: ARG002 - nothing is sealed for a device
    ) -> list[bytes | ProviderOutcome]:
        """The payloads; whose token is none is told ahead."""
        return [
            outgoing.ready.payload if _is_token(outgoing.address.address) else Quarantined(_NOT_HEX)
            for outgoing in batch
        ]

    def uses(self, lane: str, secrets: Mapping[str, bytes]) -> list[str]:
        """The one for the app that the lane names (`environment/bundle_id`)."""
        chosen = _credential(among(secrets, ApnsToken, ApnsCertificate), lane.partition("/")[2] or None)
        return [name for name, secret in secrets.items() if chosen in among({name: secret}, ApnsToken, ApnsCertificate)]

    async def check(self, secret: bytes, now: Millis) -> BadCredentials | RetryAfter | None:
        """Send to a token that no device has: who is told that it is a bad one has been let in, in one environment."""
        refused: BadCredentials | RetryAfter | None = None
        for environment in HOSTS:
            address = Address(0, 0, self.kind, _NOBODY, msgspec.json.encode(_Details(environment)))
            ready = Ready(0, 0, 0, bytes(16), b'{"aps":{}}', "", now, Urgency.NORMAL, None)
            [outcome] = await self.send([Outgoing(ready, address)], {"": secret}, now)
            if not isinstance(outcome, BadCredentials | RetryAfter):
                return None
            refused = refused or outcome
        return refused

    async def _one_way(self, way: _Way, columns: _Columns, now: Millis) -> list[ProviderOutcome]:
        headers = [
            ("apns-topic", way.topic),
            (PUSH_TYPE, way.push_type),
            ("apns-priority", way.priority),
            ("apns-expiration", str(-(-way.expires_at // 1000) if way.expires_at > now else 0)),
        ]
        try:
            if isinstance(way.credential, ApnsToken):
                headers.append(("authorization", f"bearer {self._token(way.credential, now)}"))
            sender = self._sender(way)
        except (InvalidRequest, ValueError) as error:
            return [BadCredentials(clean(str(error)))] * len(columns.ids)
        paths = ["/3/device/" + address for address in columns.addresses]
        varying = {"apns-id": columns.ids, "apns-collapse-id": columns.collapse_ids}
        batch = HttpBatch(self._hosts[way.environment], tuple(headers), paths, columns.bodies, varying)
        answers = await sender.send_batch(batch)
        if all(answer.status == 200 for answer in answers):  # noqa: PLR2004 - OK
            return [_ACCEPTED] * len(answers)
        outcomes = [_outcome(answer, way, now) for answer in answers]
        if isinstance(way.credential, ApnsToken) and any(map(_is_too_soon, outcomes)):
            self._too_soon.put(way.credential, now // 1000 + KEPT_S)
        return outcomes

    def _sender(self, way: _Way) -> Transport:
        origin, credential = self._hosts[way.environment], way.credential
        if isinstance(credential, ApnsCertificate):
            identity = ClientIdentity(credential.certificate.encode(), credential.private_key.encode())
            return self._senders.to(origin, identity=identity)
        # A connection is for one team, and takes one stream until it has seen a good token.
        return self._senders.to(origin, sender=credential.team_id, cautious=True)

    def _token(self, credential: ApnsToken, now: Millis) -> str:
        now_s = now // 1000
        step = (now_s - TOKEN_LAG_S) // TOKEN_STEP_S
        if now_s < (self._too_soon.get(credential) or 0) and now_s - (step - 1) * TOKEN_STEP_S < _OLDEST_S:
            step -= 1
        token = self._tokens.get((credential, step))
        if token is None:
            key = private_key(credential.private_key)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError("the APNs key is not an elliptic-curve key")
            claims = {"iss": credential.team_id, "iat": step * TOKEN_STEP_S}
            token = sign_alike(claims, key, credential.key_id)
            self._tokens.put((credential, step), token)
        return token


def _is_too_soon(outcome: ProviderOutcome) -> bool:
    return isinstance(outcome, RetryAfter) and "TooManyProviderTokenUpdates" in outcome.detail


def _sorted(
    batch: Sequence[Outgoing], credentials: Sequence[ApnsSecret]
) -> tuple[dict[_Way, list[int]], dict[int, ProviderOutcome]]:
    """The numbers of the batch by their way, and outcomes of those that have none."""
    outcomes: dict[int, ProviderOutcome] = {}
    ways: dict[_Way, list[int]] = {}
    # What a way is made of is mostly the same text for all of a batch, and is looked at once.
    seen: dict[object, list[int] | ProviderOutcome] = {}
    for number, outgoing in enumerate(batch):
        ready, address = outgoing.ready, outgoing.address
        told = (address.details, ready.urgency, ready.expires_at, tuple(ready.headers.items()) if ready.headers else ())
        found = seen.get(told)
        if found is None:
            way = _way(outgoing, credentials)
            found = seen[told] = ways.setdefault(way, []) if isinstance(way, _Way) else way
        if not isinstance(found, list):
            outcomes[number] = found
        elif _is_token(address.address):
            found.append(number)
        else:
            outcomes[number] = Quarantined(_NOT_HEX)
    return ways, outcomes


def _way(outgoing: Outgoing, credentials: Sequence[ApnsSecret]) -> _Way | ProviderOutcome:
    ready, address = outgoing.ready, outgoing.address
    try:
        details = _decode_details(address.details)
    except msgspec.MsgspecError:
        details = _Details()
    if details.environment not in HOSTS:
        return Quarantined(f"environment must be one of {', '.join(HOSTS)}")
    credential = _credential(credentials, details.bundle_id)
    if credential is None:
        return BadCredentials(f"no APNs credential of this project is for {clean(details.bundle_id or '')}")
    chosen = ready.headers or {}
    push_type = chosen.get(PUSH_TYPE, "alert")
    bundle = details.bundle_id or credential.bundle_id
    topic = chosen.get("apns-topic") or bundle + TOPIC_SUFFIX.get(push_type, "")
    if not (topic.isascii() and topic.isprintable() and len(topic) <= _LONGEST_TOPIC):
        return Quarantined("bundle_id must be printable ASCII")
    priority = chosen.get("apns-priority") or _PRIORITY[ready.urgency]
    if push_type == "background" and priority == "10":
        priority = "5"  # Apple calls 10 an error here
    named = "apns-topic" in chosen or bundle != credential.bundle_id
    return _Way(credential, details.environment, topic, push_type, priority, ready.expires_at, named)


def _credential(credentials: Sequence[ApnsSecret], bundle_id: str | None) -> ApnsSecret | None:
    """The one of this app, else a signing key, which is for all apps of its team."""
    if bundle_id is None:
        return next(iter(credentials), None)
    own = (each for each in credentials if each.bundle_id == bundle_id)
    keys = (each for each in credentials if isinstance(each, ApnsToken))
    return next(own, None) or next(keys, None)


def _is_token(address: str) -> bool:
    return address.isascii() and address.isalnum()


def _columns_of(work: ArmedWork) -> _Columns:
    """From columns to columns: this runs once for each of millions who wait."""
    key = work.collapse_key
    collapse_ids = work.ids if key is None else [collapse_id(key)] * len(work.ids)
    return _Columns(work.addresses, work.bodies, work.ids, collapse_ids)


def _columns(batch: Sequence[Outgoing]) -> _Columns:
    return _Columns(
        [outgoing.address.address for outgoing in batch],
        [outgoing.body or outgoing.ready.payload for outgoing in batch],
        [uuid_of(outgoing.ready.id) for outgoing in batch],
        [_place(outgoing.ready) for outgoing in batch],
    )


def _place(ready: Ready) -> str:
    """Without a key of the caller's, it is the delivery's id: a resend shows once, and an update takes its place."""
    return uuid_of(ready.place or ready.id) if ready.collapse_key is None else collapse_id(ready.collapse_key)


def _outcome(response: HttpResponse, way: _Way, now: Millis) -> ProviderOutcome:
    """What an answer means. The reason counts, not the status, which varies."""
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 - success by RFC 9110 section 15.3
        return _ACCEPTED
    if status == 0:
        return RetryAfter(detail=clean(response.error or "no answer"), unknown=response.unknown)
    refusal = _read_refusal(response.body)
    detail = clean(f"{status} {refusal.reason}")
    meaning = _MEANING.get(refusal.reason) or _meaning(status)
    if meaning is RetryAfter:
        wait = retry_after(response.headers.get("retry-after"), now)
        return RetryAfter(wait, detail, blames=_blamed(status, refusal.reason))
    if refusal.reason == "Unregistered":
        return Gone(detail, refusal.timestamp)
    if refusal.reason == "TopicDisallowed" and not way.named:
        return BadCredentials(f"{detail}: {way.topic}")
    return meaning(detail=detail)


def _blamed(status: int, reason: str) -> Blames:
    """TooManyRequests is about one device token ("Handling notification responses from APNs"), and 429 about us."""
    if reason == "TooManyRequests":
        return "device"
    return "load" if status == 429 else "service"  # noqa: PLR2004 - RFC 6585 §4


def _read_refusal(body: bytes) -> _Refusal:
    try:
        return _decode_refusal(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Refusal()


def _meaning(status: int) -> type[Gone | RetryAfter | Rejected]:
    """Of an answer without a reason that we know."""
    if status == 410:  # noqa: PLR2004 - Gone
        return Gone
    return RetryAfter if status == 429 or status >= 500 else Rejected  # noqa: PLR2004 - RFC 6585 §4, RFC 9110 §15.6
