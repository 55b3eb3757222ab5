"""Our push service's own rows: its devices, their channels, and which node holds a device's socket."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from clarion.model import Key, Millis, Urgency
from clarion.ports import PushChannel, PushMessage
from clarion.storage.coalesce import Coalescer
from clarion.storage.database import Database, Dialect, columns_of, upsert
from clarion.storage.push_messages import Messages, delete_message, of_device, sweep
from clarion.storage.schema import push_broadcast, push_channel, push_device, push_message, push_node

_HELLO = columns_of(push_device, "uaid", "node", "seen_at")
_HOLD = (
    "UPDATE push_device SET node = batch.node, seen_at = batch.seen_at FROM batch WHERE push_device.uaid = batch.uaid"
)
_ADD_DEVICE = """
    INSERT INTO push_device (uaid, node, seen_at) SELECT uaid, node, seen_at FROM batch WHERE true
    ON CONFLICT (uaid) DO UPDATE SET node = coalesce(excluded.node, push_device.node), seen_at = excluded.seen_at
"""
_NEW_CHANNEL = {"uaid": "text", "channel_id": "text", "vapid": "text", "app": "text"}
_ADD_CHANNEL = """
    INSERT INTO push_channel (device, channel_id, vapid, app)
    SELECT d.key, batch.channel_id, batch.vapid, batch.app
    FROM batch JOIN push_device d ON d.uaid = batch.uaid WHERE true
    ON CONFLICT (device, channel_id) DO UPDATE SET vapid = excluded.vapid, app = excluded.app
