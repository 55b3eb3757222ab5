"""Events by their people: an index on PostgreSQL, two tables that SQLite keeps by triggers.

Each event belongs to another page of an index by people, and to write that page costs SQLite three times as much as all
the rest of the event. So it comes into a small table, `person_event_new`, whose pages are in memory, and is settled in
`person_event` together with the others of its neighbourhood. Whoever asks for people's events asks both.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, delete, func, insert, or_, select, union_all

from clarion.errors import Unavailable
from clarion.model import Key
from clarion.storage.database import Database
from clarion.storage.schema import event, person_event, person_event_new

NEW = 250_000
"""Events that may stay in the small table: 10 MB."""
MANY_NEW = 1_000_000
"""From here on they are settled faster than they come."""
_LOOK_AGAIN = 25_000
_A_FEW, _MORE = 5_000, 20_000
"""Events that are settled in one transaction: 25 ms, or 100."""
_BOTH = (person_event, person_event_new)

Meets = Callable[[Any], list[ColumnElement[bool]]]
"""Conditions on the columns `project`, `person`, `name` and `occurred_at` of the table that is given."""


def of_people(conn: Connection, condition: str, *values: object) -> tuple[str, tuple[object, ...]]:
    """`condition` on people's events, on the columns of `Meets`, as a condition on `event.key`, with its values."""
    if conn.dialect.name != "sqlite":
        return condition, values
    both = " UNION ALL ".join(f"SELECT event FROM {table.name} WHERE {condition}" for table in _BOTH)  # noqa: S608
    return f"event.key IN ({both})", values * 2


def meeting(conn: Connection, meets: Meets) -> ColumnElement[bool]:
    """The same as part of a statement about `event`."""
    if conn.dialect.name != "sqlite":
        return and_(*meets(event))
    return event.c.key.in_(union_all(*(select(table.c.event).where(*meets(table)) for table in _BOTH)))


def some_meet(conn: Connection, meets: Meets) -> ColumnElement[bool]:
    """Whether there is any, asked anew for each row of the statement around it."""
    tables = _BOTH if conn.dialect.name == "sqlite" else (event,)
    return or_(*(select(table.c.person).where(*meets(table)).exists() for table in tables))


def happened(meets: Meets, *, properties: bool) -> FromClause:
    """On SQLite: `person` and `occurred_at` of such events, and what else was told of them if that matters."""
    arms = []
    for table in _BOTH:
        arm = select(table.c.person, table.c.occurred_at)
        if properties:
            arm = arm.add_columns(event.c.properties).join(event, event.c.key == table.c.event)
        arms.append(arm.where(*meets(table)))
    return union_all(*arms).subquery()


class Settling:
    """Settles new events as they get many, a few at a time, between whatever else is written."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._added = 0
        self._after: Key = 0
        self._task: asyncio.Task[None] | None = None

    def added(self, events: int) -> None:
        """So many have come."""
        self._added += events
        if self._added >= _LOOK_AGAIN and self._task is None:
            self._added = 0
            self._task = asyncio.create_task(self.settle())

    async def settle(self) -> None:
        """Until few enough are new."""
        try:
            with suppress(Unavailable):  # the next ones settle these, too
                while (new := await self._db.read(_count_new)) > NEW:
                    count = _A_FEW if new < MANY_NEW else _MORE
                    for _ in range(NEW, new, count):
                        self._after = await self._db.write(settle, self._after, count)
        finally:
            self._task = None


def _count_new(conn: Connection) -> int:
    if conn.dialect.name != "sqlite":
        return 0
    return conn.execute(select(func.count()).select_from(person_event_new)).scalar_one()


def settle(conn: Connection, after: Key, count: int) -> Key:
    """Settle all new events of the next people after `after`, about `count`; the last person, 0 when it was the end."""
    new = person_event_new.c
    beyond = select(new.person).where(new.person > after).order_by(new.person)
    last: Key | None = conn.execute(beyond.offset(count).limit(1)).scalar()
    mine = (new.person > after) if last is None else new.person.between(after + 1, last)
    columns = [column.name for column in person_event.columns]
    conn.execute(insert(person_event).from_select(columns, select(person_event_new).where(mine)))
    conn.execute(delete(person_event_new).where(mine))
    return last or 0
