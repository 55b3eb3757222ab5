"""A device that has said who it is: its commands, its acks, and its messages, direct or drained from the store.

A drain sends what waits in the store: ten at a time, the next ten when all are acknowledged, until a read finds fewer.
Then messages are sent directly as they come. So none is sent twice on a connection, or before an older one.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import uuid4

import structlog

from clarion.crypto import base64url
from clarion.crypto.p256 import load_public
from clarion.errors import Unavailable
from clarion.gateway import metrics
from clarion.gateway.node import Node
from clarion.model import Key, Urgency
from clarion.ports import PushMessage
from clarion.wire.autopush import (
    DRAIN_BATCH,
    MIN_PING_INTERVAL_MS,
    Ack,
    Broadcast,
    Broadcasts,
    BroadcastSubscribe,
    ClientMessage,
    CloseCode,
    Hello,
    MinUrgency,
    Nack,
    Notification,
    Ping,
    Pong,
    Register,
    Registered,
    ServerMessage,
    Unregister,
    Unregistered,
    Update,
    UrgencySet,
    is_channel_id,
)

log = structlog.get_logger(__name__)

_MAX_OUTSTANDING = 100
"""Messages sent and not acknowledged; past that they wait in the store."""
_MAX_VERSION_DIGITS = 18  # a key fits in 63 bits
_OK, _BAD_KEY, _FAILED = 200, 400, 500
_PONG = Pong()


class Outlet(Protocol):
    """The socket, as a session sees it. What is sent after `close` is dropped."""

    def send(self, message: ServerMessage) -> None: ...
    def push(self, message: PushMessage, key: Key | None) -> None:
        """Send a push message; `key` when it is stored, and to be acknowledged."""
        ...

    def close(self, code: CloseCode, reason: str) -> None: ...
    def has_room(self) -> bool:
        """False while the device reads too slowly: what can wait in the store must wait there."""
        ...


class Disconnect(Exception):
    """Not an error: how a state says that the socket is to be closed, with words for the device's log."""

    def __init__(self, code: CloseCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Identified:
    """`device` is None until the first register: a browser without subscriptions has no row."""

    __slots__ = (
        "_allowance",
        "_broadcasts",
        "_device",
        "_draining",
        "_least",
        "_node",
        "_outlet",
        "_outstanding",
        "_pinged_at",
        "_uaid",
        "epoch",
    )

    def __init__(
        self,
        node: Node,
        outlet: Outlet,
        uaid: bytes,
        device: Key | None,
        broadcasts: Mapping[str, str],
        limit: int | None,
    ) -> None:
        """`limit`: how many messages may have waited for it; None where it could not come back as another device."""
        self._node = node
        self._outlet = outlet
        self._uaid = uaid
        self._device = device
        self._outstanding: set[Key] | None = None  # sent on this connection, stored, not acknowledged
        self._draining = device is not None
        self._allowance = limit if device is not None else None  # left of what waited when it connected
        self._pinged_at: int | None = None
        self._broadcasts = node.broadcasts.followed(broadcasts) if broadcasts else None
        self._least = Urgency.VERY_LOW  # what is less urgent waits in the store
        self.epoch = 0  # drains begun

    @property
    def direct(self) -> bool:
        """No drain is under way."""
        return not self._draining

    @property
    def settled(self) -> bool:
        """Whether all acks are in the store."""
        return self._device is None or self._node.acks.written(self._device)

    # --- what the device says ---

    def on(self, message: ClientMessage) -> bool:
        """Handle what needs no store; True when the next batch is due. Raises Disconnect."""
        match message:
            case Ack():
                return self._acknowledged(message.updates)
            case Ping():
                self._ping()
            case Nack():
                metrics.nacked(message.code)
            case BroadcastSubscribe():
                self._follow(message.broadcasts)
            case MinUrgency():
                return self._only(message.min)
            case Hello():
                raise Disconnect(CloseCode.ERROR, "hello was said before")
        return False

    async def command(self, message: Register | Unregister) -> None:
        """Handle and answer what the store must do. Raises Disconnect for a malformed channelID.

        The answer says too that what was acknowledged before is written: no crash brings it again.
        """
        if not is_channel_id(message.channel_id):
            raise Disconnect(CloseCode.ERROR, "channelID: must be a UUID in lowercase with dashes")
        if self._device is not None:
            await self._node.acks.settle(self._device)
        if isinstance(message, Register):
            status, endpoint = await self._register(message)
            self._outlet.send(Registered(channel_id=message.channel_id, status=status, push_endpoint=endpoint))
        else:
            status = await self._unregister(message.channel_id)
            self._outlet.send(Unregistered(channel_id=message.channel_id, status=status))
        metrics.REGISTRATIONS.labels(type(message).__name__.lower(), status).inc()

    async def _register(self, message: Register) -> tuple[int, str]:
        """Status and endpoint."""
        node, channel_id = self._node, message.channel_id
        try:
            point = None if message.key is None else _vapid_point(message.key)
        except ValueError:
            return _BAD_KEY, ""
        try:
            key = base64url.encode(point) if point else None
            self._device = await node.store.register(self._uaid.hex(), channel_id, key, node.id, node.clock.now())
        except Unavailable as error:
            log.warning("register_failed", error=error.detail)
            return _FAILED, ""
        chid = bytes.fromhex(channel_id.replace("-", ""))
        if point is None:
            return _OK, f"{node.origin}/wpush/v1/{node.tokens.make_v1(self._uaid, chid)}"
        return _OK, f"{node.origin}/wpush/v2/{node.tokens.make_v2(self._uaid, chid, point)}"

    async def _unregister(self, channel_id: str) -> int:
        """Status. A channel that is not there is as good as removed."""
        try:
            if self._device is not None:
                await self._node.store.unregister(self._device, channel_id)
        except Unavailable as error:
            log.warning("unregister_failed", error=error.detail)
            return _FAILED
        return _OK

    def _acknowledged(self, updates: Sequence[Update]) -> bool:
        keys = []
        for update in updates:
            metrics.acked(update.code)
            key = _key_of(update.version)
            if key is not None:
                keys.append(key)
        if self._device is not None and keys:
            self._node.acks.add(self._device, keys)
        if self._outstanding is not None:
            self._outstanding.difference_update(keys)
            self._outstanding = self._outstanding or None
        return self._draining and self._outstanding is None

    def _ping(self) -> None:
        now = self._node.clock.now()
        if self._pinged_at is not None and 0 <= now - self._pinged_at < MIN_PING_INTERVAL_MS:
            raise Disconnect(CloseCode.ERROR, "ping: at most one in 45 s")
        self._pinged_at = now
        self._outlet.send(_PONG)

    def _follow(self, wanted: Mapping[str, str]) -> None:
        broadcasts = self._node.broadcasts
        self._broadcasts = broadcasts.followed({**dict.fromkeys(self._broadcasts or (), ""), **wanted})
        news = broadcasts.answer(wanted)
        if news:
            self._outlet.send(Broadcast(broadcasts=news))

    def announce(self, changed: Mapping[str, str]) -> None:
        """Tell the device which of the broadcasts that it follows have another version."""
        if self._broadcasts and not changed.keys().isdisjoint(self._broadcasts):
            news: Broadcasts = {id: changed[id] for id in self._broadcasts if id in changed}
            self._outlet.send(Broadcast(broadcasts=news))

    def _only(self, least: Urgency) -> bool:
        """Hold back what is less urgent; True when something that waited may now be due."""
        before, self._least = self._least, least
        self._outlet.send(UrgencySet())
        return least is not before and before in least.and_above

    # --- its messages ---

    async def drain(self) -> None:
        """Send the next batch from the store, unless one is still to be acknowledged.

        Raises Disconnect when more waited for the device than the limit: it is forgotten, and comes back as a new one.
        """
        if self._device is None or (self._draining and self._outstanding):
            return
        if not self._draining:
            self._draining = True
            self.epoch += 1
        if not self._takes_more():
            return
        allowed = DRAIN_BATCH if self._allowance is None else min(DRAIN_BATCH, self._allowance)
        batch = await self._unsent(self._device, max(allowed, 1))
        if batch and not allowed:
            await self._reset(self._device)
        for key, message in batch:
            self._send(key, message)
        metrics.DELIVERED_DRAINED.inc(len(batch))
        if self._allowance is not None:
            self._allowance -= len(batch)
        if len(batch) < max(allowed, 1):
            self._draining, self._allowance = False, None

    def _wants(self, message: PushMessage) -> bool:
        return self._least is Urgency.VERY_LOW or message.urgency in self._least.and_above

    def _takes_more(self) -> bool:
        """Whether the device keeps up; if not, its acks or the room in its socket bring us back."""
        return self._outlet.has_room() and len(self._outstanding or ()) < _MAX_OUTSTANDING

    async def _unsent(self, device: Key, limit: int) -> list[tuple[Key, PushMessage]]:
        """What waits and was not sent on this connection; acks that are on their way count."""
        node = self._node
        await node.acks.settle(device)
        if not node.acks.written(device):
            # The store would give it again what it has acknowledged. It comes back, and a Chromium names it once more.
            raise Unavailable("acknowledgements could not be written")
        least = None
        while least is not self._least:  # else what it has just said it does not want would be sent after the answer
            least = self._least
            # As of now: what is acknowledged during the read may be in its answer.
            sent = frozenset(self._outstanding or ())
            waiting = await node.store.waiting(device, 0, limit + len(sent), node.clock.now(), least)
        new = [(each.key, each) for each in waiting if each.key is not None and each.key not in sent]
        return new[:limit]

    async def _reset(self, device: Key) -> None:
        metrics.RESETS.inc()
        self._device = None
        await self._node.store.forget(device)
        raise Disconnect(CloseCode.UAID_RESET, "too many messages were waiting")

    def push(self, key: Key, message: PushMessage, ticket: int) -> bool:
        """Send a stored message now; False when it must be read from the store in its turn."""
        if ticket != self.epoch or not self._takes_more():
            return False
        if not self._wants(message):
            return True  # in the store, until the device asks for it
        self._send(key, message)
        metrics.DELIVERED_DIRECT.inc()
        return True

    def push_instant(self, message: PushMessage) -> bool:
        """Send a message that is not stored, unless the device reads too slowly or wants only what is more urgent."""
        if not self._outlet.has_room() or not self._wants(message):
            return False
        self._outlet.push(message, None)
        metrics.DELIVERED_INSTANT.inc()
        return True

    def _send(self, key: Key, message: PushMessage) -> None:
        if self._outstanding is None:
            self._outstanding = set()
        self._outstanding.add(key)
        self._outlet.push(message, key)

    async def leave(self) -> None:
        """Note that this node holds the device no more."""
        if self._device is not None:
            # First its acks: what gets lost of them must not be held against the next connection.
            await self._node.acks.settle(self._device)
            self._node.acks.forgive(self._device)
            await self._node.store.gone(self._device, self._node.id)


def notification(message: PushMessage, key: Key | None) -> Notification:
    """A message as autopush tells it. The version of one that is not stored is nobody's key."""
    version = uuid4().hex if key is None else str(key)
    if not message.data:
        return Notification(channel_id=message.channel_id, version=version)
    data = base64url.encode(message.data)
    return Notification(channel_id=message.channel_id, version=version, data=data, headers=message.headers)


def _key_of(version: str) -> Key | None:
    """The store's key in a version; None for an instant message's, or for what we never sent."""
    ours = version.isascii() and version.isdecimal() and len(version) <= _MAX_VERSION_DIGITS
    return int(version) if ours else None


def _vapid_point(text: str) -> bytes:
    """A VAPID public key, 65 bytes. Firefox pads its base64url. Raises ValueError."""
    point = base64url.decode(text)
    load_public(point)
    return point
