"""The token in an unsubscribe link (RFC 8058): whoever holds the message may end this category for its receiver."""

import struct
from dataclasses import dataclass

from clarion.crypto.signing import Signer

_PURPOSE = "unsubscribe"
_HEAD = struct.Struct(">IQI")  # project, user, expiry in seconds (0: never); the category's name follows


class UnsubscribeForged(ValueError):
    """The token is not one that we made."""


class UnsubscribeExpired(ValueError):
    """The token was ours, but its time is over."""


@dataclass(frozen=True, slots=True)
class UnsubscribeClaim:
    """What a token proves: internal keys and the category's name."""

    project: int
    user: int
    category: str


class UnsubscribeTokens:
    """Makes and reads unsubscribe tokens. Without an expiry a link works as long as a secret of its time is known."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def make(self, project: int, user: int, category: str, expires_at_ms: int | None = None) -> str:
        """One token. Raises ValueError when a key is negative or too large."""
        expires_s = 0 if expires_at_ms is None else -(-expires_at_ms // 1000)
        try:
            head = _HEAD.pack(project, user, expires_s)
        except struct.error as error:
            raise ValueError("unsubscribe: project and expiry need 32 bits, user 64, none is negative") from error
        return self._signer.sign(_PURPOSE, head + category.encode())

    def read(self, token: str, now_ms: int) -> UnsubscribeClaim:
        """What the token proves. Raises UnsubscribeForged and UnsubscribeExpired."""
        payload = self._signer.verify(_PURPOSE, token)
        if payload is None:
            raise UnsubscribeForged("unsubscribe link: not one that this server made")
        project, user, expires_s = _HEAD.unpack_from(payload)
        if expires_s and expires_s * 1000 <= now_ms:
            raise UnsubscribeExpired("unsubscribe link: its time is over")
        return UnsubscribeClaim(project, user, payload[_HEAD.size :].decode())
