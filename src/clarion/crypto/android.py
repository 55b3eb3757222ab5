"""The names that Chromium browsers get when they check in: a number and its proof, so that nothing need be stored."""

import hashlib
import hmac
import secrets as random
from collections.abc import Sequence
from typing import NamedTuple

from clarion.crypto.derivation import derive_keys

_SIZE = 8
_UAID_SIZE = 16


class AndroidId(NamedTuple):
    """`id` and `token` have 64 bits each. The token is a secret between the browser and us."""

    id: int
    token: int

    def uaid(self) -> bytes:
        """The device's name in our push service, 16 bytes: as hard to guess as the token, and kept over rotations."""
        named = self.id.to_bytes(_SIZE) + self.token.to_bytes(_SIZE)
        return hashlib.sha256(b"clarion android " + named).digest()[:_UAID_SIZE]


class AndroidIds:
    """Makes ids with the first secret and proves those of all."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = derive_keys(secrets, "android id")

    def new(self) -> AndroidId:
        """An id that nobody has. Neither half is 0, which Chromium takes for none."""
        while True:
            id = random.randbits(63)
            token = _token(self._keys[0], id)
            if id and token:
                return AndroidId(id, token)

    def prove(self, id: int, token: int) -> AndroidId | None:
        """The id, or None when we did not make it with this token. Takes any numbers; never raises."""
        if not (0 < id < 1 << 64 and 0 < token < 1 << 64):
            return None
        given = token.to_bytes(_SIZE)
        proven = [hmac.compare_digest(_token(key, id).to_bytes(_SIZE), given) for key in self._keys]
        return AndroidId(id, token) if any(proven) else None


def _token(key: bytes, id: int) -> int:
    return int.from_bytes(hmac.digest(key, id.to_bytes(_SIZE), "sha256")[:_SIZE])
