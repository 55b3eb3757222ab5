"""Our own push service: its rows, which belong to devices and not to projects, and what others may ask of it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from clarion.model import Key, Millis, Urgency


class PushChannel(msgspec.Struct, frozen=True):
    """A subscription of a push-service device. `device` is its row, `node` the gateway node that holds its socket.

    `app` is what a browser that speaks GCM calls it.
    """

    key: Key
    device: Key
    channel_id: str
    vapid: str | None
    node: str | None
    app: str | None = None


class PushMessage(msgspec.Struct, frozen=True):
    """An encrypted message for a channel. `source` makes accepting it again a no-op: our own sender's delivery id.

    `key` is None until stored, then unique for ever: the wire's `version` comes from it, topic replacements included.
    `app` is the channel's.
    """

    channel: Key
    device: Key
    channel_id: str
    data: bytes
    headers: dict[str, str]  # encoding, encryption, crypto_key
    expires_at: Millis
    topic: str | None = None
    urgency: str = "normal"
    source: bytes | None = None
    sent_at: Millis = 0
    key: Key | None = None
    app: str | None = None


class PushStore(Protocol):
    """Devices, channels and stored messages of our push service."""

    async def hello(self, uaid: str, node: str, now: Millis) -> Key | None:
        """The device's key when the uaid is known; notes the node that holds it now."""
        ...

    async def enrol(self, uaid: str, node: str, now: Millis) -> Key:
        """`hello` of a device that is one, known or not: it gets a row."""
        ...

    async def gone(self, device: Key, node: str) -> None:
        """The socket closed; only if `node` still holds it."""
        ...

    async def register(
        self, uaid: str, channel_id: str, vapid: str | None, node: str | None, now: Millis, app: str | None = None
    ) -> Key:
        """Add the channel, and the device at its first one; returns the device's key. Idempotent.

        `node`: None when this says nothing about who holds the socket.
        """
        ...

    async def unregister(self, device: Key, channel_id: str) -> bool: ...
    async def forget(self, device: Key) -> None:
        """The device with all its channels and messages."""
        ...

    async def channels(self, pairs: Sequence[tuple[str, str]]) -> list[PushChannel | None]:
        """By (uaid, channel id), in order."""
        ...

    async def known_devices(self, uaids: Sequence[str]) -> set[str]:
        """Which uaids exist: to tell 105 (user gone) from 106 (channel gone)."""
        ...

    async def add(self, messages: Sequence[PushMessage], now: Millis) -> list[Key | None]:
        """Durable before it returns; keys in order. None: its `source` was accepted before.

        A message replaces a waiting one of the same channel and topic. Concurrent calls share a commit.
        """
        ...

    async def waiting(
        self, device: Key, after: Key, limit: int, now: Millis, least: Urgency = Urgency.VERY_LOW
    ) -> list[PushMessage]:
        """Unexpired, unacknowledged and at least so urgent: topic messages first, then by key; keys beyond `after`."""
        ...

    async def acknowledge(self, own: Sequence[tuple[Key, Key]]) -> None:
        """Delete messages, each named by its device and its key: no device can speak for another.

        Those with a `source` leave it behind until they would have expired, so that it counts once.
        """
        ...

    async def delete(self, key: Key, channel: Key) -> bool: ...
    async def sweep(self, now: Millis) -> int:
        """Remove what has expired, and nodes that ended without a word; how many messages."""
        ...

    async def beat(self, node: str, now: Millis) -> None:
        """This node lives: what the store says of the devices that it holds is true."""
        ...

    async def ended(self, node: str) -> None:
        """This node holds no devices any more."""
        ...

    async def connected(self, uaids: Sequence[str], since: Millis) -> set[str]:
        """Those whose socket is held by a node that gave a sign of life at `since` or later."""
        ...

    async def set_broadcast(self, id: str, version: str, now: Millis) -> None: ...
    async def broadcasts(self) -> dict[str, str]:
        """Version by id, of all."""
        ...


class PushService(Protocol):
    """Our own push service, as others in the house see it. Every process may ask, whoever holds the sockets."""

    async def presence(self, addresses: Sequence[str | None]) -> list[bool | None]:
        """Whether the device behind each Web Push address is connected now; None when it is not one of ours."""
        ...

    async def broadcasts(self) -> dict[str, str]:
        """Version by id, of all."""
        ...

    async def set_broadcast(self, id: str, version: str) -> None:
        """Durable when it returns; every device that asked for it is told."""
        ...
