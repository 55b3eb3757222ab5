"""What a device receives: the JSON that the service worker and the agents show, and how long any payload may be."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from clarion.model import Action, DeviceKind

ENCRYPTION_OVERHEAD = 103
"""RFC 8188's header takes 86 bytes, padding and tag 17 (RFC 8291)."""

MAX_PAYLOAD: dict[DeviceKind, int] = {
    # RFC 8030 section 7.2 guarantees 4,096 bytes, encrypted.
    DeviceKind.WEBPUSH: 4_096 - ENCRYPTION_OVERHEAD,
    DeviceKind.APNS: 4_096,
    DeviceKind.FCM: 4_096,
}
"""Bytes by kind, before encryption. FCM counts data and notification only."""
MAX_VOIP_PAYLOAD = 5_120


class WebPayload(msgspec.Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """Version 1 of the payload. `id` is the delivery's id in hex; `tag` replaces an older one on the screen."""

    v: int = 1
    id: str
    receipt: str
    receipts_url: str
    title: str
    body: str
    url: str | None
    icon: str | None
    image: str | None
    badge: str | None
    tag: str
    vibrate: list[int]
    silent: bool
    sound: str | UnsetType = UNSET
    """A sound by its name, where the system has such; left out for the usual one, and when silent."""
    urgency: str | UnsetType = UNSET
    """Left out when normal."""
    require_interaction: bool
    actions: list[Action]
    lock_screen: str
    data: dict[str, Any]
    category: str
    class_: str
    update: str | UnsetType = UNSET
    """`replace` or `withdraw`: what it does to what is shown under its tag."""
    renotify: bool | UnsetType = UNSET
    """Of one that replaces: whether it makes a sound again."""
