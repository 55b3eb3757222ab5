"""Short texts that only we can have written: a payload and its HMAC, bound to one purpose."""

import hmac
from collections.abc import Callable, Sequence

from clarion.crypto import base64url
from clarion.crypto.derivation import derive_keys
from clarion.crypto.hmac_sha256 import hmac_sha256_under

TAG_SIZE = 16


class Signer:
    """Signs with the first secret and verifies with all of them, so that a rotation kills no token.

    A token made for one purpose is worthless for another. Purposes are a few fixed words of the code, never input.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._roots = derive_keys(secrets, "sign")
        self._macs: dict[str, tuple[Callable[[bytes], bytes], ...]] = {}

    def sign(self, purpose: str, payload: bytes) -> str:
        """Base64url of the payload and the first 16 bytes of its HMAC-SHA256. The payload is readable by anyone."""
        return self.signer_for(purpose)(payload)

    def signer_for(self, purpose: str) -> Callable[[bytes], str]:
        """`sign` with the purpose bound, for batches."""
        mac, encode = self._for_purpose(purpose)[0], base64url.encode
        return lambda payload: encode(payload + mac(payload)[:TAG_SIZE])

    def verify(self, purpose: str, token: str) -> bytes | None:
        """The payload, or None for anything that we did not sign for this purpose. Never raises."""
        try:
            signed = base64url.decode_exact(token)
        except ValueError:
            return None
        payload, tag = signed[:-TAG_SIZE], signed[-TAG_SIZE:]
        for mac in self._for_purpose(purpose):
            if hmac.compare_digest(mac(payload)[:TAG_SIZE], tag):
                return payload
        return None

    def _for_purpose(self, purpose: str) -> tuple[Callable[[bytes], bytes], ...]:
        macs = self._macs.get(purpose)
        if macs is None:
            keys = [hmac.digest(root, purpose.encode(), "sha256") for root in self._roots]
            macs = self._macs[purpose] = tuple(map(hmac_sha256_under, keys))
        return macs
