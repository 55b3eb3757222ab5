"""The token that a notification carries and its receipt brings back: who may say "displayed", and until when."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from clarion.crypto.signing import Signer

_PURPOSE = "receipt"
# What a whole notification shares comes first, so that a batch packs it once. With the tag, 48 bytes: 64 characters.
_SHARED = struct.Struct(">IQI")  # project, notification, expiry in seconds
_OWN = struct.Struct(">QQ")  # user, device
_ALL = struct.Struct(">IQIQQ")


class ReceiptForged(ValueError):
    """The token is not one that we made."""


class ReceiptExpired(ValueError):
    """The token was ours, but its time is over."""


@dataclass(frozen=True, slots=True)
class ReceiptClaim:
    """What a token proves: internal keys, and its end in milliseconds since the epoch."""

    project: int
    notification: int
    user: int
    device: int
    expires_at: int


class ReceiptTokens:
    """Makes and reads receipt tokens. Expiry is kept in whole seconds, rounded up."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._sign = signer.signer_for(_PURPOSE)

    def make(self, project: int, notification: int, user: int, device: int, expires_at_ms: int) -> str:
        """One token, 64 characters. Raises ValueError when a key is negative or too large."""
        return self.for_notification(project, notification, expires_at_ms)(user, device)

    def for_notification(self, project: int, notification: int, expires_at_ms: int) -> Callable[[int, int], str]:
        """`make` with everything bound that a batch shares: call it with user and device. Raises ValueError."""
        try:
            shared = _SHARED.pack(project, notification, -(-expires_at_ms // 1000))
        except struct.error as error:
            raise ValueError("receipt: project and expiry need 32 bits, notification 64, none is negative") from error
        sign, pack = self._sign, _OWN.pack

        def make(user: int, device: int) -> str:
            try:
                return sign(shared + pack(user, device))
            except struct.error as error:
                raise ValueError("receipt: user and device need 64 bits, none is negative") from error

        return make

    def read(self, token: str, now_ms: int) -> ReceiptClaim:
        """What the token proves. Raises ReceiptForged and ReceiptExpired."""
        payload = self._signer.verify(_PURPOSE, token)
        if payload is None or len(payload) != _ALL.size:
            raise ReceiptForged("receipt: not a token that this server made")
        project, notification, expires_s, user, device = _ALL.unpack(payload)
        if expires_s * 1000 <= now_ms:
            raise ReceiptExpired("receipt: its time is over")
        return ReceiptClaim(project, notification, user, device, expires_s * 1000)
