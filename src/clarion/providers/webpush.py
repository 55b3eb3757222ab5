"""Web Push: RFC 8030 requests with RFC 8291 bodies and RFC 8292 proof, to browsers, UnifiedPush and our service."""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256
from urllib.parse import urlsplit

import msgspec

from clarion.crypto import base64url
from clarion.crypto.vapid import Vapid, origin_of
from clarion.crypto.webpush import PayloadTooLarge, WebPushError, encrypt_many
from clarion.model import Channel, DeviceKind, Millis
from clarion.ports import (
    Accepted,
    BadCredentials,
    Gone,
    HttpRequest,
    HttpResponse,
    Outgoing,
    ProviderOutcome,
    Quarantined,
    Ready,
    Rejected,
    RetryAfter,
    TooLarge,
    Transport,
)
from clarion.wire.answers import MOST_WORDS, clean, retry_after

# Encrypting one message takes 0.07 ms or more; a turn of the event loop stays under 3 ms.
_SLICE = 40
_APPLE = "web.push.apple.com"
_WINDOWS = ".notify.windows.com"
_LONGEST_URL = 2_048


class _Keys(msgspec.Struct, frozen=True, gc=False):
    """What a subscription's details hold for us."""

    p256dh: str
    auth: str
    vapid_public_key: str


class _Refusal(msgspec.Struct, frozen=True, gc=False):
    """The part of a push service's refusal that says why: `message` at Mozilla's and ours, `reason` at Apple's."""

    message: str | None = None
    reason: str | None = None


_decode_refusal = msgspec.json.Decoder(_Refusal).decode
_decode_keys = msgspec.json.Decoder(_Keys).decode
_NO_KEYS = _Keys("", "", "")


def _keys(details: str | bytes) -> _Keys:
    """A subscription without its keys is one with unusable keys: it is put aside, and the batch goes on."""
    try:
        return _decode_keys(details)
    except msgspec.MsgspecError:
        return _NO_KEYS


