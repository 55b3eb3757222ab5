"""The token in a push endpoint's URL: it names a device and channel to us, and nothing to anyone else.

AES-SIV (RFC 5297) makes it deterministic, so that one subscription keeps one address, and authenticated, so that a
made-up address is refused before any look-up. Without the secret neither the 128-bit synthetic IV nor the ciphertext of
the two UUIDs can be predicted.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from clarion.crypto import base64url
from clarion.crypto.derivation import derive_keys

_ID_SIZE = 16


class Endpoint(NamedTuple):
    """A device (`uaid`) and channel (`chid`), 16 bytes each; the hash of the VAPID key that alone may send, if any."""

    uaid: bytes
    chid: bytes
    vapid_hash: bytes | None


def vapid_hash(public: bytes) -> bytes:
    """SHA-256 of a VAPID public key (65-byte point), as a v2 token carries it. Compare with `hmac.compare_digest`."""
    return hashlib.sha256(public).digest()


class EndpointTokens:
    """Makes tokens with the first secret and reads those of all, so that a rotation kills no endpoint.

    After a rotation the same subscription gets a new token; the old one goes on working.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._ciphers = [AESSIV(key) for key in derive_keys(secrets, "endpoint", 64)]

    def make_v1(self, uaid: bytes, chid: bytes) -> str:
        """A token for any sender, 64 characters."""
        return self._make("v1", uaid, chid, b"")

    def make_v2(self, uaid: bytes, chid: bytes, vapid_public: bytes) -> str:
        """A token for the sender who holds this VAPID key (65-byte point), 107 characters."""
        return self._make("v2", uaid, chid, vapid_hash(vapid_public))

    def make_gcm(self, uaid: bytes, chid: bytes, vapid_public: bytes) -> str:
        """`make_v2` for a channel of a Chromium, whose address has another form."""
        return self._make("gcm", uaid, chid, vapid_hash(vapid_public))

    def read(self, version: str, token: str) -> Endpoint | None:
        """What a token names, or None when we did not make it for this version. Never raises."""
        try:
            sealed = base64url.decode_exact(token)
        except ValueError:
            return None
        for cipher in self._ciphers:
            try:
                named = cipher.decrypt(sealed, [version.encode()])
            except InvalidTag:
                continue
            return Endpoint(named[:_ID_SIZE], named[_ID_SIZE : 2 * _ID_SIZE], named[2 * _ID_SIZE :] or None)
        return None

    def _make(self, version: str, uaid: bytes, chid: bytes, bound_to: bytes) -> str:
        if len(uaid) != _ID_SIZE or len(chid) != _ID_SIZE:
            raise ValueError(f"uaid and chid: {_ID_SIZE} bytes each")
        return base64url.encode(self._ciphers[0].encrypt(uaid + chid + bound_to, [version.encode()]))
