"""Who is sending (RFC 8292, VAPID): signs our pushes to every push service, and checks those that come to ours."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from clarion.crypto import base64url, jws
from clarion.crypto.bounded import Bounded
from clarion.crypto.p256 import load_private, load_public, point_of

LIFETIME_MS = 12 * 3600 * 1000
"""Half of what RFC 8292 §2 allows: Apple refuses a token whose end is over a day away, and clocks differ."""

MAX_AHEAD_MS = 24 * 3600 * 1000
_MAX_HEADER = 2048  # tokens are remembered, so nobody may make us remember long ones
_DEFAULT_PORTS = {"https": 443, "http": 80}

VapidReason = Literal[
    "missing", "malformed", "key", "algorithm", "audience", "expiry", "expired", "too_far", "signature"
]


class VapidError(ValueError):
    """The sender did not prove who it is; `reason` is one word, the message says what would be right."""

    def __init__(self, reason: VapidReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def origin_of(url: str) -> str:
    """Scheme, host and port of an absolute http(s) URL, the port only when it is not the default one (RFC 6454 §6.2).

    Raises ValueError when the URL has none.
    """
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be an absolute http or https URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = parts.port is None or parts.port == _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if default else f"{parts.scheme}://{host}:{parts.port}"


@dataclass(frozen=True, slots=True)
class _Minted:
    authorization: str
    at: int

    def fresh(self, now_ms: int) -> bool:
        return self.at <= now_ms < self.at + LIFETIME_MS // 2


class Vapid:
    """Makes the `Authorization` of our pushes, once for each origin, key and subject in six hours."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._minted: Bounded[tuple[str, bytes, str], _Minted] = Bounded(capacity)

    def authorization(self, origin: str, private: bytes, now_ms: int, subject: str) -> str:
        """`vapid t=…,k=…` (RFC 8292 §3), good for twelve hours when made and used for six.

        `origin` is `origin_of` the subscription's endpoint, `private` the 32-byte key that the subscription was made
        with, `subject` a `mailto:` or `https:` address of the sender. Raises ValueError for a wrong key or subject.
        """
        key = (origin, private, subject)
        minted = self._minted.get(key)
        if minted is None or not minted.fresh(now_ms):
            minted = _Minted(_mint(origin, private, now_ms, subject), now_ms)
            self._minted.put(key, minted)
        return minted.authorization


class VapidVerifier:
    """Checks the `Authorization` of pushes that come to our own endpoint. A verified token is remembered."""

    def __init__(self, origin: str, capacity: int = 10_000, also: Sequence[str] = ()) -> None:
        """`also`: other origins under which senders know this endpoint."""
        self._origin = origin_of(origin)
        self._origins = {self._origin, *also}
        self._verified: Bounded[tuple[str | None, str | None], tuple[bytes, float]] = Bounded(capacity)

    def verify(self, authorization: str | None, crypto_key: str | None, now_ms: int) -> bytes:
        """The sender's public key (65 bytes). `crypto_key` is the header of that name, for drafts before RFC 8292.

        Raises VapidError.
        """
        # What else is in Crypto-Key is new with each message.
        draft_key = _parameters(crypto_key).get("p256ecdsa") if crypto_key else None
        known = self._verified.get((authorization, draft_key))
        if known is None:
            known = self._check(*_credentials(authorization, draft_key))
            self._verified.put((authorization, draft_key), known)
        public, expires_s = known
        _check_expiry(expires_s, now_ms)
        return public

    def _check(self, token: str, key_text: str) -> tuple[bytes, float]:
        """Public key and expiry in seconds: all that does not change while the token lives."""
        key, public = _public_key(key_text)
        try:
            claims = jws.read_claims(token, key, "ES256")
        except jws.NotSigned as error:
            raise VapidError(error.reason, f"VAPID token: {error}") from error
        self._check_audience(claims.get("aud"))
        expires_s = jws.numeric_date(claims, "exp")
        if expires_s is None:
            raise VapidError("expiry", "VAPID token: exp must be a number of seconds since the epoch")
        return public, expires_s

    def _check_audience(self, audience: Any) -> None:
        named = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(each, str) and _origin_in(each, self._origins) for each in named):
            raise VapidError("audience", f"VAPID token: aud must be {self._origin}")


def _mint(origin: str, private: bytes, now_ms: int, subject: str) -> str:
    if not subject.startswith(("mailto:", "https:")):
        raise ValueError("VAPID subject: must be a mailto: or https: address (RFC 8292 §2.1)")
    key = load_private(private)
    token = jws.sign_claims({"aud": origin, "exp": (now_ms + LIFETIME_MS) // 1000, "sub": subject}, key)
    return f"vapid t={token},k={base64url.encode(point_of(key))}"


def _credentials(authorization: str | None, draft_key: str | None) -> tuple[str, str]:
    """Token and key of the headers: RFC 8292 §3, or its drafts with the key in `Crypto-Key`."""
    if not authorization:
        raise VapidError("missing", "Authorization: must be `vapid t=<token>,k=<public key>`")
    if len(authorization) + len(draft_key or "") > _MAX_HEADER:
        raise VapidError("malformed", f"Authorization and Crypto-Key: at most {_MAX_HEADER} characters together")
    scheme, _, rest = authorization.strip().partition(" ")
    match scheme.lower():
        case "vapid":
            parameters = _parameters(rest)
            token, key_text = parameters.get("t"), parameters.get("k")
        case "webpush" | "bearer":
            token, key_text = rest.strip(), draft_key
        case _:
            raise VapidError("malformed", "Authorization: the scheme must be vapid, WebPush or Bearer")
    if not token:
        raise VapidError("malformed", "Authorization: the token (`t`) is missing")
    if not key_text:
        raise VapidError("key", "Authorization: the public key is missing (`k`, or `Crypto-Key: p256ecdsa=`)")
    return token, key_text


def _parameters(text: str) -> dict[str, str]:
    """`a=1, b="2"; c=3` as a mapping; names in lower case, and a value may hold `=`."""
    pairs = (part.partition("=") for part in re.split("[,;]", text))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _public_key(text: str) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    try:
        point = base64url.decode(text)
        return load_public(point), point
    except ValueError as error:
        raise VapidError("key", f"VAPID public key: must be a P-256 point in base64url; {error}") from error


def _check_expiry(expires_s: float, now_ms: int) -> None:
    # Written so that a NaN, which compares as false with everything, is refused.
    if not expires_s * 1000 > now_ms:
        raise VapidError("expired", "VAPID token: exp is past")
    if not expires_s * 1000 <= now_ms + MAX_AHEAD_MS:
        raise VapidError("too_far", "VAPID token: exp must be at most 24 hours ahead")


def _origin_in(url: str, origins: Collection[str]) -> bool:
    try:
        return origin_of(url) in origins
    except ValueError:
        return False
