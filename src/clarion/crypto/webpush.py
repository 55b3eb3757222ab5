"""Closes a message so that only one browser can read it: RFC 8291 over RFC 8188 (`aes128gcm`, a single record).

A body is `salt (16) | record size (4) | 65 | sender's point (65) | AES-128-GCM of (payload | 02)`.
Nearly all of its cost is the two multiplications on the curve, so everything around them is kept short.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clarion.crypto import base64url
from clarion.crypto.agreement import agree, agree_under
from clarion.crypto.hmac_sha256 import hmac_sha256
from clarion.crypto.p256 import ECDH, POINT_SIZE, KeyPair, load_private, load_public, point_of

AUTH_SIZE = 16
SALT_SIZE = 16
TAG_SIZE = 16
RECORD_SIZE = 4096
HEADER_SIZE = SALT_SIZE + 4 + 1 + POINT_SIZE
OVERHEAD = HEADER_SIZE + 1 + TAG_SIZE
MAX_PLAINTEXT = 4096 - OVERHEAD
"""3,993 bytes: a push service need not take a body of more than 4,096 (RFC 8291 §4)."""

_LAST_RECORD = b"\x02"
_AFTER_SALT = RECORD_SIZE.to_bytes(4, "big") + bytes([POINT_SIZE])
# The closing 01 of each is HKDF-Expand's counter: every key here is at most one block long (RFC 5869 §2.3).
_KEY_INFO = b"WebPush: info\x00"
_CEK_INFO = b"Content-Encoding: aes128gcm\x00\x01"
_NONCE_INFO = b"Content-Encoding: nonce\x00\x01"


class WebPushError(ValueError):
    """A message that cannot be encrypted. Safe to send between processes."""


class BadSubscription(WebPushError):
    """A subscription's key is unusable; `field` is `p256dh` or `auth`, `problem` says what would be right."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class PayloadTooLarge(WebPushError):
    """The payload has more than MAX_PLAINTEXT bytes."""


class CannotDecrypt(ValueError):
    """The body is not a message for this receiver."""


Plain: TypeAlias = tuple[bytes, str | bytes, str | bytes]
"""A payload, and the receiver's `p256dh` and `auth`."""
Sealed: TypeAlias = bytes | WebPushError
"""A body, or why there is none."""


def sealed_size(plaintext_size: int) -> int:
    """Bytes of the body for a payload of `plaintext_size` bytes."""
    return plaintext_size + OVERHEAD


def parse_keys(p256dh: str | bytes, auth: str | bytes) -> tuple[bytes, bytes]:
    """A subscription's keys as raw bytes (65-byte point, 16-byte secret), checked.

    Text is base64url or standard base64, padded or not; bytes are taken as raw. Raises BadSubscription.
    """
    point = _raw("p256dh", p256dh)
    if len(point) != POINT_SIZE:
        raise BadSubscription(
            "p256dh", f"must be a P-256 point of {POINT_SIZE} bytes in base64url, not {len(point)} bytes"
        )
    try:
        load_public(point)
    except ValueError as error:
        raise BadSubscription("p256dh", str(error)) from error
    secret = _raw("auth", auth)
    _check_auth(secret)
    return point, secret


def encrypt(
    payload: bytes, p256dh: bytes, auth: bytes, *, ephemeral: bytes | None = None, salt: bytes | None = None
) -> bytes:
    """The encrypted body, `sealed_size(len(payload))` bytes long (RFC 8291 §3.4, §4).

    `p256dh` is the receiver's 65-byte point and `auth` its 16-byte secret. The sender's key and the salt are new for
    every message; `ephemeral` (32 bytes) and `salt` (16 bytes) are for reproducing a known example only.
    Raises BadSubscription and PayloadTooLarge.
    """
    if len(payload) > MAX_PLAINTEXT:
        raise PayloadTooLarge(f"payload: at most {MAX_PLAINTEXT} bytes can be encrypted, this one has {len(payload)}")
    _check_auth(auth)
    try:
        point, shared = agree(p256dh) if ephemeral is None else agree_under(load_private(ephemeral), p256dh)
    except ValueError as error:
        raise BadSubscription("p256dh", str(error)) from error
    salt = salt or os.urandom(SALT_SIZE)
    key, nonce = _content_keys(shared, auth, salt, p256dh + point)
    return salt + _AFTER_SALT + point + AESGCM(key).encrypt(nonce, payload + _LAST_RECORD, None)


