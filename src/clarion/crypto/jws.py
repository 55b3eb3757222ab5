"""Claims that somebody signed (JWT, RFC 7519): the one place that reads and writes them, over PyJWT.

Proves the signature only. Which times and names are right is for the caller to say, by the caller's clock.
"""

import json
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from clarion.crypto import base64url

Algorithm = Literal["ES256", "HS256"]
JwsReason = Literal["malformed", "algorithm", "signature"]

_JWS = jwt.PyJWS()


class NotSigned(ValueError):
    """Not claims that this key signed; `reason` is one word, the message says what would be right."""

    def __init__(self, reason: JwsReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def sign_claims(claims: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> str:
    """A compact JWT, ES256."""
    return _JWS.encode(json.dumps(claims, separators=(",", ":")).encode(), key, "ES256")


def sign_grant(claims: dict[str, Any], key: rsa.RSAPrivateKey, key_id: str) -> str:
    """A compact JWT, RS256, by which Google knows a service account."""
    return _JWS.encode(json.dumps(claims, separators=(",", ":")).encode(), key, "RS256", {"kid": key_id, "typ": "JWT"})


def sign_alike(claims: dict[str, Any], key: ec.EllipticCurvePrivateKey, key_id: str) -> str:
    """A compact JWT, ES256, that is the same text whoever makes it (RFC 6979: the signature's number is derived)."""
    parts = ({"alg": "ES256", "kid": key_id}, claims)
    said = ".".join(base64url.encode(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    signature = key.sign(said.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    # RFC 7518 section 3.4: both numbers at full length.
    numbers = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))
    return f"{said}.{base64url.encode(numbers)}"


def read_claims(token: str, key: ec.EllipticCurvePublicKey | bytes, algorithm: Algorithm) -> dict[str, Any]:
    """The claims of a token that is signed by this key with this algorithm, whatever its header asks for.

    Raises NotSigned for the token, ValueError for a key that is not fit for the algorithm: a public key is never taken
    for an HS256 secret.
    """
    try:
        claims = json.loads(_JWS.decode(token, key, algorithms=[algorithm]))
    except jwt.InvalidKeyError as error:
        raise ValueError(f"the key cannot be used with {algorithm}") from error
    except jwt.InvalidAlgorithmError as error:
        raise NotSigned("algorithm", f"must be signed with {algorithm}") from error
    except jwt.InvalidSignatureError as error:
        raise NotSigned("signature", "is not signed with this key") from error
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise NotSigned("malformed", "must be a JWT: three base64url parts joined by dots") from error
    if not isinstance(claims, dict):
        raise NotSigned("malformed", "claims must be a JSON object")
    return claims


def numeric_date(claims: dict[str, Any], name: str) -> float | None:
    """A time in seconds since the epoch (RFC 7519 §2, NumericDate), or None when it is missing or no number."""
    value = claims.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
