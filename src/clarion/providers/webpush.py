"""Web Push: RFC 8030 requests with RFC 8291 bodies and RFC 8292 proof, to browsers, UnifiedPush and our service."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from clarion.crypto import base64url
from clarion.crypto.turns import Encrypt, Turns
from clarion.crypto.vapid import Vapid, origin_of
from clarion.crypto.webpush import PayloadTooLarge, Sealed
from clarion.model import Channel, DeviceKind, Millis
from clarion.ports import (
    Accepted,
    BadCredentials,
    BatchRequest,
    Gone,
    HttpBatch,
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

_SLICE: Final = 250
"""Messages in one turn of the loop: without the encryption they take about 2 µs each."""
_APPLE: Final = "web.push.apple.com"
_WINDOWS: Final = ".notify.windows.com"
_LONGEST_URL: Final = 2_048
_ALWAYS: Final = (("content-encoding", "aes128gcm"), ("content-type", "application/octet-stream"))
_NO_CACHE: Final = ("x-wns-cache-policy", "no-cache")
_ACCEPTED: Final = Accepted()


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
_NO_KEYS: Final = _Keys("", "", "")


class _Service(NamedTuple):
    """Who is at an origin: the audience of our proof, and whose habits to heed."""

    audience: str
    apple: bool
    windows: bool


class _Way(NamedTuple):
    """What requests must have in common to go out as one batch. `origin`: as their URLs begin, whatever way it is."""

    origin: str
    vapid_public_key: str
    urgency: str


class _Letter(msgspec.Struct, frozen=True, gc=False):
    """A message with all that it needs to be sent, but for its body."""

    way: _Way
    path: str
    keys: _Keys


class WebPushProvider:
    """Encrypts, signs and posts a batch; each subscription is served with the VAPID key that it was made with."""

    kind = DeviceKind.WEBPUSH
    channel = Channel.PUSH

    def __init__(self, transport: Transport, *, subject: str, own_origin: str, encrypt: Encrypt | None = None) -> None:
        """`subject`: contact of the sender, `mailto:` or `https:` (RFC 8292 §2.1); `own_origin`: of our endpoint.

        `encrypt`: instead of the loop itself.
        """
        self._transport = transport
        self._subject = subject
        self._own_origin = own_origin
        self._encrypt = encrypt or Turns().encrypt
        self._vapid = Vapid()

    async def send(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis) -> list[ProviderOutcome]:
        """Outcomes in order; a subscription that cannot be used does not hold back the others."""
        letters = await _letters(batch, secrets)
        bodies = await self._bodies(batch, letters)
        outcomes: dict[int, ProviderOutcome] = {}
        ways: dict[tuple[_Way, tuple[str, ...]], dict[int, BatchRequest]] = {}
        for number, (outgoing, letter, body) in enumerate(zip(batch, letters, bodies, strict=True)):
            if number and number % _SLICE == 0:
                await asyncio.sleep(0)
            if isinstance(letter, _Letter) and isinstance(body, bytes):
                request = self._request(outgoing.ready, letter, body, now)
                ways.setdefault((letter.way, tuple(name for name, _ in request.headers)), {})[number] = request
            elif not isinstance(body, bytes):
                outcomes[number] = body
        done = await asyncio.gather(*(self._post(way, requests, secrets, now) for (way, _), requests in ways.items()))
        for part in done:
            outcomes |= part
        return [outcomes[number] for number in range(len(batch))]

    async def prepare(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes]) -> list[bytes | ProviderOutcome]:
        """The encrypted bodies: nearly all that a message costs."""
        return await self._bodies(batch, await _letters(batch, secrets))

    def uses(self, lane: str, secrets: Mapping[str, bytes]) -> list[str]:  # noqa: ARG002 - of a subscription, not a lane
        """All keys: each subscription of a lane is served with its own."""
        return list(secrets)

    async def check(self, secret: bytes, now: Millis) -> None:
        """A key is good by itself: each subscription says which one it wants."""

    async def _bodies(
        self, batch: Sequence[Outgoing], letters: Sequence[_Letter | ProviderOutcome]
    ) -> list[bytes | ProviderOutcome]:
        """Made ahead, else encrypted now; and why there is none."""
        sealed = iter(
            await self._encrypt(
                [
                    (outgoing.ready.payload, letter.keys.p256dh, letter.keys.auth)
                    for outgoing, letter in zip(batch, letters, strict=True)
                    if isinstance(letter, _Letter) and outgoing.body is None
                ]
            )
        )
        return [
            letter if not isinstance(letter, _Letter) else outgoing.body or _body(next(sealed))
            for outgoing, letter in zip(batch, letters, strict=True)
        ]

    def _request(self, ready: Ready, letter: _Letter, body: bytes, now: Millis) -> BatchRequest:
        """TTL and Topic (RFC 8030 §5.2, §5.4) are the message's own, with what single services want beside them."""
        headers = _time_to_live(max(0, -(-(ready.expires_at - now) // 1000)), letter.way.origin)
        if ready.collapse_key is not None:
            headers = (*headers, ("topic", _topic(ready.collapse_key)))
        elif ready.place is not None or letter.way.origin == self._own_origin:
            headers = (*headers, ("topic", (ready.place or ready.id).hex()))
        return BatchRequest(letter.path, headers, body, ready.id)

    async def _post(
        self, way: _Way, requests: Mapping[int, BatchRequest], secrets: Mapping[str, bytes], now: Millis
    ) -> dict[int, ProviderOutcome]:
        private, audience = secrets[way.vapid_public_key], _service(way.origin).audience
        headers = (
            ("authorization", self._vapid.authorization(audience, private, now, self._subject)),
            ("urgency", way.urgency),
            *_ALWAYS,
        )
        answers = await self._transport.send_batch(HttpBatch.of(way.origin, headers, list(requests.values())))
        return {number: _outcome(answer, now) for number, answer in zip(requests, answers, strict=True)}


async def _letters(batch: Sequence[Outgoing], secrets: Mapping[str, bytes]) -> list[_Letter | ProviderOutcome]:
    letters: list[_Letter | ProviderOutcome] = []
    for start in range(0, len(batch), _SLICE):
        if start:
            await asyncio.sleep(0)
        letters += [_letter(outgoing, secrets) for outgoing in batch[start : start + _SLICE]]
    return letters


def _letter(outgoing: Outgoing, secrets: Mapping[str, bytes]) -> _Letter | ProviderOutcome:
    endpoint = outgoing.address.address
    try:
        keys = _decode_keys(outgoing.address.details)
    except msgspec.MsgspecError:
        keys = _NO_KEYS
    if keys.vapid_public_key not in secrets:
        return Quarantined("subscribed with a VAPID key that this project does not have any more")
    slash = endpoint.find("/", len("https://"))
    origin, path = (endpoint[:slash], endpoint[slash:]) if slash >= 0 else (endpoint, "")
    try:
        way = _way(origin, keys.vapid_public_key, outgoing.ready.urgency)
    except ValueError as error:
        return Rejected(f"endpoint {error}")
    return _Letter(way, path, keys)


@lru_cache(maxsize=4_096)
def _way(origin: str, vapid_public_key: str, urgency: str) -> _Way:
    """To Apple everything is urgent. Raises ValueError for what no URL begins with."""
    return _Way(origin, vapid_public_key, "high" if _service(origin).apple else urgency)


@lru_cache(maxsize=4_096)
def _service(origin: str) -> _Service:
    """Raises ValueError for what no URL begins with."""
    audience = origin_of(origin)
    host = urlsplit(audience).hostname or ""
    return _Service(audience, host == _APPLE, host.endswith(_WINDOWS))


@lru_cache(maxsize=4_096)
def _time_to_live(seconds: int, origin: str) -> tuple[tuple[str, str], ...]:
    ttl = ("ttl", str(seconds))
    return (ttl, _NO_CACHE) if not seconds and _service(origin).windows else (ttl,)


@lru_cache(maxsize=1_024)
def _topic(collapse_key: str) -> str:
    """Tells nothing about the key, and is as long as a topic may be."""
    return base64url.encode(sha256(collapse_key.encode()).digest())[:32]


def _body(sealed: Sealed) -> bytes | ProviderOutcome:
    if isinstance(sealed, bytes):
        return sealed
    return TooLarge(str(sealed)) if isinstance(sealed, PayloadTooLarge) else Quarantined(str(sealed))


def _outcome(response: HttpResponse, now: Millis) -> ProviderOutcome:
    """What an answer means (protocols of Mozilla, Google, Apple and Microsoft differ in the refusals only)."""
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 - success by RFC 9110 section 15.3
        location = response.headers.get("location")
        return Accepted(clean(location, _LONGEST_URL) or None) if location else _ACCEPTED
    detail = _detail(response)
    if status == 0:
        # A guarded address was never asked.
        guarded = (response.error or "").startswith("refused")
        return Rejected(detail) if guarded else RetryAfter(detail=detail, unknown=response.unknown)
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
