"""Messages that wait for devices of our push service: on disk before the sender's answer, gone when acknowledged.

A message that is done with keeps its row, without data, if it has a source and until it would have expired: accepting
it again then does nothing.
"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from clarion.model import Key, Millis, Urgency
from clarion.ports import PushMessage
from clarion.storage.coalesce import Coalescer
from clarion.storage.database import Columns, Database, Dialect, Row, columns_of, to_json
from clarion.storage.schema import push_channel, push_message

_headers = msgspec.json.Decoder(dict[str, str]).decode
_MESSAGE = columns_of(push_message)
_SOURCE = {"number": "bigint", "source": "bytea"}
_TOPIC = columns_of(push_message, "channel", "topic")
_OWN = columns_of(push_message, "device", "key")

_DEVICES_AT_ONCE = 256
# Places are given over keys alone: a device may have more waiting than should be read.
_WAITING = """
    SELECT m.channel, m.device, c.channel_id, m.data, m.headers, m.expires_at,
           m.topic, m.urgency, m.source, m.sent_at, m.key, c.app
    FROM (
        SELECT key, row_number() OVER (PARTITION BY device ORDER BY topic IS NULL, key) AS place
        FROM push_message WHERE device {devices} AND data IS NOT NULL AND key > ? AND expires_at > ? {urgent}
    ) AS numbered
    JOIN push_message m ON m.key = numbered.key JOIN push_channel c ON c.key = m.channel
    WHERE numbered.place <= ? ORDER BY m.device, numbered.place
"""

_OF_SAME_TOPIC = "m.channel = batch.channel AND m.topic = batch.topic WHERE m.topic IS NOT NULL AND m.data IS NOT NULL"
_OWN_WAITING = "m.key = batch.key AND m.device = batch.device WHERE m.data IS NOT NULL"


class _New(NamedTuple):
    message: PushMessage
    headers: str


class _Asked(NamedTuple):
    """What all askers of one batch have in common."""

    after: Key
    limit: int
    least: Urgency


class Messages:
    """Writes the messages of concurrent callers in one batch, and reads what waits for many devices at once."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._additions = Coalescer(self._add, limit=1_000)
        self._look_ups = Coalescer(self._read_waiting, limit=_DEVICES_AT_ONCE)

    async def add(self, messages: Sequence[PushMessage], now: Millis) -> list[Key | None]:  # noqa: ARG002 - the port's
        """See `ports.PushStore`."""
        return await self._additions(None, [_New(message, to_json(message.headers)) for message in messages])

    async def acknowledge(self, own: Sequence[tuple[Key, Key]]) -> None:
        """See `ports.PushStore`."""
        await self._db.write(_end, self._db.dialect, _OWN_WAITING, _OWN, own)

    async def waiting(self, device: Key, after: Key, limit: int, now: Millis, least: Urgency) -> list[PushMessage]:
        """See `ports.PushStore`."""
        [found] = await self._look_ups(_Asked(after, limit, least), [(device, now)])
        return found

    async def _read_waiting(self, asked: Hashable, devices: Sequence[tuple[Key, Millis]]) -> list[list[PushMessage]]:
        assert isinstance(asked, _Asked)
        keys = [device for device, _ in devices]
        found = await self._db.read(_waiting, self._db.dialect, asked, keys, max(now for _, now in devices))
        return [found.get(device, []) for device in keys]

    async def _add(self, _: Hashable, messages: Sequence[_New]) -> list[Key | None]:
        return await self._db.write(_add, self._db.dialect, messages)


def _waiting(
    conn: Connection, dialect: Dialect, asked: _Asked, devices: Sequence[Key], now: Millis
) -> dict[Key, list[PushMessage]]:
    """By device, at least so urgent: topic messages first, then by key."""
    urgent = "" if asked.least is Urgency.VERY_LOW else f"AND urgency {dialect.within('text')}"
    sql = _WAITING.format(devices=dialect.within("bigint"), urgent=urgent)
    urgencies = [dialect.listed(sorted(asked.least.and_above))] if urgent else []
    found: dict[Key, list[PushMessage]] = {}
    for row in dialect.large(conn, sql, dialect.listed(devices), asked.after, now, *urgencies, asked.limit):
        message = _message(row)
        found.setdefault(message.device, []).append(message)
    return found


