"""Our push service's own rows: its devices, their channels, and which node holds a device's socket."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select, update

from clarion.model import Key, Millis, Urgency
from clarion.ports import PushChannel, PushMessage
from clarion.storage.coalesce import Coalescer
from clarion.storage.database import Database, Dialect, columns_of, upsert
from clarion.storage.push_messages import MessageWriter, delete_message, of_device, sweep, waiting
from clarion.storage.schema import push_broadcast, push_channel, push_device, push_message, push_node

_HELLO = columns_of(push_device, "uaid", "node", "seen_at")
_HOLD = (
    "UPDATE push_device SET node = batch.node, seen_at = batch.seen_at FROM batch WHERE push_device.uaid = batch.uaid"
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


class SqlPushStore:
    """See `ports.PushStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._hellos = Coalescer(self._write_hellos)
        self._messages = MessageWriter(database)

    async def hello(self, uaid: str, node: str, now: Millis) -> Key | None:
        """See `ports.PushStore`; devices that come back at once share a commit."""
        [key] = await self._hellos(None, [_Hello(uaid, node, now)])
        return key

    async def enrol(self, uaid: str, node: str, now: Millis) -> Key:
        return await self._db.write(_enrol, uaid, node, now)

    async def gone(self, device: Key, node: str) -> None:
        await self._db.write(_gone, device, node)

    async def register(
        self, uaid: str, channel_id: str, vapid: str | None, node: str | None, now: Millis, app: str | None = None
    ) -> Key:
        return await self._db.write(_register, uaid, channel_id, node, now, {"vapid": vapid, "app": app})

    async def unregister(self, device: Key, channel_id: str) -> bool:
        return await self._db.write(_unregister, device, channel_id)

    async def forget(self, device: Key) -> None:
        await self._db.write(_forget, device)

    async def channels(self, pairs: Sequence[tuple[str, str]]) -> list[PushChannel | None]:
        return await self._db.read(_channels, self._db.dialect, pairs)

    async def known_devices(self, uaids: Sequence[str]) -> set[str]:
        return set(await self._db.read(_devices, self._db.dialect, uaids))

    async def add(self, messages: Sequence[PushMessage], now: Millis) -> list[Key | None]:
        return await self._messages.add(messages, now)

    async def waiting(
        self, device: Key, after: Key, limit: int, now: Millis, least: Urgency = Urgency.VERY_LOW
    ) -> list[PushMessage]:
        return await self._db.read(waiting, device, after, limit, now, least)

    async def acknowledge(self, device: Key, keys: Sequence[Key]) -> None:
        await self._messages.acknowledge(device, keys)

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


def _gone(conn: Connection, device: Key, node: str) -> None:
    held = (push_device.c.key == device) & (push_device.c.node == node)
    conn.execute(update(push_device).where(held).values(node=None))


def _enrol(conn: Connection, uaid: str, node: str | None, now: Millis) -> Key:
    seen: dict[str, Any] = {"seen_at": now} if node is None else {"node": node, "seen_at": now}
    device = upsert(conn, push_device).values(uaid=uaid, **seen)
    device = device.on_conflict_do_update(index_elements=["uaid"], set_=seen).returning(push_device.c.key)
    key: Key = conn.execute(device).scalar_one()
    return key


def _register(
    conn: Connection, uaid: str, channel_id: str, node: str | None, now: Millis, told: dict[str, str | None]
) -> Key:
    key = _enrol(conn, uaid, node, now)
    channel = upsert(conn, push_channel).values(device=key, channel_id=channel_id, **told)
    conn.execute(channel.on_conflict_do_update(index_elements=["device", "channel_id"], set_=told))
    return key


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
