"""The way of an accepted message: into the store, then to the device's socket, on this node or through the Bus.

Every message with a TTL is on disk before anything else happens to it, so that no crash between the answer to the
sender and the device's ack can lose it. A poke over the Bus carries no message: the node that gets it reads the store.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import structlog

from clarion.errors import Unavailable
from clarion.gateway import metrics
from clarion.gateway.node import Node
from clarion.gateway.session import NOT_DIRECT
from clarion.model import Key
from clarion.ports import Bus, PushMessage

log = structlog.get_logger(__name__)

_LOOKS_AT_ONCE, _LOOKS_PAUSE_S = 500, 0.05
_POKES_A_PAYLOAD = 100  # a Bus may carry as little as 8,000 bytes at once


class Envelope(NamedTuple):
    """A message for a device. `instant`: its TTL is 0, it is never stored. `node`: who held the socket when read."""

    uaid: bytes
    message: PushMessage
    instant: bool
    node: str | None


class Stored(NamedTuple):
    """On disk. `key` is None when its `source` was accepted before."""

    key: Key | None


class Instant(NamedTuple):
    """Not on disk, as asked for; handed to the device or not."""


class NotStored(NamedTuple):
    """The store failed: the sender must try again."""

    retry_after: int | None


Outcome: TypeAlias = Stored | Instant | NotStored


class Poke(msgspec.Struct, frozen=True, tag="poke"):
    """To another node: messages wait in the store for these devices."""

    uaids: list[bytes]


class Forward(msgspec.Struct, frozen=True, tag="forward"):
    """To another node: an instant message, which the store does not have."""

    uaid: bytes
    message: PushMessage


_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Poke | Forward] = msgspec.msgpack.Decoder(Poke | Forward)


def topic_of(node_id: str) -> str:
    """The Bus topic that a node listens to."""
    return f"push.{node_id}"


class Router:
    """Batches of accepted messages in, outcomes in the same order out."""

    def __init__(self, node: Node, bus: Bus) -> None:
        self._node = node
        self._bus = bus

    async def accept(self, batch: Sequence[Envelope]) -> list[Outcome]:
        """Never raises: what the store refuses is `NotStored`."""
        stored = iter(await self._store([each for each in batch if not each.instant]))
        outcomes = [Instant() if each.instant else next(stored) for each in batch]
        await self._forward([each for each in batch if each.instant and not self._deliver_instant(each)])
        return outcomes

    async def _store(self, batch: Sequence[Envelope]) -> list[Outcome]:
        if not batch:
            return []
        registry = self._node.registry
        sessions = [registry.get(each.uaid) for each in batch]
        tickets = [session.ticket() if session else NOT_DIRECT for session in sessions]
        try:
            keys = await self._node.store.add([each.message for each in batch], self._node.clock.now())
        except Exception as error:  # noqa: BLE001 - a driver's own error is no less a failure to store
            return self._not_stored(error, len(batch))
        metrics.STORED.inc(len(keys) - keys.count(None))
        absent = []
        for each, session, ticket, key in zip(batch, sessions, tickets, keys, strict=True):
            present = registry.get(each.uaid)
            if present is None:
                absent.append(each)
            elif key is None or present is not session:
                present.poke()
            else:
                present.deliver(key, each.message, ticket)
        await self._poke(absent)
        return [Stored(key) for key in keys]

    def _not_stored(self, error: Exception, count: int) -> list[Outcome]:
        expected = isinstance(error, Unavailable)
        log.error("messages_not_stored", count=count, error=repr(error), exc_info=None if expected else error)
        return [NotStored(error.retry_after if isinstance(error, Unavailable) else None)] * count

    def _deliver_instant(self, envelope: Envelope) -> bool:
        session = self._node.registry.get(envelope.uaid)
        return session is not None and session.deliver_instant(envelope.message)

    # --- other nodes ---

    async def _poke(self, absent: Sequence[Envelope]) -> None:
        """Tell the nodes that hold these devices now.

        Read again after the store has the messages: a device that connected in between has either read them itself, or
        its node stands in its row by now.
        """
        names = {each.uaid: (each.uaid.hex(), each.message.channel_id) for each in absent}
        if not names:
            return
        by_node: defaultdict[str, list[bytes]] = defaultdict(list)
        try:
            channels = await self._node.store.channels(list(names.values()))
        except Exception as error:  # noqa: BLE001 - the messages are stored: the devices get them when they come back
            log.warning("nodes_not_read", error=repr(error))
            return
        for uaid, channel in zip(names, channels, strict=True):
            if channel is None or channel.node is None:
                continue
            session = self._node.registry.get(uaid)
            if session is not None:
                session.poke()
            elif channel.node != self._node.id:
                by_node[channel.node].append(uaid)
        for node, uaids in by_node.items():
            for start in range(0, len(uaids), _POKES_A_PAYLOAD):
                await self._publish(node, Poke(uaids[start : start + _POKES_A_PAYLOAD]))

    async def _forward(self, missed: Sequence[Envelope]) -> None:
        for each in missed:
            if each.node is not None and each.node != self._node.id:
                await self._publish(each.node, Forward(each.uaid, each.message))
            else:
                metrics.MISSED.inc()

    async def _publish(self, node: str, note: Poke | Forward) -> None:
        try:
            await self._bus.publish(topic_of(node), _encode(note))
        except Exception as error:  # noqa: BLE001 - the Bus may lose what it carries, so it may also fail
            log.warning("node_not_told", node=node, error=repr(error))

    async def _poke_all(self) -> None:
        # Each looks into the store: not all of a hundred thousand in one turn of the loop.
        for count, connected in enumerate(list(self._node.registry), 1):
            connected.poke()
            if count % _LOOKS_AT_ONCE == 0:
                await asyncio.sleep(_LOOKS_PAUSE_S)

    async def on_bus(self, payload: bytes) -> None:
        """What another node tells this one; nothing at all means that something may have been missed."""
        if not payload:
            await self._poke_all()
            return
        try:
            note = _decoder.decode(payload)
        except msgspec.DecodeError as error:
            log.warning("bus_payload_unreadable", error=str(error))
            return
        registry = self._node.registry
        if isinstance(note, Forward):
            session = registry.get(note.uaid)
            if session is None or not session.deliver_instant(note.message):
                metrics.MISSED.inc()
            return
        for uaid in note.uaids:
            session = registry.get(uaid)
            if session is not None:
                session.poke()