class WebPushProvider:
    """Encrypts, signs and posts a batch; each subscription is served with the VAPID key that it was made with."""

    kind = DeviceKind.WEBPUSH
    channel = Channel.PUSH

    def __init__(self, transport: Transport, *, subject: str, own_origin: str) -> None:
        """`subject`: contact of the sender, `mailto:` or `https:` (RFC 8292 §2.1); `own_origin`: of our endpoint."""
        self._transport = transport
        self._subject = subject
        self._own_origin = own_origin
        self._vapid = Vapid()

    async def send(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis) -> list[ProviderOutcome]:
        """Outcomes in order; a subscription that cannot be used does not hold back the others."""
        outcomes: list[ProviderOutcome | None] = []
        requests: list[HttpRequest] = []
        for start in range(0, len(batch), _SLICE):
            for made in self._requests(batch[start : start + _SLICE], secrets, now):
                if isinstance(made, HttpRequest):
                    requests.append(made)
                    outcomes.append(None)
                else:
                    outcomes.append(made)
            await asyncio.sleep(0)
        answers = iter(await self._transport.send(requests) if requests else ())
        return [_outcome(next(answers), now) if outcome is None else outcome for outcome in outcomes]

    async def prepare(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes]) -> list[bytes | ProviderOutcome]:
        """The encrypted bodies: nearly all that a message costs."""
        made: list[bytes | ProviderOutcome] = []
        for start in range(0, len(batch), _SLICE):
            part = batch[start : start + _SLICE]
            keys = [_keys(outgoing.address.details) for outgoing in part]
            made += [
                body if isinstance(body, bytes) and key.vapid_public_key in secrets else _unsendable(body)
                for key, body in zip(keys, _bodies(part, keys), strict=True)
            ]
            await asyncio.sleep(0)
        return made

    def uses(self, lane: str, secrets: Mapping[str, bytes]) -> list[str]:  # noqa: ARG002 - of a subscription, not a lane
        """All keys: each subscription of a lane is served with its own."""
        return list(secrets)

    async def check(self, secret: bytes, now: Millis) -> None:
        """A key is good by itself: each subscription says which one it wants."""

    def _requests(
        self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis
    ) -> list[HttpRequest | ProviderOutcome]:
        keys = [_keys(outgoing.address.details) for outgoing in batch]
        return [
            self._request(outgoing, body, secrets.get(key.vapid_public_key), now)
            for outgoing, key, body in zip(batch, keys, _bodies(batch, keys), strict=True)
        ]

    def _request(
        self, outgoing: Outgoing, body: bytes | WebPushError, private: bytes | None, now: Millis
    ) -> HttpRequest | ProviderOutcome:
        endpoint = outgoing.address.address
        if private is None or isinstance(body, WebPushError):
            return _unsendable(body)
        try:
            origin = origin_of(endpoint)
        except ValueError as error:
            return Rejected(f"endpoint {error}")
        headers = {
            "authorization": self._vapid.authorization(origin, private, now, self._subject),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            **self._delivery_headers(outgoing.ready, origin, now),
        }
        return HttpRequest("POST", endpoint, headers, body, outgoing.ready.id)

    def _delivery_headers(self, ready: Ready, origin: str, now: Millis) -> dict[str, str]:
        """TTL, Urgency and Topic (RFC 8030 §5.2-5.4), with what single services want beside them."""
        ttl = max(0, -(-(ready.expires_at - now) // 1000))
        host = urlsplit(origin).hostname or ""
        headers = {"ttl": str(ttl), "urgency": "high" if host == _APPLE else ready.urgency}
        if ready.collapse_key is not None:
            headers["topic"] = base64url.encode(sha256(ready.collapse_key.encode()).digest())[:32]
        elif origin == self._own_origin:
            headers["topic"] = ready.id.hex()
        if ttl == 0 and host.endswith(_WINDOWS):
            headers["x-wns-cache-policy"] = "no-cache"
        return headers


def _bodies(batch: Sequence[Outgoing], keys: Sequence[_Keys]) -> list[bytes | WebPushError]:
    """Made ahead, else encrypted now."""
    pairs = list(zip(batch, keys, strict=True))
    made = iter(encrypt_many((each.ready.payload, key.p256dh, key.auth) for each, key in pairs if each.body is None))
    return [next(made) if outgoing.body is None else outgoing.body for outgoing in batch]


def _unsendable(body: bytes | WebPushError) -> ProviderOutcome:
    """Why there is no body, or nobody to sign for it."""
    if isinstance(body, bytes):
        return Quarantined("subscribed with a VAPID key that this project does not have any more")
    return TooLarge(str(body)) if isinstance(body, PayloadTooLarge) else Quarantined(str(body))


def _outcome(response: HttpResponse, now: Millis) -> ProviderOutcome:
    """What an answer means (protocols of Mozilla, Google, Apple and Microsoft differ in the refusals only)."""
    status, detail = response.status, _detail(response)
    if 200 <= status < 300:  # noqa: PLR2004 - success by RFC 9110 section 15.3
        return Accepted(clean(response.headers.get("location", ""), _LONGEST_URL) or None)
    if status == 0:
        # A guarded address was never asked; anything else that broke may have arrived.
        guarded = (response.error or "").startswith("refused")
        return Rejected(detail) if guarded else RetryAfter(detail=detail, unknown=True)
    wait = retry_after(response.headers.get("retry-after"), now)
    if status == 429:  # noqa: PLR2004 - Too Many Requests (RFC 6585 §4)
        return RetryAfter(wait, detail, blames="load")
    if status == 408 or status >= 500:  # noqa: PLR2004 - the far side's fault by RFC 9110 section 15.6
        return RetryAfter(wait, detail)
    return _refusal(status, detail)


def _refusal(status: int, detail: str) -> ProviderOutcome:
    if status in (404, 410):
        return Gone(detail)
    if status == 413:  # noqa: PLR2004 - Content Too Large
        return TooLarge(detail)
    if status == 403 and "BadJwtToken" in detail:  # noqa: PLR2004 - Apple, for a wrong subject, audience or expiry
        return BadCredentials(detail)
    if status in (401, 403) or "VapidPkHashMismatch" in detail:
        return Quarantined(f"our VAPID key is refused for this subscription: {detail}")
    return Rejected(detail)


def _detail(response: HttpResponse) -> str:
    if response.error:
        return clean(response.error)
    words = response.headers.get("x-wns-error-description") or _words(response.body)
    return clean(f"{response.status} {words}")


def _words(body: bytes) -> str:
    """What a refusal says: the sentence in the JSON of Mozilla and Apple, the text of the others."""
    try:
        told = _decode_refusal(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = _Refusal()
    return told.message or told.reason or body[:MOST_WORDS].decode("utf-8", "replace")