def delete_message(conn: Connection, key: Key, channel: Key) -> bool:
    """A sender takes its message back; False when it does not wait (any more)."""
    mine = and_(push_message.c.key == key, push_message.c.channel == channel, push_message.c.data.is_not(None))
    sourceless = conn.execute(delete(push_message).where(mine, push_message.c.source.is_(None)))
    return sourceless.rowcount + conn.execute(update(push_message).where(mine).values(data=None)).rowcount > 0


def sweep(conn: Connection, now: Millis, most: int) -> tuple[int, int]:
    """Remove up to `most` of what has expired: how many rows went, and how many of them were still waiting."""
    expired = select(push_message.c.key, push_message.c.data.is_not(None).label("waited"))
    rows = conn.execute(expired.where(push_message.c.expires_at <= now).limit(most)).all()
    conn.execute(delete(push_message).where(push_message.c.key.in_([row.key for row in rows])))
    return len(rows), sum(row.waited for row in rows)


def of_device(device: Key) -> ColumnElement[bool]:
    """The messages that wait for a device, in the words of their index."""
    return and_(push_message.c.device == device, push_message.c.data.is_not(None))


def _add(conn: Connection, dialect: Dialect, messages: Sequence[_New]) -> list[Key | None]:
    _lock_channels(conn, {message.channel for message, _ in messages if message.topic is not None})
    fresh = _unknown(conn, dialect, [message for message, _ in messages])
    keys = dialect.keys(conn, "push_message", len(fresh))
    latest = {
        (messages[index].message.channel, messages[index].message.topic): key
        for index, key in zip(fresh, keys, strict=True)
        if messages[index].message.topic is not None
    }
    if latest:
        _end(conn, dialect, _OF_SAME_TOPIC, _TOPIC, sorted(latest))
    rows = []
    for index, key in zip(fresh, keys, strict=True):
        message, headers = messages[index]
        replaced = latest.get((message.channel, message.topic), key) != key
        if not replaced or message.source is not None:
            rows.append(_values(key, message, headers, data=None if replaced else message.data))
    answers: list[Key | None] = [None] * len(messages)
    for index, key in zip(fresh, keys, strict=True):
        answers[index] = key
    if dialect.insert(conn, "push_message", _MESSAGE, rows) == len(rows):
        return answers
    stored = set(conn.execute(select(push_message.c.key).where(push_message.c.key.in_(keys))).scalars())
    lost = {key for key, *_ in rows} - stored  # another process was first with a source
    return [None if key in lost else key for key in answers]


def _unknown(conn: Connection, dialect: Dialect, messages: Sequence[PushMessage]) -> list[int]:
    """Which of the messages have a source that was not accepted before, or none."""
    sources = [(number, each.source) for number, each in enumerate(messages) if each.source is not None]
    if not sources:
        return list(range(len(messages)))
    rest = "FROM batch JOIN push_message m ON m.source = batch.source"
    known = {number for (number,) in dialect.joined(conn, ("batch.number",), rest, _SOURCE, sources)}
    seen: set[bytes] = set()
    for number, source in sources:
        if source in seen:
            known.add(number)
        seen.add(source)
    return [number for number in range(len(messages)) if number not in known]


def _lock_channels(conn: Connection, channels: set[Key]) -> None:
    """Processes that replace the messages of one topic do so one after the other, knowing what came before."""
    if not channels:
        return
    mine = push_channel.c.key.in_(channels)
    conn.execute(select(push_channel.c.key).where(mine).order_by(push_channel.c.key).with_for_update()).all()


def _end(conn: Connection, dialect: Dialect, which: str, columns: Columns, rows: Sequence[tuple[Any, ...]]) -> None:
    """Be done with the waiting messages `m` that meet a batch: without a source they go, else only their data."""
    some = f"WHERE key IN (SELECT m.key FROM batch JOIN push_message m ON {which}"  # noqa: S608 - our own words
    ended = dialect.apply(conn, f"DELETE FROM push_message {some} AND m.source IS NULL)", columns, rows)  # noqa: S608 - our words
    if ended == len(rows):
        return
    dialect.apply(conn, f"UPDATE push_message SET data = NULL {some} AND m.source IS NOT NULL)", columns, rows)  # noqa: S608 - our words


def _values(key: Key, message: PushMessage, headers: str, data: bytes | None) -> tuple[Any, ...]:
    return (
        key,
        message.channel,
        message.device,
        data,
        headers,
        message.topic,
        message.urgency,
        message.source,
        message.sent_at,
        message.expires_at,
    )


def _message(row: Row) -> PushMessage:
    channel, device, channel_id, data, headers, *rest = row
    return PushMessage(channel, device, channel_id, data, _headers(headers), *rest)
