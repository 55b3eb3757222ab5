"""Credentials at rest: whoever copies the database without the installation's secret learns none of them."""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clarion.crypto.derivation import derive_keys

_VERSION = b"\x01"
_NONCE_SIZE = 12
_START = len(_VERSION) + _NONCE_SIZE


class SealBroken(ValueError):
    """The blob was changed, belongs to another record, or was sealed with a secret that is no longer known."""


class Sealer:
    """Seals with the first secret, opens with all of them (AES-256-GCM).

    A blob is `01 | nonce (12) | ciphertext | tag (16)`; `context` is authenticated with it, so that a sealed record
    cannot be moved to another one.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in derive_keys(secrets, "seal")]

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """The blob to store. `context` names the record, such as `credential/7/apns/main`."""
        nonce = os.urandom(_NONCE_SIZE)
        return _VERSION + nonce + self._ciphers[0].encrypt(nonce, plaintext, context.encode())

    def open(self, blob: bytes, context: str) -> bytes:
        """The plaintext of a blob that was sealed under the same context. Raises SealBroken."""
        if blob[:1] == _VERSION:
            nonce, ciphertext = blob[1:_START], blob[_START:]
            for cipher in self._ciphers:
                try:
                    return cipher.decrypt(nonce, ciphertext, context.encode())
                except (InvalidTag, ValueError):
                    continue
        raise SealBroken(f"{context}: cannot be opened; was CLARION_SECRET_KEY replaced instead of prepended to?")
