"""What happened: stored in the order it came, each id once; events that somebody watches become work."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from clarion.model import Event, Key, Millis
from clarion.ports import EventsWork, NewWork
from clarion.storage.coalesce import Coalescer
from clarion.storage.database import Database, Dialect, Row, columns_of, from_json
from clarion.storage.people import resolve
from clarion.storage.schema import event
from clarion.storage.work import add_work

_EVENT = columns_of(event)
_SHOWN = ("e.key", "e.person", "p.id", "e.name", "CAST(e.properties AS TEXT)", "e.occurred_at", "e.id")
_FROM = "FROM event e JOIN person p ON p.key = e.person WHERE e.project = ?"
_JOB_SIZE = 1_000
_encode = msgspec.json.Encoder().encode


class _New(NamedTuple):
    """An event on its way in; `watched` when it may start an automation."""

    user_id: str
    name: str
    properties: str
    occurred_at: Millis
    id: str | None
    watched: bool
    now: Millis


class SqlEvents:
    """See `ports.Events`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._together = Coalescer(self._write)

    async def add(self, project: Key, events: Sequence[Event], watched: frozenset[str], now: Millis) -> list[bool]:
        """See `ports.Events`; callers that share a commit share its `EventsWork` too."""
        return await self._together(project, [_new(event, watched, now) for event in events])

    async def load(self, project: Key, keys: Sequence[Key]) -> list[Event]:
        return await self._db.read(_load, self._db.dialect, project, keys)

    async def of_user(self, project: Key, user: Key, limit: int) -> list[Event]:
        return await self._db.read(_of_user, self._db.dialect, project, user, limit)

    async def _write(self, project: Hashable, events: Sequence[_New]) -> list[bool]:
        assert isinstance(project, int)
        return await self._db.write(_add, self._db.dialect, project, events)


def _new(event: Event, watched: frozenset[str], now: Millis) -> _New:
    properties = _encode(event.properties).decode() if event.properties else "{}"
    return _New(event.user_id, event.name, properties, event.occurred_at, event.id, event.name in watched, now)


def _add(conn: Connection, dialect: Dialect, project: Key, events: Sequence[_New]) -> list[bool]:
    new = _unknown(conn, dialect, project, events)
    indexes = [index for index, is_new in enumerate(new) if is_new]
    if not indexes:
        return new
    people = resolve(conn, dialect, project, (events[index].user_id for index in indexes), events[0].now)
    keys = dialect.keys(conn, "event", len(indexes))
    rows: list[Row] = []
    for key, index in zip(keys, indexes, strict=True):
        user_id, name, properties, occurred_at, id, _, _ = events[index]
        rows.append((key, project, people[user_id], name, properties, occurred_at, id))
    if dialect.insert(conn, "event", _EVENT, rows) < len(rows):  # another process was first with one of the ids
        stored = _stored(conn, dialect, project, keys)
        for key, index in zip(keys, indexes, strict=True):
            new[index] = key in stored
    watched = [key for key, index in zip(keys, indexes, strict=True) if new[index] and events[index].watched]
    jobs = [EventsWork(watched[start : start + _JOB_SIZE]) for start in range(0, len(watched), _JOB_SIZE)]
    add_work(conn, dialect, [NewWork(project, job, events[0].now) for job in jobs])
    return new


def _unknown(conn: Connection, dialect: Dialect, project: Key, events: Sequence[_New]) -> list[bool]:
    """Per event whether its id is new: to the store, and among those before it."""
    ids = [each.id for each in events if each.id is not None]
    if not ids:
        return [True] * len(events)
    rest = f"FROM event WHERE project = ? AND id {dialect.within('text')}"
    seen = {id for (id,) in dialect.rows(conn, ("id",), rest, project, dialect.listed(ids))}
    new = []
    for each in events:
        new.append(each.id is None or each.id not in seen)
        seen.add(each.id)
    return new


def _stored(conn: Connection, dialect: Dialect, project: Key, keys: Sequence[Key]) -> set[Key]:
    rest = f"FROM event WHERE project = ? AND key {dialect.within('bigint')}"
    return {key for (key,) in dialect.rows(conn, ("key",), rest, project, dialect.listed(keys))}


def _load(conn: Connection, dialect: Dialect, project: Key, keys: Sequence[Key]) -> list[Event]:
    rest = f"{_FROM} AND e.key {dialect.within('bigint')} ORDER BY e.key"
    return [_event(row) for row in dialect.rows(conn, _SHOWN, rest, project, dialect.listed(keys))]


def _of_user(conn: Connection, dialect: Dialect, project: Key, user: Key, limit: int) -> list[Event]:
    rest = f"{_FROM} AND e.person = ? ORDER BY e.occurred_at DESC, e.key DESC LIMIT ?"
    return [_event(row) for row in dialect.rows(conn, _SHOWN, rest, project, user, limit)]


def _event(row: Row) -> Event:
    key, user, user_id, name, properties, occurred_at, id = row
    return Event(
        user_id=user_id,
        name=name,
        properties=from_json(properties),
        occurred_at=occurred_at,
        id=id,
        key=key,
        user=user,
    )