"""
_HELD = columns_of(push_device, "key", "node")
_LET_GO = (
    "UPDATE push_device SET node = NULL FROM batch WHERE push_device.key = batch.key AND push_device.node = batch.node"
)
_SWEEP = 2_000  # rows
_NODE_FORGOTTEN_MS = 3_600_000
_PAIR = {"uaid": "text", "channel_id": "text"}
_CHANNEL = ("d.uaid", "c.channel_id", "c.key", "c.device", "c.vapid", "d.node", "c.app")
_CHANNELS = (
    "FROM batch JOIN push_device d ON d.uaid = batch.uaid "
    "JOIN push_channel c ON c.device = d.key AND c.channel_id = batch.channel_id"
)


class _Hello(NamedTuple):
    uaid: str
    node: str
    now: Millis


class _Registration(NamedTuple):
    uaid: str
    node: str | None
    now: Millis
    channel_id: str
    vapid: str | None
    app: str | None


class SqlPushStore:
    """See `ports.PushStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._hellos = Coalescer(self._write_hellos)
        self._registrations = Coalescer(self._write_registrations)
        self._departures = Coalescer(self._write_departures)
        self._look_ups = Coalescer(self._read_channels)
        self._messages = Messages(database)

    async def hello(self, uaid: str, node: str, now: Millis) -> Key | None:
        """See `ports.PushStore`; devices that come back at once share a commit."""
        [key] = await self._hellos(None, [_Hello(uaid, node, now)])
        return key

    async def enrol(self, uaid: str, node: str, now: Millis) -> Key:
        keys = await self._db.write(_enrol, self._db.dialect, [(uaid, node, now)])
        return keys[uaid]

    async def gone(self, device: Key, node: str) -> None:
        """See `ports.PushStore`; devices that leave at once share a commit."""
        await self._departures(None, [(device, node)])

    async def register(
        self, uaid: str, channel_id: str, vapid: str | None, node: str | None, now: Millis, app: str | None = None
    ) -> Key:
        """See `ports.PushStore`; devices that register at once share a commit."""
        [key] = await self._registrations(None, [_Registration(uaid, node, now, channel_id, vapid, app)])
        return key

    async def unregister(self, device: Key, channel_id: str) -> bool:
        return await self._db.write(_unregister, device, channel_id)

    async def forget(self, device: Key) -> None:
        await self._db.write(_forget, device)

    async def channels(self, pairs: Sequence[tuple[str, str]]) -> list[PushChannel | None]:
        """See `ports.PushStore`; senders who come one by one are looked up together."""
        return await self._look_ups(None, pairs)

    async def known_devices(self, uaids: Sequence[str]) -> set[str]:
        return set(await self._db.read(_devices, self._db.dialect, uaids))

    async def add(self, messages: Sequence[PushMessage], now: Millis) -> list[Key | None]:
        return await self._messages.add(messages, now)

    async def waiting(
        self, device: Key, after: Key, limit: int, now: Millis, least: Urgency = Urgency.VERY_LOW
    ) -> list[PushMessage]:
        return await self._messages.waiting(device, after, limit, now, least)

    async def acknowledge(self, own: Sequence[tuple[Key, Key]]) -> None:
        await self._messages.acknowledge(own)

    async def delete(self, key: Key, channel: Key) -> bool:
        return await self._db.write(delete_message, key, channel)

    async def sweep(self, now: Millis) -> int:
        """See `ports.PushStore`; in small steps, so that others can write in between."""
        await self._db.write(_sweep_nodes, now - _NODE_FORGOTTEN_MS)
        removed = 0
        while True:
            gone, waited = await self._db.write(sweep, now, _SWEEP)
            removed += waited
            if gone < _SWEEP:
                return removed

    async def beat(self, node: str, now: Millis) -> None:
        await self._db.write(_beat, node, now)

    async def ended(self, node: str) -> None:
        await self._db.write(_ended, node)

    async def connected(self, uaids: Sequence[str], since: Millis) -> set[str]:
        return await self._db.read(_connected, uaids, since)

    async def set_broadcast(self, id: str, version: str, now: Millis) -> None:
        await self._db.write(_set_broadcast, id, version, now)

    async def broadcasts(self) -> dict[str, str]:
        return await self._db.read(_broadcasts)

    async def _read_channels(self, _: Hashable, pairs: Sequence[tuple[str, str]]) -> list[PushChannel | None]:
        return await self._db.read(_channels, self._db.dialect, pairs)

    async def _write_departures(self, _: Hashable, departed: Sequence[tuple[Key, str]]) -> list[None]:
        await self._db.write(self._db.dialect.apply, _LET_GO, _HELD, departed)
        return [None] * len(departed)

    async def _write_registrations(self, _: Hashable, registrations: Sequence[_Registration]) -> list[Key]:
        return await self._db.write(_register, self._db.dialect, registrations)

    async def _write_hellos(self, _: Hashable, hellos: Sequence[_Hello]) -> list[Key | None]:
        return await self._db.write(_hello, self._db.dialect, hellos)


def _hello(conn: Connection, dialect: Dialect, hellos: Sequence[_Hello]) -> list[Key | None]:
    latest = {each.uaid: each for each in hellos}
    dialect.apply(conn, _HOLD, _HELLO, list(latest.values()))
    found = _devices(conn, dialect, list(latest))
    return [found.get(each.uaid) for each in hellos]


def _devices(conn: Connection, dialect: Dialect, uaids: Sequence[str]) -> dict[str, Key]:
    rest = f"FROM push_device WHERE uaid {dialect.within('text')}"
    return dict(dialect.rows(conn, ("uaid", "key"), rest, dialect.listed(uaids)))


def _enrol(conn: Connection, dialect: Dialect, devices: Sequence[tuple[str, str | None, Millis]]) -> dict[str, Key]:
    """Rows for devices, each named once: their keys by uaid."""
    dialect.apply(conn, _ADD_DEVICE, _HELLO, devices)
    return _devices(conn, dialect, [uaid for uaid, *_ in devices])


def _register(conn: Connection, dialect: Dialect, registrations: Sequence[_Registration]) -> list[Key]:
    # In one order for all processes, so that none waits for another in a circle; and who says which node speaks last.
    ordered = sorted(registrations, key=lambda each: (each.uaid, each.node is not None, each.channel_id))
    devices = {each.uaid: (each.uaid, each.node, each.now) for each in ordered}
    channels = {(each.uaid, each.channel_id): (each.uaid, each.channel_id, each.vapid, each.app) for each in ordered}
    keys = _enrol(conn, dialect, list(devices.values()))
    dialect.apply(conn, _ADD_CHANNEL, _NEW_CHANNEL, sorted(channels.values(), key=lambda row: row[:2]))
    return [keys[each.uaid] for each in registrations]


def _unregister(conn: Connection, device: Key, channel_id: str) -> bool:
    mine = (push_channel.c.device == device) & (push_channel.c.channel_id == channel_id)
    key = conn.execute(select(push_channel.c.key).where(mine).with_for_update()).scalar()
    if key is None:
        return False
    conn.execute(delete(push_channel).where(mine))
    conn.execute(delete(push_message).where(of_device(device), push_message.c.channel == key))
    return True


def _forget(conn: Connection, device: Key) -> None:
    conn.execute(delete(push_device).where(push_device.c.key == device))
    conn.execute(delete(push_channel).where(push_channel.c.device == device))
    conn.execute(delete(push_message).where(of_device(device)))


def _channels(conn: Connection, dialect: Dialect, pairs: Sequence[tuple[str, str]]) -> list[PushChannel | None]:
    rows = dialect.joined(conn, _CHANNEL, _CHANNELS, _PAIR, list(dict.fromkeys(pairs)))
    found = {
        (uaid, channel_id): PushChannel(key, device, channel_id, vapid, node, app)
        for uaid, channel_id, key, device, vapid, node, app in rows
    }
    return [found.get(pair) for pair in pairs]


def _beat(conn: Connection, node: str, now: Millis) -> None:
    row = upsert(conn, push_node).values(id=node, seen_at=now)
    conn.execute(row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now}))


def _ended(conn: Connection, node: str) -> None:
    conn.execute(delete(push_node).where(push_node.c.id == node))


def _sweep_nodes(conn: Connection, before: Millis) -> None:
    conn.execute(delete(push_node).where(push_node.c.seen_at < before))


def _connected(conn: Connection, uaids: Sequence[str], since: Millis) -> set[str]:
    held = select(push_device.c.uaid).join(push_node, push_node.c.id == push_device.c.node)
    return set(conn.execute(held.where(push_device.c.uaid.in_(uaids), push_node.c.seen_at >= since)).scalars())


def _set_broadcast(conn: Connection, id: str, version: str, now: Millis) -> None:
    changed = {"version": version, "updated_at": now}
    row = upsert(conn, push_broadcast).values(id=id, **changed)
    conn.execute(row.on_conflict_do_update(index_elements=["id"], set_=changed))


def _broadcasts(conn: Connection) -> dict[str, str]:
    rows = conn.execute(select(push_broadcast.c.id, push_broadcast.c.version).order_by(push_broadcast.c.id))
    return {row.id: row.version for row in rows}