def encrypt_many(batch: Iterable[Plain]) -> list[Sealed]:
    """A body for each `(payload, p256dh, auth)`, in order; where one cannot be made, its error stands in its place.

    Keys are as for `parse_keys`. About 0.05 ms each: give a large batch to a pool of processes, threads do not help.
    """
    return [_encrypt_or_error(payload, p256dh, auth) for payload, p256dh, auth in batch]


def decrypt(body: bytes, private: bytes, auth: bytes) -> bytes:
    """The payload of a body, at the receiver: its 32-byte private key and 16-byte secret. Raises CannotDecrypt."""
    salt, record_size, sender_point, record = _split(body)
    if len(record) > record_size:
        raise CannotDecrypt("a push message has a single record (RFC 8291 §4)")
    own = load_private(private)
    try:
        shared = own.exchange(ECDH, load_public(sender_point))
        key, nonce = _content_keys(shared, auth, salt, point_of(own) + sender_point)
        padded = AESGCM(key).decrypt(nonce, record, None)
    except (ValueError, InvalidTag) as error:
        raise CannotDecrypt("not encrypted for this receiver, or changed on its way") from error
    payload = padded.rstrip(b"\x00")
    if not payload.endswith(_LAST_RECORD):
        raise CannotDecrypt("the padding does not mark a last record (RFC 8188 §2)")
    return payload[:-1]


@dataclass(frozen=True, slots=True)
class Receiver:
    """A device's own half of a subscription: what a browser keeps to itself, for the desktop agent and for fakes."""

    private: bytes = field(repr=False)
    p256dh: bytes
    auth: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> "Receiver":
        """A new one."""
        pair = KeyPair.generate()
        return cls(pair.private, pair.public, os.urandom(AUTH_SIZE))

    @classmethod
    def of(cls, private: bytes, auth: bytes) -> "Receiver":
        """The one that was kept as `private` and `auth`. Raises ValueError when the key is none."""
        return cls(private, KeyPair.of(private).public, auth)

    def keys(self) -> dict[str, str]:
        """The `keys` of `PushSubscription.toJSON()`: `p256dh` and `auth` in base64url."""
        return {"p256dh": base64url.encode(self.p256dh), "auth": base64url.encode(self.auth)}

    def decrypt(self, body: bytes) -> bytes:
        """The payload of a body. Raises CannotDecrypt."""
        return decrypt(body, self.private, self.auth)


def _encrypt_or_error(payload: bytes, p256dh: str | bytes, auth: str | bytes) -> Sealed:
    try:
        return encrypt(payload, _raw("p256dh", p256dh), _raw("auth", auth))
    except WebPushError as error:
        return error


def _content_keys(shared: bytes, auth: bytes, salt: bytes, points: bytes) -> tuple[bytes, bytes]:
    """Content-encryption key and nonce. `points` is the receiver's point, then the sender's (RFC 8291 §3.4)."""
    secret = hmac_sha256(hmac_sha256(auth, shared), _KEY_INFO + points + b"\x01")
    pseudorandom = hmac_sha256(salt, secret)
    return hmac_sha256(pseudorandom, _CEK_INFO)[:16], hmac_sha256(pseudorandom, _NONCE_INFO)[:12]


def _split(body: bytes) -> tuple[bytes, int, bytes, bytes]:
    """Salt, record size, sender's point and record of a body (RFC 8188 §2.1)."""
    if len(body) < OVERHEAD:
        raise CannotDecrypt(f"a body has at least {OVERHEAD} bytes, this one has {len(body)}")
    if body[SALT_SIZE + 4] != POINT_SIZE:
        raise CannotDecrypt(f"the key id must be the sender's point of {POINT_SIZE} bytes")
    record_size = int.from_bytes(body[SALT_SIZE : SALT_SIZE + 4], "big")
    return body[:SALT_SIZE], record_size, body[SALT_SIZE + 5 : HEADER_SIZE], body[HEADER_SIZE:]


def _raw(field: str, value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64url.decode(value)
    except ValueError as error:
        raise BadSubscription(field, "must be base64url text") from error


def _check_auth(auth: bytes) -> None:
    if len(auth) != AUTH_SIZE:
        raise BadSubscription("auth", f"must be {AUTH_SIZE} bytes in base64url, not {len(auth)}")
