"""How long events are kept: what is older goes, some neighbours at a time, without an index by age.

Keys rise with time, so the old ones are together: they are looked through from the oldest on, until none is too old.
"""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, select

from clarion.model import Key, Millis
from clarion.storage.database import Database
from clarion.storage.event_parts import drop_empty_parts
from clarion.storage.schema import event, event_known

_SPAN = 10_000
"""Events that are looked through in one transaction."""


class Retention:
    """Remembers from where on each project has events."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._oldest: dict[Key, Key] = {}  # no event of the project has a key up to this one

    async def forget(self, project: Key, before: Millis) -> int:
        """See `ports.Events`."""
        forgotten, after, kept = 0, self._oldest.get(project, 0), False
        while (span := await self._db.read(_span, after)) is not None:
            gone, left = await self._db.write(_forget, project, before, span)
            forgotten, kept, after = forgotten + gone, kept or left, span.last
            if span.events < _SPAN or (left and not gone):
                break
            if not kept:
                self._oldest[project] = after
        if forgotten:
            await self._db.write(_drop_parts)
        return forgotten


class _Span(NamedTuple):
    """Events with neighbouring keys, of whatever project."""

    first: Key
    last: Key
    events: int


def _span(conn: Connection, after: Key) -> _Span | None:
    some = select(event.c.key).where(event.c.key > after).order_by(event.c.key).limit(_SPAN).subquery()
    row = conn.execute(select(func.min(some.c.key), func.max(some.c.key), func.count())).one()
    return _Span(*row) if row[2] else None


def _forget(conn: Connection, project: Key, before: Millis, span: _Span) -> tuple[int, bool]:
    """How many were deleted, and whether some are left."""
    mine = (event.c.project == project) & event.c.key.between(span.first, span.last)
    old = mine & (event.c.occurred_at < before)
    forget_ids(conn, project, old)
    gone = conn.execute(delete(event).where(old)).rowcount
    return gone, conn.execute(select(event.c.key).where(mine).limit(1)).scalar() is not None


def forget_ids(conn: Connection, project: Key, about: ColumnElement[bool]) -> None:
    """Give free the ids of events that are about to be deleted."""
    ids = select(event.c.id).where(about, event.c.id.is_not(None))
    conn.execute(delete(event_known).where(event_known.c.project == project, event_known.c.id.in_(ids)))


def _drop_parts(conn: Connection) -> None:
    if conn.dialect.name == "postgresql":
        drop_empty_parts(conn)
