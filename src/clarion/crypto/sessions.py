"""What the browser of a signed-in person holds: which key they signed in with, and never the key itself."""

import struct
from dataclasses import dataclass

from clarion.crypto import base64url
from clarion.crypto.signing import Signer

_SESSION = "dashboard session"
_FORM = "dashboard form"
_PARTS = struct.Struct(">IQI16s")  # project, key, expiry in seconds, salt
SALT_SIZE = 16


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie proves: internal keys. `salt` ties the forms of this session to it."""

    project: int
    key: int
    expires_at_ms: int
    salt: bytes


class SessionTokens:
    """Makes and reads the cookie of a session, and the token in its forms."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def make(self, session: Session) -> str:
        """The cookie's value; times are kept to the second."""
        packed = _PARTS.pack(session.project, session.key, session.expires_at_ms // 1000, session.salt)
        return self._signer.sign(_SESSION, packed)

    def read(self, token: str, now_ms: int) -> Session | None:
        """The session, or None for what is forged, of another server, or over. Never raises."""
        packed = self._signer.verify(_SESSION, token)
        if packed is None:
            return None
        project, key, expires_s, salt = _PARTS.unpack(packed)
        return Session(project, key, expires_s * 1000, salt) if expires_s * 1000 > now_ms else None

    def form_token(self, salt: bytes) -> str:
        """What a form carries, so that no page of another site can send it."""
        return self._signer.sign(_FORM, salt)

    def is_form_token(self, token: str, salt: bytes) -> bool:
        """Whether a form belongs to who holds the salt."""
        return self._signer.verify(_FORM, token) == salt

    @staticmethod
    def salt_text(salt: bytes) -> str:
        """A salt as a cookie holds it before anybody has signed in."""
        return base64url.encode(salt)

    @staticmethod
    def salt_of(text: str) -> bytes | None:
        """Its reverse; None for anything else."""
        try:
            salt = base64url.decode_exact(text)
        except ValueError:
            return None
        return salt if len(salt) == SALT_SIZE else None
