"""What happened: stored in the order it came, each id once; events that somebody watches become work."""

from collections.abc import Hashable, Sequence
from itertools import compress
from operator import itemgetter
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection

from clarion.model import Event, Key, Millis
from clarion.ports import EventsWork, NewWork
from clarion.storage.coalesce import Coalescer
from clarion.storage.database import Database, Dialect, Row, columns_of, from_json, looked_up
from clarion.storage.event_parts import PartsMade
from clarion.storage.people import resolve
from clarion.storage.person_events import Settling, of_people
from clarion.storage.retention import Retention
from clarion.storage.schema import event, event_known
from clarion.storage.work import add_work

_EVENT = columns_of(event)
_KNOWN = columns_of(event_known)
_SHOWN = (*("event.key", "person", "p.id", "name", "CAST(properties AS TEXT)", "occurred_at", "event.id"),)
_FROM = "FROM event JOIN person p ON p.key = event.person WHERE +event.project = ?"
_JOB_SIZE = 1_000
_TOGETHER = 16_000
"""Events in one commit: a third of a second on SQLite, where each page that they touch is written once."""
_BY_PERSON = itemgetter(2, 3)
_encode = msgspec.json.Encoder().encode


_New: TypeAlias = tuple[str, str, str, Millis, str | None, bool, Millis]
"""An event on its way in: user id, name, properties, when, id, whether somebody watches, now; a class costs twice."""


class SqlEvents:
    """See `ports.Events`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._together = Coalescer(self._write, limit=_TOGETHER)
        self._settling = Settling(database)
        self._retention = Retention(database)
        self._parts = PartsMade()

    async def add(self, project: Key, events: Sequence[Event], watched: frozenset[str], now: Millis) -> list[bool]:
        """See `ports.Events`; callers that share a commit share its `EventsWork` too."""
        return await self._together(project, [_new(event, watched, now) for event in events])

    async def load(self, project: Key, keys: Sequence[Key]) -> list[Event]:
        return await self._db.read(_load, self._db.dialect, project, keys)

    async def of_user(self, project: Key, user: Key, limit: int) -> list[Event]:
        return await self._db.read(_of_user, self._db.dialect, project, user, limit)

    async def forget(self, project: Key, before: Millis) -> int:
        return await self._retention.forget(project, before)

    async def settle(self) -> None:
        """Have new events settled by their people, on SQLite, as happens by itself when many have come."""
        await self._settling.settle()

    async def _write(self, project: Hashable, events: Sequence[_New]) -> list[bool]:
        assert isinstance(project, int)
        added = await self._db.write(_add, self._db.dialect, self._parts, project, events)
        self._settling.added(len(events))
        return added


def _new(event: Event, watched: frozenset[str], now: Millis) -> _New:
    properties = _encode(event.properties).decode() if event.properties else "{}"
    return (event.user_id, event.name, properties, event.occurred_at, event.id, event.name in watched, now)


def _add(conn: Connection, dialect: Dialect, parts: PartsMade, project: Key, events: Sequence[_New]) -> list[bool]:
    new = _unknown(conn, dialect, project, [id for _, _, _, _, id, _, _ in events])
    added = list(compress(events, new))
    if not added:
        return new
    now = added[0][-1]
    keys = dialect.keys(conn, "event", len(added))
    parts.hold(conn, keys[0], keys[-1])
    people = resolve(conn, dialect, project, [each[0] for each in added], now)
    rows = [
        (key, project, people[user_id], name, properties, occurred_at, id)
        for key, (user_id, name, properties, occurred_at, id, _, _) in zip(keys, added, strict=True)
    ]
    lost = _claim(conn, dialect, rows)
    if lost:  # another process was first with some of the ids
        ours = [row[0] not in lost for row in rows]
        rows, added, keys = list(compress(rows, ours)), list(compress(added, ours)), list(compress(keys, ours))
        of_added = iter(ours)
        new = [is_new and next(of_added) for is_new in new]
    # In the order of people: a page of what is kept by them is looked for once, and may leave memory afterwards.
    dialect.insert(conn, "event", _EVENT, sorted(rows, key=_BY_PERSON))
    watched = [key for key, each in zip(keys, added, strict=True) if each[5]]
    jobs = [EventsWork(watched[start : start + _JOB_SIZE]) for start in range(0, len(watched), _JOB_SIZE)]
    add_work(conn, dialect, [NewWork(project, job, now) for job in jobs])
    return new


def _claim(conn: Connection, dialect: Dialect, rows: Sequence[Row]) -> set[Key]:
    """Take the ids of these events; the keys of those whose id is somebody else's."""
    named = [(row[1], row[-1], row[0]) for row in rows if row[-1] is not None]
    if not named or dialect.insert(conn, "event_known", _KNOWN, named) == len(named):
        return set()
    known = looked_up(conn, dialect, "event", "event_known", named[0][0], [id for _, id, _ in named])
    return {key for _, _, key in named} - {key for _, key in known}


def _unknown(conn: Connection, dialect: Dialect, project: Key, ids: Sequence[str | None]) -> list[bool]:
    """Per id whether it is new: to the store, and among those before it. No id is always new."""
    given = [id for id in ids if id is not None]
    if not given:
        return [True] * len(ids)
    seen: set[str | None] = {id for id, _ in looked_up(conn, dialect, "event", "event_known", project, given)}
    new = []
    for id in ids:
        new.append(id is None or id not in seen)
        seen.add(id)
    return new


def _load(conn: Connection, dialect: Dialect, project: Key, keys: Sequence[Key]) -> list[Event]:
    rest = f"{_FROM} AND event.key {dialect.within('bigint')} ORDER BY event.key"
    return [_event(row) for row in dialect.rows(conn, _SHOWN, rest, project, dialect.listed(keys))]


def _of_user(conn: Connection, dialect: Dialect, project: Key, user: Key, limit: int) -> list[Event]:
    theirs, values = of_people(conn, "person = ?", user)
    rest = f"{_FROM} AND {theirs} ORDER BY event.occurred_at DESC, event.key DESC LIMIT ?"
    return [_event(row) for row in dialect.rows(conn, _SHOWN, rest, project, *values, limit)]


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
