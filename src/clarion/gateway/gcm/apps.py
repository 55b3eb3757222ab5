"""A subscription as Chromium knows it, and the addresses that Chromium gives to senders for it."""

import hashlib
from typing import Self
from uuid import UUID

import msgspec

ORIGINS = ("https://jmt17.google.com", "https://fcm.googleapis.com")
"""Where Chromium says that its subscriptions live, whatever service it is connected to."""
SEND_PATH = "/fcm/send/"


class App(msgspec.Struct, frozen=True, array_like=True):
    """What a registration names and each message must say again: category, subtype (`wp:…#…`), VAPID key as text."""

    category: str
    subtype: str
    sender: str

    @property
    def channel_id(self) -> str:
        """The same for the same app: registering again keeps the channel, and removing it needs no sender."""
        named = msgspec.json.encode([self.category, self.subtype])
        return str(UUID(bytes=hashlib.sha256(named).digest()[:16]))

    def stored(self) -> str:
        """As text for the channel's row."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def of(cls, stored: str) -> Self:
        """From the channel's row."""
        return msgspec.json.decode(stored, type=cls)


def path_at_google(url: str) -> str | None:
    """The path of an address that Chromium gives out; None for any other."""
    for origin in ORIGINS:
        if url.startswith(origin + SEND_PATH):
            return url.removeprefix(origin)
    return None
