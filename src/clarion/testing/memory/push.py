"""Devices, channels and waiting messages of our push service, in memory."""

from collections.abc import Sequence

import msgspec

from clarion.model import Key, Millis, Urgency
from clarion.ports import PushChannel, PushMessage
from clarion.testing.memory.tables import PushDeviceRow, Tables, drop

_NODE_FORGOTTEN_MS = 3_600_000


class MemoryPushStore:
    """`ports.PushStore`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def hello(self, uaid: str, node: str, now: Millis) -> Key | None:  # noqa: ARG002 - the port's
        device = self._device(uaid)
        if device is None:
            return None
        device.node = node
        return device.key

    async def enrol(self, uaid: str, node: str, now: Millis) -> Key:  # noqa: ARG002 - the port's
        return self._enrol(uaid, node).key

    async def gone(self, device: Key, node: str) -> None:
        row = self._tables.push_devices.get(device)
        if row is not None and row.node == node:
            row.node = None

    async def register(
        self,
        uaid: str,
        channel_id: str,
        vapid: str | None,
        node: str | None,
        now: Millis,  # noqa: ARG002 - the port's
        app: str | None = None,
    ) -> Key:
        device = self._enrol(uaid, node)
        known = self._tables.push_channels.get((device.key, channel_id))
        key = known.key if known else next(self._tables.keys)
        self._tables.push_channels[device.key, channel_id] = PushChannel(
            key, device.key, channel_id, vapid, device.node, app
        )
        return device.key

    async def unregister(self, device: Key, channel_id: str) -> bool:
        channel = self._tables.push_channels.pop((device, channel_id), None)
        if channel is not None:
            drop(self._tables.push_messages, lambda _, message: message.channel == channel.key)
        return channel is not None

    async def forget(self, device: Key) -> None:
        self._tables.push_devices.pop(device, None)
        drop(self._tables.push_channels, lambda _, channel: channel.device == device)
        drop(self._tables.push_messages, lambda _, message: message.device == device)

    async def channels(self, pairs: Sequence[tuple[str, str]]) -> list[PushChannel | None]:
        return [self._channel(uaid, channel_id) for uaid, channel_id in pairs]

    async def known_devices(self, uaids: Sequence[str]) -> set[str]:
        return {uaid for uaid in uaids if self._device(uaid)}

    async def add(self, messages: Sequence[PushMessage], now: Millis) -> list[Key | None]:  # noqa: ARG002 - the port's
        return [self._add(message) for message in messages]

    async def waiting(
        self, device: Key, after: Key, limit: int, now: Millis, least: Urgency = Urgency.VERY_LOW
    ) -> list[PushMessage]:
        mine = [
            (message.topic is None, key, message)
            for key, message in self._tables.push_messages.items()
            if message.device == device and message.expires_at > now and key > after
            if message.urgency in least.and_above
        ]
        return [message for _, _, message in sorted(mine, key=lambda row: row[:2])[:limit]]

    async def acknowledge(self, own: Sequence[tuple[Key, Key]]) -> None:
        drop(self._tables.push_messages, lambda key, message: (message.device, key) in own)

    async def delete(self, key: Key, channel: Key) -> bool:
        return drop(self._tables.push_messages, lambda own, message: (own, message.channel) == (key, channel)) > 0

    async def beat(self, node: str, now: Millis) -> None:
        self._tables.push_nodes[node] = now

    async def ended(self, node: str) -> None:
        self._tables.push_nodes.pop(node, None)

    async def connected(self, uaids: Sequence[str], since: Millis) -> set[str]:
        alive = {node for node, at in self._tables.push_nodes.items() if at >= since}
        return {row.uaid for row in self._tables.push_devices.values() if row.uaid in uaids and row.node in alive}

    async def set_broadcast(self, id: str, version: str, now: Millis) -> None:  # noqa: ARG002 - the port's
        self._tables.push_broadcasts[id] = version

    async def broadcasts(self) -> dict[str, str]:
        return dict(sorted(self._tables.push_broadcasts.items()))

    async def sweep(self, now: Millis) -> int:
        drop(self._tables.push_nodes, lambda _, at: at < now - _NODE_FORGOTTEN_MS)
        drop(self._tables.push_sources, lambda _, until: until <= now)
        return drop(self._tables.push_messages, lambda _, message: message.expires_at <= now)

    def _enrol(self, uaid: str, node: str | None) -> PushDeviceRow:
        device = self._device(uaid)
        if device is None:
            device = PushDeviceRow(next(self._tables.keys), uaid, None)
            self._tables.push_devices[device.key] = device
        device.node = device.node if node is None else node
        return device

    def _device(self, uaid: str) -> PushDeviceRow | None:
        return next((row for row in self._tables.push_devices.values() if row.uaid == uaid), None)

    def _channel(self, uaid: str, channel_id: str) -> PushChannel | None:
        device = self._device(uaid)
        channel = self._tables.push_channels.get((device.key, channel_id)) if device else None
        return msgspec.structs.replace(channel, node=device.node) if device and channel else None

    def _add(self, message: PushMessage) -> Key | None:
        if message.source is not None:
            if message.source in self._tables.push_sources:
                return None
            self._tables.push_sources[message.source] = message.expires_at
        key = next(self._tables.keys)
        if message.topic is not None:
            drop(self._tables.push_messages, lambda _, old: _same_topic(old, message))
        self._tables.push_messages[key] = msgspec.structs.replace(message, key=key)
        return key


def _same_topic(old: PushMessage, new: PushMessage) -> bool:
    return (old.channel, old.topic) == (new.channel, new.topic)
