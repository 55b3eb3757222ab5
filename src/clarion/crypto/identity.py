"""Who is at the device: a user token signed by the project's own server, or the secret of an anonymous user of ours."""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from clarion.crypto import jws
from clarion.crypto.signing import Signer

MAX_AHEAD_MS = 24 * 3600 * 1000
SKEW_MS = 60 * 1000
"""The project's server has a clock of its own; one that runs a minute ahead must not lock everybody out."""

MAX_USER_ID = 255
MIN_HS256_SECRET = 32
_ANONYMOUS = "anonymous user"
_ANONYMOUS_FIELDS = struct.Struct(">IQ")  # project, user

IdentityReason = Literal["malformed", "algorithm", "signature", "subject", "expiry", "expired", "too_far", "not_yet"]


class IdentityError(ValueError):
    """The user token proves nothing; `reason` is one word, the message says what would be right."""

    def __init__(self, reason: IdentityReason, message: str) -> None:
        super().__init__(f"user token: {message}")
        self.reason = reason


def load_identity_key(pem: str) -> ec.EllipticCurvePublicKey:
    """The ES256 public key that a project uploads. Raises ValueError for anything but a P-256 public key in PEM."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("must be a public key in PEM (-----BEGIN PUBLIC KEY-----)") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("must be a key on the curve P-256, for ES256")  # noqa: TRY004 - the text is wrong, its type is not
    return key


def check_identity_secret(secret: bytes) -> bytes:
    """The HS256 secret that a project sets. Raises ValueError when it is shorter than 32 bytes."""
    if len(secret) < MIN_HS256_SECRET:
        raise ValueError(f"must have {MIN_HS256_SECRET} bytes or more (RFC 7518 §3.2), not {len(secret)}")
    return secret


def verify_user_token(
    token: str, *, hs256_secret: bytes | None = None, es256_public_pem: str | None = None, now_ms: int
) -> str:
    """The user id that the project's server vouches for: a JWT with `sub` and `exp`, at most 24 hours ahead.

    Exactly one of the two keys is given, and it alone decides the algorithm, never the token's header. Raises
    IdentityError for the token, ValueError for a key that cannot be used.
    """
    if (hs256_secret is None) == (es256_public_pem is None):
        raise ValueError("give hs256_secret or es256_public_pem, one of them")
    try:
        if es256_public_pem is not None:
            claims = jws.read_claims(token, _cached_key(es256_public_pem), "ES256")
        else:
            claims = jws.read_claims(token, check_identity_secret(hs256_secret or b""), "HS256")
    except jws.NotSigned as error:
        raise IdentityError(error.reason, str(error)) from error
    _check_times(claims, now_ms)
    return _subject(claims)


@dataclass(frozen=True, slots=True)
class AnonymousClaim:
    """The anonymous user that a device is, as internal keys."""

    project: int
    user: int


class AnonymousTokens:
    """The secret that the server gives to an anonymous device, so that it alone can go on as that user."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def make(self, project: int, user: int) -> str:
        """A token without an end. Raises ValueError when a key is negative or too large."""
        try:
            return self._signer.sign(_ANONYMOUS, _ANONYMOUS_FIELDS.pack(project, user))
        except struct.error as error:
            raise ValueError("anonymous user: project needs 32 bits, user 64, none is negative") from error

    def read(self, token: str) -> AnonymousClaim | None:
        """Who holds it, or None when we did not make it. Never raises."""
        payload = self._signer.verify(_ANONYMOUS, token)
        return None if payload is None else AnonymousClaim(*_ANONYMOUS_FIELDS.unpack(payload))


_cached_key = lru_cache(maxsize=1024)(load_identity_key)


def _check_times(claims: dict[str, Any], now_ms: int) -> None:
    expires_s = jws.numeric_date(claims, "exp")
    if expires_s is None:
        raise IdentityError("expiry", "exp must be a number of seconds since the epoch")
    # Written so that a NaN, which compares as false with everything, is refused.
    if not expires_s * 1000 > now_ms:
        raise IdentityError("expired", "exp is past; the site must fetch a new token")
    if not expires_s * 1000 <= now_ms + MAX_AHEAD_MS + SKEW_MS:
        raise IdentityError("too_far", "exp must be at most 24 hours ahead")
    if "nbf" in claims:
        begins_s = jws.numeric_date(claims, "nbf")
        if begins_s is None or not begins_s * 1000 <= now_ms + SKEW_MS:
            raise IdentityError("not_yet", "nbf must be a number of seconds since the epoch that is past")


def _subject(claims: dict[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_USER_ID:
        raise IdentityError("subject", f"sub must be the user id: text of 1 to {MAX_USER_ID} characters")
    return subject
