"""The token in a link to a preference page: whoever holds it may see and change what one person gets, for a while."""

import struct
from dataclasses import dataclass

from clarion.crypto.signing import Signer

_PURPOSE = "preferences"
_FORM = struct.Struct(">IQI")  # project, user, expiry in seconds


class PreferencesForged(ValueError):
    """The token is not one that we made."""


class PreferencesExpired(ValueError):
    """The token was ours, but its time is over."""


@dataclass(frozen=True, slots=True)
class PreferencesClaim:
    """What a token proves: internal keys."""

    project: int
    user: int


class PreferencesTokens:
    """Makes and reads the tokens. Each ends: it opens more than the link in one message does."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def make(self, project: int, user: int, expires_at_ms: int) -> str:
        """One token. Raises ValueError when a number is negative or too large."""
        try:
            payload = _FORM.pack(project, user, -(-expires_at_ms // 1000))
        except struct.error as error:
            raise ValueError("preferences: project and expiry need 32 bits, user 64, none is negative") from error
        return self._signer.sign(_PURPOSE, payload)

    def read(self, token: str, now_ms: int) -> PreferencesClaim:
        """What the token proves. Raises PreferencesForged and PreferencesExpired."""
        payload = self._signer.verify(_PURPOSE, token)
        if payload is None:
            raise PreferencesForged("preference link: not one that this server made")
        project, user, expires_s = _FORM.unpack(payload)
        if expires_s * 1000 <= now_ms:
            raise PreferencesExpired("preference link: its time is over")
        return PreferencesClaim(project, user)
